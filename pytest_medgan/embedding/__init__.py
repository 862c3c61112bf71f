"""ImageSet -> Embeddings: feature spaces named by one string, computed fast and stored by content."""

from __future__ import annotations

from pytest_medgan.embedding.cache import Cache
from pytest_medgan.embedding.extract import canary, embed_images, load_extractor

__all__ = ["Cache", "canary", "embed_images", "load_extractor"]
