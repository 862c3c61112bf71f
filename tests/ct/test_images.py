"""Crop, window, resize, quantise."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest

from pytest_medgan.ct.images import AIR, crop, crop_corner, finish_image, resize, resize_weights, to_grey, upright
from pytest_medgan.errors import SettingsError

WINDOW = (-1000.0, 400.0)


def pattern(rows: int = 512, columns: int = 512) -> np.ndarray:
    """HU from -1200 to 600 that integer arithmetic alone decides."""
    row, column = np.mgrid[:rows, :columns].astype(np.int64)
    return ((row * 7919 + column * 104729 + row * column * 31) % 1801 - 1200).astype(np.float64)


def finish(hounsfield: np.ndarray, **changes: object) -> np.ndarray:
    corner = crop_corner(*hounsfield.shape, None, 160)
    return finish_image(hounsfield, **{"corner": corner, "crop_size": 160, "size": 128, "window": WINDOW} | changes)


def test_finish_image_equals_the_golden_digest() -> None:
    """Integer arithmetic: any machine, any numpy, any vector width."""
    image = finish(pattern())
    assert image.shape == (128, 128)
    assert image.dtype == np.uint8
    golden = "5db54aa92f6f9aad0b92002ae1affd1450fdb0aa9a404f5667606a127174e720"
    assert hashlib.sha256(image.tobytes()).hexdigest() == golden


@pytest.mark.parametrize(("crop_size", "size"), [(160, 128), (512, 128), (100, 128), (150, 64), (161, 128)])
def test_resize_equals_torchs_antialiased_bilinear(crop_size: int, size: int) -> None:
    torch = pytest.importorskip("torch")
    grey = to_grey(pattern(crop_size, crop_size), WINDOW)
    ours = resize(grey, size)
    exact = torch.from_numpy(grey / 4096.0)[None, None]
    theirs = torch.nn.functional.interpolate(exact, (size, size), mode="bilinear", antialias=True, align_corners=False)
    assert np.abs(ours - theirs[0, 0].numpy()).max() <= 0.5 + 0.02  # rounding, and weights of 14 bits


def test_resize_weights_of_every_pixel_sum_to_one() -> None:
    for length, size in [(160, 128), (512, 128), (31, 128), (128, 1)]:
        taps, weights = resize_weights(length, size)
        assert (weights.sum(axis=0) == 1 << 14).all()
        assert taps.min() >= 0
        assert taps.max() < length


def test_finish_image_of_a_flat_slice_is_flat() -> None:
    for value, grey in [(-1000.0, 0), (400.0, 255), (-300.0, 128), (-2000.0, 0), (3000.0, 255)]:
        assert (finish(np.full((512, 512), value)) == grey).all()


def test_to_grey_does_not_depend_on_the_images_own_range() -> None:
    dim = np.full((512, 512), -900.0)
    bright = dim.copy()
    bright[0, 0] = 3000.0  # outside the crop
    bright[256, 256] = 400.0
    differs = finish(dim) != finish(bright)
    assert 1 <= differs.sum() <= 9


def test_crop_fills_edge_and_padding_with_air() -> None:
    tissue = np.full((64, 64), 40.0)
    cut = crop(tissue, -10, 50, 40)
    assert (cut[:10] == AIR).all()
    assert (cut[:, 14:] == AIR).all()
    assert (cut[10:, :14] == 40.0).all()
    tissue[5, 5], tissue[6, 6] = np.nan, -2000.0
    cut = crop(tissue, 0, 0, 64)
    assert cut[5, 5] == cut[6, 6] == AIR
    assert (crop(tissue, 1000, 1000, 8) == AIR).all()


def test_finish_image_air_is_air_in_any_window() -> None:
    """Padding must not turn to the window's lower end where that lies below air."""
    void = np.full((160, 160), np.nan)
    image = finish_image(void, corner=(0, 0), crop_size=160, size=128, window=(-1400.0, 200.0))
    assert (image == round(255 * 400 / 1600)).all()


def test_crop_corner_lies_on_the_centre() -> None:
    assert crop_corner(512, 512, None, 160) == (176, 176)
    assert crop_corner(512, 512, (Fraction(511, 2), Fraction(511, 2)), 160) == (176, 176)
    assert crop_corner(512, 512, (Fraction(100), Fraction(10)), 161) == (20, -70)
    assert crop_corner(512, 512, (Fraction(1001, 10), Fraction(998, 10)), 161) == (20, 20)


@pytest.mark.parametrize(
    "changes", [{"crop_size": 0}, {"size": 0}, {"window": (400.0, -1000.0)}, {"window": (0.0, float("nan"))}]
)
def test_check_geometry_invalid_values_are_refused(changes: dict[str, object]) -> None:
    with pytest.raises(SettingsError, match="Give"):
        finish(pattern(), **changes)


@pytest.mark.parametrize(
    ("orientation", "stored"),
    [
        ((1, 0, 0, 0, 1, 0), lambda image: image),  # supine, as scanners store it
        ((-1, 0, 0, 0, -1, 0), lambda image: image[::-1, ::-1]),  # prone
        ((-1, 0, 0, 0, 1, 0), lambda image: image[:, ::-1]),  # seen from the head
        ((1, 0, 0, 0, -1, 0), lambda image: image[::-1]),  # supine, upside down
        ((0, 1, 0, 1, 0, 0), lambda image: image.T),  # stored by columns
        ((0, -1, 0, 1, 0, 0), lambda image: image[::-1].T),
        ((0, 1, 0, -1, 0, 0), lambda image: image[:, ::-1].T),
        ((0.9996, 0.03, 0, -0.03, 0.9996, 0), lambda image: image),  # a slight turn is none
    ],
)
def test_upright_turns_any_axial_plane_left_and_back(
    orientation: tuple[float, ...], stored: Callable[[np.ndarray], np.ndarray]
) -> None:
    image = np.arange(16, dtype=np.uint8).reshape(4, 4)
    assert np.array_equal(upright(np.ascontiguousarray(stored(image)), orientation), image)
