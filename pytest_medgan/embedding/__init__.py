"""ImageSet -> Embeddings: feature spaces named by one string, computed fast and stored by content.

The names are imported when first used: looking after stored features needs no torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_medgan.embedding.cache import Cache
    from pytest_medgan.embedding.extract import canary, embed_images, load_extractor
    from pytest_medgan.embedding.side_by_side import ranking_disagreements

__all__ = ["Cache", "canary", "embed_images", "load_extractor", "ranking_disagreements"]

_HOMES = {"Cache": "cache", "canary": "extract", "embed_images": "extract", "load_extractor": "extract"}


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES.get(name, 'side_by_side')}"), name)
