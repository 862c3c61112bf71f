"""The linear map from raw statistics to features."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save

from pytest_medgan.embedding.projection import FORMAT, read_projection
from pytest_medgan.records import Float32

PARTS = {
    "mean": np.float32([1, 2, 3]),
    "spread": np.float32([1, 2, 4]),
    "components": np.float16([[1, 0], [0, 0.5], [0, 0.25]]),
    "gain": np.float32([10, 8]),
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "map.safetensors").write_bytes(save(PARTS, {"format": FORMAT}))
    return tmp_path / "map.safetensors"


def test_projection_equals_its_formula(file: Path) -> None:
    features = read_projection(file).apply(np.float32([[2, 6, 7], [1, 2, 3]]))
    assert features.dtype == np.float32
    assert features.tolist() == [[10.0, 8 * (0.5 * 2 + 0.25 * 1)], [0.0, 0.0]]


def test_projection_does_not_round_before_the_end(file: Path) -> None:
    """float32 products of these numbers would lose the small difference."""
    raw: Float32 = np.float32([[1 + 2**-20, 2, 3]])
    assert read_projection(file).apply(raw)[0, 0] == np.float32(10 * 2.0**-20)


def test_digest_names_the_file(file: Path) -> None:
    first = read_projection(file).digest
    changed = {**PARTS, "gain": np.float32([10, 8.0001])}
    file.write_bytes(save(changed, {"format": FORMAT}))
    assert read_projection(file).digest != first


def test_file_of_another_format_is_an_error(file: Path) -> None:
    file.write_bytes(save(PARTS, {"format": "something else"}))
    with pytest.raises(ValueError, match="no pytest-medgan projection"):
        read_projection(file)
