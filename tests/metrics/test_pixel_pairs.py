"""Near-identical images, found through thumbnails."""

from __future__ import annotations

import numpy as np
import pytest

from pytest_medgan.metrics.pixel_pairs import difference, duplicate_distance, near_pairs, thumbnails


def test_near_pairs_equal_a_comparison_of_all_pairs(smooth, add_noise):
    left = add_noise(smooth[:40], 2)
    found = near_pairs(left, smooth, 2.0, most=80)
    every = np.sqrt(((left[:, None].astype(float) - smooth[None]) ** 2).mean((2, 3, 4)))
    assert sorted(map(tuple, found)) == sorted(zip(*np.nonzero(every <= 2.0), strict=True))
    assert len(found) > 10


@pytest.mark.parametrize("size", [(64, 64), (70, 45), (20, 33)])
def test_thumbnails_are_never_further_apart_than_their_images(size):
    rng = np.random.default_rng(0)
    one, two = (rng.integers(0, 256, (30, 1, *size), dtype=np.uint8) for _ in range(2))
    small_one, centre = thumbnails(one)
    small_two, _ = thumbnails(two, centre)
    small = (small_one.raw - small_two.raw).square().sum(1).sqrt().numpy()
    assert (small <= difference(one, two) * np.sqrt(size[0] * size[1]) * (1 + 1e-6)).all()


def test_duplicate_distance_is_half_the_smallest_percentile_of_distances_of_real_images(smooth):
    every = np.sqrt(((smooth[:, None].astype(float) - smooth[None]) ** 2).mean((2, 3, 4)))
    np.fill_diagonal(every, np.inf)
    assert duplicate_distance(smooth) == pytest.approx(np.quantile(every.min(1), 0.01) / 2)
    assert 0 < duplicate_distance(smooth) < every.min()


def test_duplicate_distance_leaves_out_equal_images(smooth):
    doubled = np.concatenate([smooth, smooth[:10]])
    assert duplicate_distance(doubled) > 0
    assert duplicate_distance(np.repeat(smooth[:1], 5, 0)) == 0
    assert duplicate_distance(smooth[:1]) == 0


def test_flat_images_at_the_distance_are_near():
    """Their thumbnails are as far apart as they are."""
    flat = np.full((1, 1, 64, 64), 100, np.uint8)
    assert near_pairs(flat, flat + np.uint8(2), 2.0, most=1).tolist() == [[0, 0]]
