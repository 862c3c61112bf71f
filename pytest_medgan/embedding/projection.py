"""A fixed linear map from raw statistics of a network's maps to few whitened features, read from a file."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import safetensors
from safetensors.numpy import load

from pytest_medgan.ground.blas import one_blas_thread
from pytest_medgan.records import Float32, Float64

FORMAT = "pytest-medgan projection 1"


@dataclass(frozen=True, eq=False)
class Projection:
    """features = ((raw - mean) / spread) @ components * gain."""

    mean: Float64  # [D]
    spread: Float64  # [D]
    components: Float64  # [D,K], orthonormal columns
    gain: Float64  # [K]
    digest: str  # hex digest of the file

    def apply(self, raw: Float32) -> Float32:
        """Return features [N,K] of raw statistics [N,D], computed in float64 on one thread."""
        with one_blas_thread():
            features = ((raw - self.mean) / self.spread) @ self.components * self.gain
        result: Float32 = features.astype("float32")
        return result


def read_projection(file: Path) -> Projection:
    """Return the projection in a safetensors file.

    Raises:
        ValueError: The file holds something else.
    """
    content = file.read_bytes()
    with safetensors.safe_open(file, framework="numpy") as reader:
        if (reader.metadata() or {}).get("format") != FORMAT:
            raise ValueError(f"{file.name} is no {FORMAT}")
    parts = {name: array.astype("float64") for name, array in load(content).items()}
    return Projection(**parts, digest=hashlib.sha256(content).hexdigest()[:16])
