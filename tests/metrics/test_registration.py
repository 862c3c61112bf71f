"""The search for a repeated training image: what it finds under which change, against a literal correlation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from pytest_medgan.metrics.registration import (
    ANGLES,
    EDGE,
    FINE,
    LOCAL,
    MOST_SHIFT,
    QUIET,
    most_similar,
    prepare_search,
)


def pictures(count: int, seed: int = 0, side: int = 128) -> np.ndarray:
    """Smooth images uint8 [N,1,side,side] without a common outline."""
    rng = np.random.default_rng(seed)
    coarse = ndimage.gaussian_filter(rng.standard_normal((count, side, side)), (0, 4, 4))
    return (128 + 40 * coarse / coarse.std()).clip(0, 255).astype(np.uint8)[:, None]


TRAIN = pictures(40)
NEW = pictures(40, seed=1)


@pytest.fixture(scope="module")
def train():
    return prepare_search(TRAIN)


def turned(images: np.ndarray, angle: float) -> np.ndarray:
    return ndimage.rotate(images, angle, (2, 3), reshape=False, order=1, mode="nearest")


CHANGES = {
    "nothing": lambda images: images,
    "shift by 3 pixels": lambda images: np.roll(images, (3, -3), (2, 3)),
    "shift by 8 pixels": lambda images: np.roll(images, (-8, 5), (2, 3)),
    "turn by 10 degrees": lambda images: turned(images, 10),
    "turn by -7 degrees": lambda images: turned(images, -7),
    "mirror": lambda images: images[..., ::-1],
    "gain": lambda images: (images * 0.7).astype(np.uint8),
    "window": lambda images: (images * 1.3 - 40).clip(0, 255).astype(np.uint8),
    "blur": lambda images: ndimage.gaussian_filter(images, (0, 0, 1, 1)),
    "all": lambda images: turned(np.roll(images[..., ::-1], 4, 2), 5) // 2 + np.uint8(20),
}


@pytest.mark.parametrize("change", CHANGES)
def test_changed_copy_is_found_and_another_image_is_not(train, change):
    found, index = most_similar(CHANGES[change](TRAIN), train)
    others = most_similar(CHANGES[change](NEW), train)[0]
    assert (found > others.max()).mean() >= 0.95
    assert (index == np.arange(40)).mean() >= 0.95


def test_similarity_is_the_correlation_of_fine_structure(train):
    """Block means, two Gaussians, local contrast, and the correlation at every shift, in float64."""

    def fine(image: np.ndarray) -> np.ndarray:
        small = image.astype(float).reshape(32, 4, 32, 4).mean((1, 3))

        def blur(values: np.ndarray, sigma: float) -> np.ndarray:
            return ndimage.gaussian_filter(values, sigma, mode="nearest", radius=int(4 * sigma + 1))

        band = blur(small, FINE[0]) - blur(small, FINE[1])
        return band / np.sqrt(blur(band**2, LOCAL) + QUIET**2)

    images = np.roll(TRAIN[:5], (4, 8), (2, 3))
    found, index = most_similar(images, train)
    assert index.tolist() == [0, 1, 2, 3, 4]
    for row in range(5):
        own, other = fine(images[row, 0])[EDGE:-EDGE, EDGE:-EDGE].ravel(), fine(TRAIN[row, 0])
        best = max(
            np.corrcoef(own, other[EDGE + y : 32 - EDGE + y, EDGE + x : 32 - EDGE + x].ravel())[0, 1]
            for y in range(-MOST_SHIFT, MOST_SHIFT + 1)
            for x in range(-MOST_SHIFT, MOST_SHIFT + 1)
        )
        assert found[row] == pytest.approx(best, abs=2e-3)
    assert 0.0 in ANGLES


def test_result_does_not_depend_on_the_other_images(train):
    found, index = most_similar(NEW, train)
    alone = [most_similar(NEW[row : row + 1], train) for row in range(3)]
    assert found[:3] == pytest.approx([one[0][0] for one in alone], abs=1e-5)
    assert index[:3].tolist() == [int(one[1][0]) for one in alone]
    assert (abs(found) <= 1.01).all()


@pytest.mark.parametrize("side", [24, 32, 50, 200])
def test_images_of_any_size_are_searched(side):
    images = pictures(12, side=side)
    found, index = most_similar(images[..., ::-1], prepare_search(images))
    assert index.tolist() == list(range(12))
    assert found.min() > 0.97


def test_constant_images_are_similar_to_nothing(train):
    flat = np.full((3, 1, 128, 128), 100, np.uint8)
    assert most_similar(flat, train)[0] == pytest.approx(np.zeros(3), abs=1e-3)
    assert np.isfinite(most_similar(NEW, prepare_search(flat))[0]).all()
    assert abs(most_similar(NEW, prepare_search(flat))[0]).max() < 0.1
