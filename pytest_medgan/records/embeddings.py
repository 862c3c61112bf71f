"""Features of images and the extractor that computes them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

from pytest_medgan.records.arrays import Float32, Int64, Names, Progress, UInt8, no_progress


@dataclass(frozen=True, eq=False)
class Embeddings:
    """Features of an ImageSet, one row per image."""

    features: Float32  # [N,D]
    groups: Names  # [N], as in the ImageSet
    extractor: str  # the extractor's identity
    recipe: str  # the ImageSet's recipe
    probabilities: Float32 | None = None  # [N,C], rows sum to 1

    def __len__(self) -> int:
        return len(self.features)

    def take(self, index: Int64 | slice) -> Embeddings:
        """Return the rows at `index`."""
        probabilities = None if self.probabilities is None else self.probabilities[index]
        return replace(self, features=self.features[index], groups=self.groups[index], probabilities=probabilities)


@runtime_checkable
class Extractor(Protocol):
    """A feature space: uint8 [N,C,H,W] -> float32 [N,D] features and [N,C] probabilities or None."""

    @property
    def identity(self) -> str:
        """Network, weights digest or recipe, layer, preparation: equal identities give comparable features."""

    @property
    def numeric_class(self) -> str:
        """Arithmetic of the features: "float32", "tf32" or "bfloat16". Within a class they agree to a tolerance."""

    def embed(self, pixels: UInt8, progress: Progress = no_progress) -> tuple[Float32, Float32 | None]:
        """Return features [N,D] and probabilities [N,C] or None."""
