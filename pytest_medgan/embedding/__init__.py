"""ImageSet -> Embeddings: feature spaces named by one string, computed fast and stored by content.

Names are imported when first used, because the commands for stored features need no torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_medgan.embedding.cache import Cache
    from pytest_medgan.embedding.canaries import canary
    from pytest_medgan.embedding.contract import FeatureSpace, resolve_extractor
    from pytest_medgan.embedding.extract import embed_images, load_extractor
    from pytest_medgan.embedding.side_by_side import ranking_disagreements

__all__ = [
    "Cache",
    "FeatureSpace",
    "canary",
    "embed_images",
    "load_extractor",
    "ranking_disagreements",
    "resolve_extractor",
]

_HOMES = {
    "Cache": "cache",
    "FeatureSpace": "contract",
    "canary": "canaries",
    "embed_images": "extract",
    "load_extractor": "extract",
    "ranking_disagreements": "side_by_side",
    "resolve_extractor": "contract",
}


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
