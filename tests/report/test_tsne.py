from __future__ import annotations

import numpy as np
import pytest

from pytest_medgan.errors import MetricInputError
from pytest_medgan.report.tsne import choose, project


def clusters(count: int, centres: list[int], seed: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """Features [count,32] about unit axes."""
    rng = np.random.default_rng(seed)
    features = rng.normal(0, 0.05, (count, 32)).astype(np.float32)
    features[np.arange(count), np.array(centres)[rng.integers(len(centres), size=count)]] += 1
    return features


def test_images_that_are_alike_lie_together() -> None:
    """Generated images of one of three real clusters fall among that cluster's real images, and nowhere else."""
    real, fake = clusters(60, [0, 1, 2], 0), clusters(60, [2], 1)
    plane = project(real=real, fake=fake)
    assert plane is not None
    nearest = []
    for place in np.flatnonzero(~plane.is_real):
        gaps = np.linalg.norm(plane.coordinates[plane.is_real] - plane.coordinates[place], axis=1)
        nearest.append(int(real[plane.index[plane.is_real][gaps.argmin()]].argmax()))
    assert nearest.count(2) / len(nearest) > 0.95


def test_the_same_seed_gives_the_same_plane() -> None:
    real, fake = clusters(30, [0, 1], 0), clusters(30, [1, 2], 1)
    first, again = (project(real=real, fake=fake, seed=7) for _ in range(2))
    assert first is not None
    assert again is not None
    np.testing.assert_array_equal(first.coordinates, again.coordinates)
    assert first.coordinates.dtype == np.float32
    assert np.abs(first.coordinates).max() == pytest.approx(1)
    assert np.isfinite(first.coordinates).all()


def test_a_subset_is_drawn_of_many() -> None:
    plane = project(real=clusters(50, [0], 0), fake=clusters(30, [1], 1), points=40)
    assert plane is not None
    assert plane.is_real.tolist() == [True] * 20 + [False] * 20
    for side in (plane.is_real, ~plane.is_real):
        index = plane.index[side]
        assert (np.diff(index) > 0).all()
    assert plane.index[plane.is_real].max() < 50
    assert plane.index[~plane.is_real].max() < 30


def test_choose_takes_everything_when_there_is_little() -> None:
    rng = np.random.Generator(np.random.PCG64(0))
    assert choose(5, 10, rng).tolist() == [0, 1, 2, 3, 4]
    assert len(set(choose(100, 10, rng).tolist())) == 10


def test_identical_features_are_no_trouble() -> None:
    """A collapsed model: every generated image the same."""
    real, fake = clusters(20, [0, 1], 0), np.ones((20, 32), np.float32)
    plane = project(real=real, fake=fake)
    assert plane is not None
    assert np.isfinite(plane.coordinates).all()


def test_too_few_images_make_no_plane() -> None:
    assert project(real=clusters(3, [0], 0), fake=clusters(30, [0], 1)) is None


def test_features_of_two_extractors_are_refused() -> None:
    with pytest.raises(MetricInputError, match=r"\[N,D\] and \[M,D\], not \[20, 32\] and \[20, 16\]"):
        project(real=clusters(20, [0], 0), fake=clusters(20, [0], 1)[:, :16])
