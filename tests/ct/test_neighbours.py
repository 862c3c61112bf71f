"""Damage that only the slices next door reveal."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import RLELossless

from pytest_medgan.ct.load import prepare
from pytest_medgan.errors import DataError
from pytest_medgan.records import DataSettings


def write(study_class: Any, root: Path, damage: Callable[[np.ndarray], None], padding: int | None = None) -> None:
    """Six compressed slices; the stored values of the fourth are damaged."""

    def change(dataset: Dataset, index: int) -> None:
        pixels = dataset.pixel_array.copy()
        if padding is not None:
            row, column = np.mgrid[:64, :64]
            pixels[(row - 32) ** 2 + (column - 32) ** 2 > 31**2] = padding
            dataset.PixelPaddingValue = padding
        if index == 3:
            damage(pixels)
        dataset.PixelData = pixels.tobytes()

    for path in study_class(root, slices=6, change=change).write().files:
        dataset = dcmread(path)
        dataset.compress(RLELossless)
        dataset.save_as(path)


def shift(pixels: np.ndarray) -> None:
    """What one flipped bit does to a JPEG that stores differences."""
    pixels[40:] += 30


def slight_shift(pixels: np.ndarray) -> None:
    pixels[40:] += 1


def unharmed(pixels: np.ndarray) -> None:
    """Another anatomy is no damage."""
    pixels[10:30, 10:50] += 500


@pytest.mark.parametrize(
    ("damage", "padding", "refused"),
    [(shift, None, True), (slight_shift, 5, True), (unharmed, None, False), (unharmed, 5, False)],
)
def test_prepare_slice_shifted_against_its_neighbours_is_refused(
    *,
    study_class: Any,
    tmp_path: Path,
    small: Callable[..., DataSettings],
    damage: Callable[[np.ndarray], None],
    padding: int | None,
    refused: bool,
) -> None:
    write(study_class, tmp_path / "data", damage, padding)
    settings = small(tmp_path / "data", split="slice")
    if refused:
        with pytest.raises(DataError, match="differs so much from its neighbours") as caught:
            prepare(settings, cache_dir=tmp_path / "cache")
        assert caught.value.file == "PAT-001/study/series/003.dcm"
    else:
        assert len(prepare(settings, cache_dir=tmp_path / "cache").pixels) == 6


def test_prepare_air_whose_noise_falls_on_the_padding_value_is_no_damage(
    study_class: Any, tmp_path: Path, small: Callable[..., DataSettings]
) -> None:
    """Air lies at the lowest stored value, where noise is cut off, and PixelPaddingValue is that value."""
    rng = np.random.default_rng(0)

    def change(dataset: Dataset, index: int) -> None:
        noisy = dataset.pixel_array + rng.normal(0, 20, (64, 64))
        dataset.PixelData = np.clip(noisy, 0, 4095).astype("<u2").tobytes()
        dataset.PixelPaddingValue = 0

    for path in study_class(tmp_path / "data", slices=6, change=change).write().files:
        dataset = dcmread(path)
        dataset.compress(RLELossless)
        dataset.save_as(path)
    made = prepare(small(tmp_path / "data", split="slice"), cache_dir=tmp_path / "cache")
    assert len(made.pixels) == 6
