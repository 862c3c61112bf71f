"""Density and coverage: what algebra says of them. Exactness and peers stand in test_improved_pr.py."""

from __future__ import annotations

from itertools import combinations
from math import prod

import numpy as np
import pytest

from pytest_medgan.errors import MetricInputError
from pytest_medgan.metrics import density_coverage, improved_precision_recall


def expected_coverage(n: int, m: int, k: int) -> float:
    """Of exchangeable sets without ties."""
    return 1 - prod((n - j) / (n + m - j) for j in range(1, k + 1))


def test_expected_coverage_equals_published_values():
    assert expected_coverage(6080, 6080, 3) == pytest.approx(0.875062, abs=5e-7)
    assert expected_coverage(6080, 6080, 5) == pytest.approx(0.968789, abs=5e-7)


@pytest.mark.parametrize(("n", "k", "coverage"), [(4, 2, 6 / 7), (5, 3, 0.885714), (3, 1, 5 / 7)])
def test_mean_over_all_splits_of_eight_points_equals_expectation(n, k, coverage):
    points = np.random.default_rng(11).standard_normal((8, 3))
    found = []
    for chosen in combinations(range(8), n):
        real = points[list(chosen)]
        fake = np.delete(points, chosen, axis=0)
        found.append(density_coverage(real=real, fake=fake, k=k))
    density, covered = np.mean(found, 0)
    assert density == pytest.approx(1, abs=1e-12)
    assert covered == pytest.approx(coverage, abs=1e-6)
    assert covered == pytest.approx(expected_coverage(n, 8 - n, k), abs=1e-12)


@pytest.mark.slow
def test_two_draws_of_one_normal_match_the_readme_of_prdc():
    rng = np.random.default_rng(0)
    real, fake = (rng.standard_normal((10_000, 1_000), np.float32) for _ in range(2))
    precision, recall = improved_precision_recall(real=real, fake=fake, k=5)
    density, coverage = density_coverage(real=real, fake=fake, k=5)
    assert precision == pytest.approx(0.475, abs=0.04)
    assert recall == pytest.approx(0.475, abs=0.04)
    assert density == pytest.approx(1, abs=0.27)
    assert coverage == pytest.approx(0.9688, abs=0.025)


def test_single_generated_row_is_enough():
    real = np.arange(10.0)[:, None]
    assert density_coverage(real=real, fake=[[4.0]], k=1) == (3.0, 0.3)
    with pytest.raises(MetricInputError, match=r"fake has shape \[0, 1\]"):
        density_coverage(real=real, fake=np.empty((0, 1)), k=1)


def test_outlier_raises_recall_but_not_coverage():
    """Why coverage was proposed: one far generated pair makes balls that hold all real rows."""
    rng = np.random.default_rng(2)
    real = rng.standard_normal((200, 4))
    far = np.concatenate([np.full((100, 4), 30.0) + rng.standard_normal((100, 4)), [[-60.0] * 4, [60.0] * 4]])
    assert improved_precision_recall(real=real, fake=far, k=3)[1] == 1.0
    assert density_coverage(real=real, fake=far, k=5) == (0.0, 0.0)
