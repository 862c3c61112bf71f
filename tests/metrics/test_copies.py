"""Copy rate and duplicate rate."""

from __future__ import annotations

import numpy as np
import pytest

from pytest_medgan.errors import MetricInputError
from pytest_medgan.metrics import copy_rate, duplicate_rate, measure, prepare_reference
from pytest_medgan.metrics.copies import COPY_DISTANCE
from pytest_medgan.metrics.pixel_pairs import difference, duplicate_distance, near_pairs, thumbnails


@pytest.fixture
def smooth():
    """uint8 [80,1,64,64] images that differ from one another at every scale."""
    rng = np.random.default_rng(0)
    coarse = rng.uniform(40, 200, (80, 8, 8))
    images = np.kron(coarse, np.ones((1, 8, 8))) + rng.normal(0, 4, (80, 64, 64))
    return images.clip(0, 255).astype(np.uint8)[:, None]


def jitter(images, amount, seed=1):
    noise = np.random.default_rng(seed).integers(-amount, amount + 1, images.shape)
    return (images.astype(int) + noise).clip(0, 255).astype(np.uint8)


def test_copy_rate_counts_only_near_identical_images(smooth):
    train, fake = smooth[:40], smooth[40:].copy()
    assert copy_rate(fake=fake, train=train) == 0
    fake[3], fake[8] = train[17], jitter(train[:1], 3)[0]
    fake[9] = jitter(train[5:6], 12)[0]
    assert copy_rate(fake=fake, train=train) == 2 / 40


def test_near_pairs_equal_a_comparison_of_all_pairs(smooth):
    left = jitter(smooth[:40], 2)
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


def test_duplicate_rate_counts_equal_and_near_images(smooth):
    fake = smooth[:40].copy()
    assert duplicate_rate(fake=fake, real=smooth[40:]) == 0
    fake[1] = fake[0]
    assert duplicate_rate(fake=fake) == 2 / 40
    fake[2] = jitter(fake[:1], 1)[0]
    assert duplicate_rate(fake=fake) == 2 / 40
    assert duplicate_rate(fake=fake, real=smooth[40:]) == 3 / 40
    assert duplicate_rate(fake=np.repeat(fake[:1], 30, 0)) == 1


def test_duplicate_distance_lies_below_distances_of_real_images(smooth):
    every = np.sqrt(((smooth[:, None].astype(float) - smooth[None]) ** 2).mean((2, 3, 4)))
    np.fill_diagonal(every, np.inf)
    assert 0 < duplicate_distance(smooth) < every.min()
    assert duplicate_distance(np.repeat(smooth[:1], 5, 0)) == 0


def test_rate_of_zero_has_a_positive_error(smooth):
    rng = np.random.default_rng(0)
    names = ["copy_rate", "duplicate_rate"]
    reference = prepare_reference(
        rng.standard_normal((30, 4)), pixels=smooth[:30], train_pixels=smooth[:40], metrics=names
    )
    found = measure(reference, fake=rng.standard_normal((40, 4)), pixels=smooth[40:], metrics=names).estimates
    for name in names:
        assert found[name].value == 0
        assert 0.01 < found[name].se < 0.1


def test_evidence_lists_copies_and_duplicates(smooth):
    rng = np.random.default_rng(0)
    fake = smooth[40:].copy()
    fake[4], fake[7] = smooth[11], fake[6]
    names = ["copy_rate", "duplicate_rate"]
    reference = prepare_reference(rng.standard_normal((30, 4)), pixels=smooth[:30], train_pixels=smooth, metrics=names)
    found = measure(reference, fake=rng.standard_normal((40, 4)), pixels=fake, metrics=names, evidence=True).evidence
    assert [4, 11] in found.copies.tolist()
    assert sorted(found.duplicates.tolist()) == [[6, 7], [7, 6]]


def test_arrays_of_other_types_and_shapes_are_refused(smooth):
    with pytest.raises(MetricInputError, match=r"fake is float64 of shape \[2, 1, 8, 8\]; give uint8"):
        duplicate_rate(fake=np.zeros((2, 1, 8, 8)))
    with pytest.raises(MetricInputError, match=r"train has shape \[80, 1, 64, 32\] but other images are 64x64"):
        copy_rate(fake=smooth, train=smooth[..., :32])
    with pytest.raises(MetricInputError, match="distance is -1"):
        copy_rate(fake=smooth, train=smooth, distance=-1)
    assert COPY_DISTANCE == 2.55
