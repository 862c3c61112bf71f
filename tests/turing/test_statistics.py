from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from pytest_medgan.turing.statistics import (
    cohen_kappa,
    effective_count,
    fleiss_kappa,
    rating_area,
    sensitivity_and_specificity,
    wilson,
)


@pytest.mark.parametrize(("hits", "count"), [(0, 10), (10, 10), (3, 10), (55, 100), (1, 1), (500, 1000)])
@pytest.mark.parametrize("confidence", [0.8, 0.95])
def test_wilson_agrees_with_scipy_on_whole_counts(hits: int, count: int, confidence: float) -> None:
    oracle = stats.binomtest(hits, count).proportion_ci(confidence_level=confidence, method="wilson")
    assert wilson(hits / count, count, confidence) == pytest.approx((oracle.low, oracle.high), abs=1e-12)


def test_wilson_of_a_fractional_count_lies_between_its_neighbours() -> None:
    widths = [high - low for low, high in (wilson(0.6, count) for count in (10, 10.5, 11))]
    assert widths[0] > widths[1] > widths[2]


def test_wilson_without_a_trial_is_the_whole_range() -> None:
    assert wilson(0.5, 0) == (0.0, 1.0)


def test_cohen_kappa_of_a_known_table_is_known() -> None:
    """Both yes 20, yes and no 5, no and yes 10, both no 15: observed .7, chance .5, so kappa is .4."""
    first = np.array([True] * 25 + [False] * 25)
    second = np.array([True] * 20 + [False] * 5 + [True] * 10 + [False] * 15)
    assert cohen_kappa(first, second) == pytest.approx(0.4)
    assert cohen_kappa(first, first) == 1
    assert cohen_kappa(first, ~first) == pytest.approx(-1)
    assert math.isnan(cohen_kappa(np.ones(4, bool), np.ones(4, bool)))


def test_fleiss_kappa_of_the_published_example_is_known() -> None:
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


@pytest.mark.parametrize(
    ("ratings", "area"), [([1, 2, 3, 4], 1), ([4, 3, 2, 1], 0), ([1, 1, 1, 1], 0.5), ([1, 2, 2, 3], 0.875)]
)
def test_rating_area_is_the_share_of_ordered_pairs(ratings: list[float], area: float) -> None:
    positive = np.array([False, False, True, True])
    assert rating_area(np.array(ratings, float), positive) == area


def test_rating_area_without_one_side_is_nan() -> None:
    assert math.isnan(rating_area(np.array([1.0, 2.0]), np.array([True, True])))
    assert math.isnan(rating_area(np.array([1.0, 2.0]), np.array([False, False])))


def test_sensitivity_and_specificity_of_a_known_table() -> None:
    """Three generated images, two found; two real ones, one taken for generated."""
    truth = np.array([True, True, True, False, False])
    called = np.array([True, True, False, True, False])
    assert sensitivity_and_specificity(truth, called) == (2 / 3, 0.5)
    assert sensitivity_and_specificity(truth[:3], called[:3])[0] == 2 / 3
    assert math.isnan(sensitivity_and_specificity(truth[:3], called[:3])[1])
    assert math.isnan(sensitivity_and_specificity(truth[3:], called[3:])[0])


def test_effective_count_takes_readers_who_always_agree_as_one() -> None:
    rng = np.random.default_rng(0)
    one = rng.integers(0, 2, 4000).astype(float)
    same = effective_count(one * 5, np.full(4000, 5))
    assert same == pytest.approx(4000, rel=0.01)
    apart = effective_count(rng.binomial(5, 0.5, 4000).astype(float), np.full(4000, 5))
    assert apart == pytest.approx(20000, rel=0.06)


def test_interval_of_the_effective_count_covers_the_true_share() -> None:
    """Five readers and 60 images that differ in difficulty: 95% of intervals hold the true share."""
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
    assert naive / 600 < 0.90  # taking every answer as independent does not cover


def test_effective_count_of_one_image_or_no_answer_is_the_number_of_answers() -> None:
    assert effective_count(np.array([3.0]), np.array([4])) == 4
    assert effective_count(np.zeros(3), np.zeros(3, np.int64)) == 0


def test_effective_count_of_unanimous_right_answers_is_the_number_of_images() -> None:
    assert effective_count(np.full(10, 5.0), np.full(10, 5)) == 10


def test_effective_count_is_at_most_the_number_of_answers() -> None:
    """Readers who share out the right answers evenly vary less than chance; that is no more than all answers."""
    right = np.array([1.0] * 9 + [2.0])
    assert effective_count(right, np.full(10, 2)) == 20
