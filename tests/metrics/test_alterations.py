"""Alterations of real images: each changes what its name says, whatever the size, and the same in every call."""

from __future__ import annotations

import numpy as np
import pytest

from pytest_medgan.metrics.alterations import ALTERATIONS, altered_images, soften
from pytest_medgan.records import Alteration


def ramps(count: int, side: int = 64) -> np.ndarray:
    """Images uint8 [N,1,side,side] with a line, brighter to the right and below, by amounts of their own."""
    rng = np.random.default_rng(0)
    row, column = np.indices((side, side)) * 64 / side
    slopes = rng.uniform(0.5, 1.5, (2, count, 1, 1))
    line = 40 * (abs(row - 20 - column / 4) < 2)
    return (30 + slopes[0] * row + slopes[1] * column + line).clip(0, 255).round().astype(np.uint8)[:, None]


def test_every_alteration_has_a_function_and_words():
    assert tuple(ALTERATIONS) == tuple(Alteration)
    assert len({name.words for name in Alteration}) == len(Alteration)


@pytest.mark.parametrize("side", [32, 64])
def test_images_are_altered_in_the_same_way_in_every_call(side):
    first, second = (dict(altered_images(ramps(8, side))) for _ in range(2))
    assert list(first) == [None, *Alteration]
    for name, pixels in first.items():
        assert pixels.dtype == np.uint8
        assert pixels.shape == (8, 1, side, side)
        assert np.array_equal(pixels, second[name])
        if name is not None:
            assert (pixels != first[None]).any((1, 2, 3)).all(), name


def test_softening_keeps_the_mean_and_lowers_the_contrast_of_neighbours():
    noise = np.random.default_rng(0).integers(0, 256, (20, 64, 64), dtype=np.uint8)
    soft = soften(noise, np.random.default_rng(1))
    gaps = abs(np.diff(soft, axis=2)).mean((1, 2)) / abs(np.diff(noise.astype(float), axis=2)).mean((1, 2))
    assert (gaps < 1 + 1e-6).all()
    assert gaps.min() < 0.5 < gaps.max()
    assert soft.mean((1, 2)) == pytest.approx(noise.mean((1, 2)), abs=2)


def test_alterations_of_shape_are_those_of_their_names():
    soft = ramps(8)[:, 0].astype(np.float32)
    done = {name: alter(soft, np.random.default_rng(0)) for name, alter in ALTERATIONS.items()}
    assert np.array_equal(done[Alteration.UPSIDE_DOWN], soft[:, ::-1])
    joined = done[Alteration.JOINED_HALVES]
    assert np.array_equal(joined[0, :, :32], soft[0, :, :32])
    assert any(np.array_equal(joined[0, :, 32:], other[:, 32:]) for other in soft[1:])
    assert np.array_equal(joined[2, :32], soft[2, :32])
    mirrored = done[Alteration.MIRRORED_HALVES]
    assert np.array_equal(mirrored[0], mirrored[0, :, ::-1])
    assert np.array_equal(mirrored[2], mirrored[2, ::-1])
    erased = done[Alteration.ERASED_CENTRE]
    assert erased[:, 31, 31:33].std(1).max() < 1e-3
    assert np.array_equal(erased[:, :16], soft[:, :16])
    warped = done[Alteration.LOCAL_WARP]
    assert abs(warped - soft)[:, :4, :4].max() < 2 < abs(warped - soft).max((1, 2)).min()


def test_alterations_of_texture_add_what_their_names_say():
    flat = np.full((12, 64, 64), 100, np.float32)
    done = {name: alter(flat, np.random.default_rng(0)) for name, alter in ALTERATIONS.items()}
    checker = done[Alteration.CHECKERBOARD]
    assert all(len(np.unique(image)) == 2 for image in checker)
    assert all(np.array_equal(image - 100, 100 - np.roll(image, size, 0)) for image, size in checkers(checker))
    for image in done[Alteration.STREAKS]:
        assert min(np.ptp(image, 0).max(), np.ptp(image, 1).max()) == 0 < image.std()
    assert 2.9 < done[Alteration.NOISE].std((1, 2)).min() <= done[Alteration.NOISE].std((1, 2)).max() < 10.1
    assert np.array_equal(done[Alteration.MOTION], flat)
    assert done[Alteration.GHOST] == pytest.approx(flat)


def checkers(images: np.ndarray) -> list[tuple[np.ndarray, int]]:
    """Return each image with the size of its fields."""
    return [(image, int(np.flatnonzero(image[:, 0] != image[0, 0])[0])) for image in images]


def test_single_image_can_be_altered():
    assert all(len(pixels) == 1 for _, pixels in altered_images(ramps(1)))
