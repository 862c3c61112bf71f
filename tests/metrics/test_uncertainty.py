"""Standard errors."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pytest_medgan.metrics import measure, prepare_reference
from pytest_medgan.metrics.look import Look
from pytest_medgan.metrics.pairwise import points
from pytest_medgan.metrics.passes import fake_balls, real_balls
from pytest_medgan.metrics.uncertainty import (
    blocks_of,
    jackknife_noise,
    jackknife_se,
    mean_se,
    random_half,
    rate_se,
    remove_variance,
)


def test_error_of_a_rate_adds_two_hits_and_two_misses():
    assert rate_se(0, 100) == pytest.approx(np.sqrt(2 / 104 * 102 / 104 / 104))
    assert rate_se(100, 100) == pytest.approx(rate_se(0, 100))
    assert rate_se(5000, 10000) == pytest.approx(0.005, rel=1e-3)


def test_error_of_a_mean_of_rows_and_of_groups():
    rng = np.random.default_rng(0)
    values = rng.standard_normal(600)
    assert mean_se(values) == pytest.approx(values.std(ddof=1) / np.sqrt(600))
    repeated = np.repeat(values[:50], 12)
    assert mean_se(repeated, np.repeat(np.arange(50), 12)) == pytest.approx(values[:50].std(ddof=1) / np.sqrt(50))


def test_jackknife_of_a_mean_is_its_standard_error():
    values = np.random.default_rng(0).standard_normal(60)
    without = (values.sum() - values) / 59
    assert jackknife_se(values.mean(), without, np.ones(60, int)) == pytest.approx(mean_se(values))


def test_jackknife_of_unequal_blocks_is_the_spread_over_draws():
    """Compare the estimated error with the true one, for a mean over blocks of one to nine rows."""
    rng = np.random.default_rng(0)
    sizes = np.tile(np.arange(1, 10), 6)
    block = np.repeat(np.arange(len(sizes)), sizes)
    found = []
    for _ in range(400):
        values = rng.standard_normal(len(block))
        sums = np.bincount(block, weights=values)
        without = (values.sum() - sums) / (len(block) - sizes)
        found.append((values.mean(), jackknife_se(values.mean(), without, sizes)))
    means, errors = np.array(found).T
    assert 0.9 < np.sqrt((errors**2).mean()) / means.std() < 1.1


def test_jackknife_noise_is_the_variance_that_sampling_adds():
    """All deletions are measured on the same few images, whose values are pure noise; blocks are of unequal size."""
    rng = np.random.default_rng(0)
    sizes = np.tile([4, 6, 10], 10)
    block = np.repeat(np.arange(30), sizes)
    squares, noises = [], []
    for _ in range(300):
        seen = rng.standard_normal((30, 50))  # value of each block for each image
        sums = seen * sizes[:, None]
        shares = (sums.sum(0) - sums) / (len(block) - sizes)[:, None] - sums.sum(0) / len(block)
        squares.append(jackknife_se(0.0, shares.mean(1), sizes) ** 2)
        noises.append(jackknife_noise(shares.var(1) / 50, sizes))
    assert np.mean(noises) == pytest.approx(np.mean(squares), rel=0.1)


@pytest.mark.parametrize(("groups", "expected"), [(6, 1.0), (5, (6 / 4 + 4 / 6) / 2), (3, (4 / 2 + 2 / 4) / 2)])
def test_random_halves_vary_like_the_mean_of_all(groups, expected):
    values = np.array([1.0, 2.0, 4.0, 8.0, 16.0, 32.0])[:groups]
    rng = np.random.default_rng(0)
    halves = [values[random_half(np.arange(groups), rng)].mean() - values.mean() for _ in range(4000)]
    assert np.mean(np.square(halves)) / (values.var(ddof=1) / groups) == pytest.approx(expected, rel=0.08)


def test_removed_variance_leaves_at_least_zero():
    assert remove_variance(0.5, 0.16) == pytest.approx(0.3)
    assert remove_variance(0.5, 0.3) == 0


def test_blocks_keep_groups_whole_and_are_nearly_equal():
    group = np.random.default_rng(0).integers(0, 400, 3000)
    group = np.unique(group, return_inverse=True)[1]
    block = blocks_of(group)
    assert block.max() == 99
    assert all(len(set(block[group == one])) == 1 for one in range(group.max() + 1))
    sizes = np.bincount(block)
    assert sizes.max() - sizes.min() <= 4
    single = np.bincount(blocks_of(np.arange(1234)))
    assert single.max() - single.min() <= 1
    assert (blocks_of(np.arange(7)) == np.arange(7)).all()


def values(real, fake, names):
    """Return the values of a new measurement."""
    reference = prepare_reference(real, metrics=names)
    return {name: one.value for name, one in measure(reference, fake=fake, metrics=names).estimates.items()}


def test_values_without_each_block_equal_new_measurements(two_sets):
    """Compare the counts behind the ball metrics' errors with new measurements without each block."""
    real, fake = (side[:90] for side in two_sets)
    names = ("improved_precision", "improved_recall", "density", "coverage")
    patient = np.arange(90) // 5  # eighteen blocks of similar rows
    real = real + np.repeat(np.random.default_rng(0).standard_normal((18, 32)), 5, 0).astype(np.float32)
    reference = prepare_reference(real, groups=patient, metrics=names)
    ready = points(torch.from_numpy(fake), reference.centre)
    look = Look(reference, ready, ready, names)
    by_patient, covered = real_balls(look, 3).deletions, real_balls(look, 5).covered(5)
    precision = by_patient[3].members_without() / 90
    density = by_patient[5].pairs_without(int(real_balls(look, 5).counts(5).sum())) / 5 / 90
    coverage = by_patient[5].covered_without(covered) / 85
    changed, member = by_patient[3].changed_members(), real_balls(look, 3).members(3).numpy()
    assert changed.sum() > 0
    recall = fake_balls(look, 3).deletions[3].members_without() / 90
    for block in range(18):
        left = values(real[patient != block], fake, names)
        without = measure(
            prepare_reference(real[patient != block], metrics=names), fake=fake, metrics=names, evidence=True
        ).evidence.fake_in_real
        assert changed[block] == (without != member).sum()
        assert precision[block] == pytest.approx(left["improved_precision"], abs=1e-12)
        assert density[block] == pytest.approx(left["density"], abs=1e-12)
        assert coverage[block] == pytest.approx(left["coverage"], abs=1e-12)
    for row in range(0, 90, 10):
        kept = np.arange(90) != row
        block = look.fake_block[row]
        left = values(real, fake[kept], names)
        assert recall[block] == pytest.approx(left["improved_recall"], abs=1e-12)


@pytest.mark.slow
def test_standard_errors_are_near_the_spread_over_draws():
    """A short form of benchmarks/metrics_calibration.py."""
    names = ("fid", "kid", "improved_precision", "improved_recall", "density", "coverage")
    rows: dict[str, list[tuple[float, float, float, float]]] = {name: [] for name in names}
    fixed = prepare_reference(np.random.default_rng(9).standard_normal((600, 16)), metrics=names)
    for turn in range(250):
        rng = np.random.default_rng(turn)
        fake = 0.95 * rng.standard_normal((500, 16)) + 0.15
        redrawn = prepare_reference(rng.standard_normal((600, 16)), metrics=names)
        one, two = (measure(side, fake=fake, metrics=names).estimates for side in (fixed, redrawn))
        for name in names:
            rows[name].append((one[name].value, one[name].se, two[name].value, two[name].se_total))
    for name, found in rows.items():
        values = np.array(found)
        ratio = np.sqrt((values[:, [1, 3]] ** 2).mean(0)) / values[:, [0, 2]].std(0, ddof=1)
        high = 1.7 if name in ("improved_recall", "coverage") else 1.15
        assert (ratio > 0.85 * 0.9).all(), (name, ratio)
        assert (ratio < high * 1.1).all(), (name, ratio)
