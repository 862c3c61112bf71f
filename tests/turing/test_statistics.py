from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from pytest_medgan.turing.statistics import (
    clopper_pearson,
    cohen_kappa,
    effective_count,
    fleiss_kappa,
    rating_area,
    wilson,
)


@pytest.mark.parametrize(("hits", "count"), [(0, 10), (10, 10), (3, 10), (55, 100), (1, 1), (500, 1000)])
def test_intervals_agree_with_scipy(hits: int, count: int) -> None:
    """scipy.stats.binomtest as the oracle."""
    test = stats.binomtest(hits, count)
    exact, score = test.proportion_ci(method="exact"), test.proportion_ci(method="wilson")
    assert clopper_pearson(hits, count) == pytest.approx((exact.low, exact.high), abs=1e-12)
    assert wilson(hits / count, count) == pytest.approx((score.low, score.high), abs=1e-12)


def test_no_trial_says_nothing() -> None:
    assert clopper_pearson(0, 0) == wilson(0.5, 0) == (0.0, 1.0)


def test_cohens_kappa_of_a_known_table() -> None:
    """Both yes 20, yes/no 5, no/yes 10, both no 15: observed .7, chance .5, kappa .4 (Wikipedia, Cohen's kappa)."""
    first = np.array([True] * 25 + [False] * 25)
    second = np.array([True] * 20 + [False] * 5 + [True] * 10 + [False] * 15)
    assert cohen_kappa(first, second) == pytest.approx(0.4)
    assert cohen_kappa(first, first) == 1
    assert cohen_kappa(first, ~first) == pytest.approx(-1)
    assert math.isnan(cohen_kappa(np.ones(4, bool), np.ones(4, bool)))


def test_fleiss_kappa_of_the_published_example() -> None:
    """14 readers, 10 subjects, 5 categories: .210 (Fleiss 1971, as worked out on Wikipedia)."""
    votes = np.array(
        [
            [0, 0, 0, 0, 14],
            [0, 2, 6, 4, 2],
            [0, 0, 3, 5, 6],
            [0, 3, 9, 2, 0],
            [2, 2, 8, 1, 1],
            [7, 7, 0, 0, 0],
            [3, 2, 6, 3, 0],
            [2, 5, 3, 2, 2],
            [6, 5, 2, 1, 0],
            [0, 2, 2, 3, 7],
        ]
    )
    assert fleiss_kappa(votes) == pytest.approx(0.210, abs=5e-4)
    assert fleiss_kappa(np.array([[3, 0], [0, 3]])) == 1
    assert math.isnan(fleiss_kappa(np.array([[3, 0], [3, 0]])))


def test_the_area_under_the_ratings() -> None:
    positive = np.array([False, False, True, True])
    assert rating_area([1, 2, 3, 4], positive) == 1
    assert rating_area([4, 3, 2, 1], positive) == 0
    assert rating_area([1, 1, 1, 1], positive) == 0.5
    assert math.isnan(rating_area([1, 2], np.array([True, True])))


def test_readers_who_always_agree_are_worth_one_reader() -> None:
    rng = np.random.default_rng(0)
    one = rng.integers(0, 2, 4000).astype(float)
    same = effective_count(one * 5, np.full(4000, 5))
    assert same == pytest.approx(4000, rel=0.01)
    apart = effective_count(rng.binomial(5, 0.5, 4000).astype(float), np.full(4000, 5))
    assert apart == pytest.approx(20000, rel=0.06)


def test_the_pooled_interval_covers_as_it_promises() -> None:
    """Five readers, 60 images that differ in how hard they are: 95% of intervals hold the true share."""
    rng = np.random.default_rng(1)
    held = 0
    for _ in range(600):
        hard = rng.beta(1.2, 1.2, 60)
        right = rng.binomial(5, hard).astype(float)
        low, high = wilson(float(right.sum()) / 300, effective_count(right, np.full(60, 5)))
        held += low <= 0.5 <= high
    naive = 0
    rng = np.random.default_rng(1)
    for _ in range(600):
        right_sum = int(rng.binomial(5, rng.beta(1.2, 1.2, 60)).sum())
        low, high = wilson(right_sum / 300, 300)
        naive += low <= 0.5 <= high
    assert held / 600 > 0.93
    assert naive / 600 < 0.90, "counting every answer as independent would not"
