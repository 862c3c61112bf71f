"""Precision and recall of distributions; the vectors are those of prd_score_test.py."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pytest_medgan.errors import MetricInputError
from pytest_medgan.metrics import (
    kmeans,
    measure,
    prd,
    prd_curve,
    precision_recall_distribution,
    prepare_reference,
)
from pytest_medgan.metrics.pairwise import mean_of, points
from pytest_medgan.metrics.prd_clusters import Clustered
from pytest_medgan.metrics.prd_curve import curve, f_beta, f_pair
from pytest_medgan.metrics.uncertainty import random_half

PRD = ("precision", "recall")


def eleven(evaluated, reference):
    precision, recall = curve(fake=evaluated, real=reference, angles=11).T
    return precision, recall


def test_disjoint_distributions_score_zero():
    precision, recall = eleven([0, 1], [1, 0])
    assert precision == pytest.approx(0, abs=1e-9)
    assert recall == pytest.approx(0, abs=1e-9)


def test_half_of_generated_mass_on_real_mode_halves_precision():
    precision, recall = eleven([0.5, 0.5], [1, 0])
    assert (precision[5], recall[5], precision[10], recall[1]) == pytest.approx((0.5, 0.5, 0.5, 1))


def test_half_of_real_mass_generated_halves_recall():
    precision, recall = eleven([1, 0], [0.5, 0.5])
    assert (precision[5], recall[5], recall[1], precision[10]) == pytest.approx((0.5, 0.5, 0.5, 1))


def test_equal_distributions_score_one():
    precision, recall = eleven([1, 0], [1, 0])
    assert (precision[5], recall[5]) == pytest.approx((1, 1))


@pytest.mark.parametrize(
    ("beta", "expected"),
    [
        (1, [1, 0, 0, 0, 0.5, 2 / 3, 2 / 3]),
        (2, [1, 0, 0, 0, 0.5, 5 / 9, 5 / 6]),
        (0.5, [1, 0, 0, 0, 0.5, 5 / 6, 5 / 9]),
    ],
)
def test_f_beta_equals_published_values(beta, expected):
    found = f_beta([1, 1, 0, 0, 0.5, 1, 0.5], [1, 0, 1, 0, 0.5, 0.5, 1], beta)
    assert found == pytest.approx(expected, abs=1e-9)


def test_curve_equals_a_loop_over_angles_and_clusters():
    rng = np.random.default_rng(0)
    real, fake = rng.dirichlet(np.ones(20)), rng.dirichlet(np.ones(20))
    expected = []
    for angle in np.linspace(1e-10, np.pi / 2 - 1e-10, 1001):
        slope = np.tan(angle)
        precision = sum(min(slope * r, f) for r, f in zip(real, fake, strict=True))
        recall = sum(min(r, f / slope) for r, f in zip(real, fake, strict=True))
        expected.append((min(precision, 1), min(recall, 1)))
    assert curve(real=real, fake=fake) == pytest.approx(np.array(expected), abs=1e-9)


def test_histograms_that_do_not_sum_to_one_are_refused():
    with pytest.raises(MetricInputError, match="sum to 1"):
        curve(real=[2.0, 1.0], fake=[2.0, 1.0])


def test_seed_decides_the_numbers(two_sets):
    real, fake = (side[:60] for side in two_sets)
    first = precision_recall_distribution(real=real, fake=fake, seed=0)
    assert precision_recall_distribution(real=real, fake=fake, seed=0) == first
    assert precision_recall_distribution(real=real, fake=fake, seed=1) != first


def test_missing_mode_lowers_recall_and_extra_mode_lowers_precision():
    rng = np.random.default_rng(0)
    modes = 10 * rng.standard_normal((5, 16))

    def draw(kinds):
        return modes[np.repeat(kinds, 60)] + rng.standard_normal((60 * len(kinds), 16))

    all_five, four = draw([0, 1, 2, 3, 4]), draw([0, 1, 2, 3])
    dropped = precision_recall_distribution(real=all_five, fake=four)
    invented = precision_recall_distribution(real=four, fake=all_five)
    assert dropped[0] > 0.9 > dropped[1]
    assert invented[1] > 0.9 > invented[0]


def test_constants_are_those_of_prd_score():
    assert (prd.CLUSTERS, prd.RUNS, kmeans.STARTS, kmeans.BATCH) == (20, 10, 10, 1024)
    assert (prd_curve.BETA, prd_curve.ANGLES, prd_curve.EPSILON) == (8, 1001, 1e-10)


def test_larger_set_is_sampled(two_sets):
    real, fake = (torch.from_numpy(side) for side in two_sets)
    clustered = Clustered(points(real, mean_of(real)), points(fake, mean_of(real)), 20, 2, 0)
    assert clustered.real.shape == clustered.fake.shape == (2, 300)
    assert len(set(clustered.rows_real.tolist())) == 300
    assert clustered.rows_real.max() > 300
    assert (clustered.rows_fake == np.arange(300)).all()


def test_value_is_the_mean_of_the_runs_at_the_best_angle(two_sets):
    real, fake = (torch.from_numpy(side[:200]) for side in two_sets)
    clustered = Clustered(points(real, mean_of(real)), points(fake, mean_of(real)), 20, 10, 0)
    precision, recall = f_pair(clustered.curve)
    assert clustered.best(1 / 8)[1].mean() == pytest.approx(precision, abs=1e-9)
    assert clustered.best(8)[1].mean() == pytest.approx(recall, abs=1e-9)
    assert clustered.best(8)[1].std() > 0


def test_errors_of_groups_of_one_image_are_those_without_groups(two_sets):
    real, fake = (side[:200] for side in two_sets)
    reference = prepare_reference(real, metrics=PRD)
    single, plain = (
        measure(reference, fake=fake, fake_groups=groups, metrics=PRD).estimates
        for groups in (np.arange(200)[::-1], None)
    )
    assert dict(single) == dict(plain)


def test_error_by_group_is_the_spread_over_halves_of_the_groups(two_sets):
    real, fake = (torch.from_numpy(side[:200]) for side in two_sets)
    sample = Clustered(points(real, mean_of(real)), points(fake, mean_of(real)), 20, 3, 0)
    group, rng, values = np.arange(200) // 20, np.random.default_rng(0), []
    for _ in range(50):
        rows = random_half(group, rng)
        pairs = zip(sample.real, sample.fake[:, rows], strict=True)
        curves = [
            curve(real=np.bincount(r, minlength=20) / 200, fake=np.bincount(f, minlength=20) / 100) for r, f in pairs
        ]
        values.append(f_pair(np.mean(curves, 0)))
    assert sample.spread_by_group(group) == pytest.approx(tuple(np.std(values, axis=0, ddof=1)))
    assert sample.spread_by_group(group + 7) == sample.spread_by_group(group)
    assert np.isnan(sample.spread_by_group(np.zeros(200, int))).all()


def test_too_few_rows_for_the_clusters_are_refused():
    with pytest.raises(MetricInputError, match=r"real \[9, 2\] and fake \[30, 2\] have too few rows for clusters=20"):
        precision_recall_distribution(real=np.zeros((9, 2)), fake=np.zeros((30, 2)))


def official(real: np.ndarray, fake: np.ndarray, seed: int) -> tuple[float, float]:
    """prd_score.py: ten unseeded runs of MiniBatchKMeans(20, n_init=10), here with a seed."""
    from sklearn.cluster import MiniBatchKMeans

    curves = []
    for run in range(10):
        model = MiniBatchKMeans(n_clusters=20, n_init=10, random_state=1000 * seed + run)
        labels = model.fit(np.concatenate([fake, real])).labels_
        evaluated, reference = (
            np.bincount(part, minlength=20) / len(part) for part in (labels[: len(fake)], labels[len(fake) :])
        )
        curves.append(curve(real=reference, fake=evaluated))
    return f_pair(np.mean(curves, 0))


def data_set(name: str) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    n = 1500
    if name == "blobs":
        modes = 3 * rng.standard_normal((12, 24))
        real = modes[rng.integers(0, 12, n)] + rng.standard_normal((n, 24))
        fake = modes[rng.integers(0, 9, n)] + 1.1 * rng.standard_normal((n, 24))
    elif name == "shifted normals":
        real, fake = rng.standard_normal((n, 32)), 0.9 * rng.standard_normal((n, 32)) + 0.3
    else:  # activations: non-negative, correlated, of unequal size
        mixing = rng.standard_normal((16, 64)) / 4
        real, fake = (
            np.maximum(rng.standard_normal((n, 16)) * np.linspace(gain, 0.2, 16) @ mixing + 0.2, 0) for gain in (2, 1.6)
        )
    return real.astype(np.float32), fake.astype(np.float32)


@pytest.mark.slow
@pytest.mark.parametrize("beta", [1 / 8, 8])
def test_spread_of_the_runs_is_the_spread_over_seeds(beta):
    """Of one data set; runs that share batches, and the spread of each run's own largest F, tell too little."""
    claimed, values = [], []
    for draw in range(3):
        rng = np.random.default_rng(draw)
        rows = rng.standard_normal((1800, 24)).astype(np.float32)
        real, fake = rows[:900], 0.95 * rows[900:] + np.float32(0.15)
        sides = [points(torch.from_numpy(side), mean_of(torch.from_numpy(real))) for side in (real, fake)]
        runs = [Clustered(*sides, 20, 10, seed).best(beta)[1] for seed in range(30)]
        claimed.append(np.mean([run.var(ddof=1) / 10 for run in runs]))
        values.append(np.var([run.mean() for run in runs], ddof=1))
    assert 0.85 < np.sqrt(np.mean(claimed) / np.mean(values)) < 1.2


@pytest.mark.slow
@pytest.mark.peer
@pytest.mark.parametrize("name", ["blobs", "shifted normals", "activations"])
def test_mean_over_twenty_seeds_equals_the_reference_procedure(name):
    real, fake = data_set(name)
    ours = np.mean([precision_recall_distribution(real=real, fake=fake, seed=seed) for seed in range(20)], 0)
    theirs = np.mean([official(real, fake, seed) for seed in range(20)], 0)
    assert ours == pytest.approx(theirs, abs=0.005)
