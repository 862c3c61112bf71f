"""Differences: signs, both sides' errors, the spread of training runs, anchors and rows that were selected."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pytest_medgan.catalogue import METRICS
from pytest_medgan.gate.difference import (
    advantage_of_best,
    against_anchor,
    difference,
    error_as_mean,
    expected_difference,
    from_number,
    prior_of,
    spread_of,
)
from pytest_medgan.gate.spread import Prior
from pytest_medgan.records import Score, mean_of_runs

FID, RECALL = METRICS["fid"], METRICS["improved_recall"]
RUNS = mean_of_runs([Score(value, 0.5, groups=3) for value in (10.0, 12.0, 14.0)])
FLAT = Prior(4.0, 3.0)


def test_a_loss_is_positive_where_the_candidate_is_worse():
    assert difference(FID, Score(20.0), Score(21.0), 100).loss == 1.0
    assert difference(RECALL, Score(0.5), Score(0.6), 100).loss == pytest.approx(-0.1)
    assert from_number(FID, 20.0, Score(19.0), 100).loss == -1.0


def test_both_sides_errors_count():
    assert difference(FID, Score(20.0, 3.0), Score(21.0, 4.0), 100).error.se == 5.0
    assert from_number(FID, 20.0, Score(19.0, 4.0), 100).error.se == 4.0


def test_the_spread_is_the_variance_of_runs_over_that_of_sampling():
    found = spread_of(FID, 100, RUNS)
    assert (found.ratio, found.freedom, found.sampling) == (pytest.approx(4.0 / 0.25), 2, 0.25)


def test_runs_of_both_sides_are_pooled_around_their_own_means():
    other = mean_of_runs([Score(value, 0.5, groups=3) for value in (20.0, 24.0)])
    found = spread_of(FID, 100, RUNS, other)
    assert (found.ratio, found.freedom) == (pytest.approx((8.0 + 8.0) / 3 / 0.25), 3)


def test_one_run_on_either_side_tells_no_spread():
    assert spread_of(FID, 100, Score(1.0, 0.1), Score(2.0, 0.1)).freedom == 0
    assert difference(FID, Score(1.0, 0.3), Score(2.0, 0.4), 100, FLAT).run_sd is None


def test_the_error_of_runs_is_sampling_and_what_their_spread_adds():
    """v = (4*3 + 2*16)/6 = 44/6; one run then varies by 0.25*v, of which 0.25 is sampling."""
    found = difference(FID, RUNS, Score(12.0, 0.6, groups=3), 100, FLAT)
    extra = 0.25 * (44 / 6 - 1)
    assert found.extra == pytest.approx(extra)
    assert found.between == pytest.approx(math.sqrt(extra * (1 + 1 / 3)))
    assert found.error.se == pytest.approx(math.sqrt(0.25 / 3 + 0.36 + extra * 4 / 3))
    assert found.error.freedom == 6
    assert found.run_sd == pytest.approx(math.sqrt(extra + 0.25))


def test_more_candidate_runs_shrink_the_error():
    three = mean_of_runs([Score(12.0 + d, 0.5, groups=3) for d in (-1.0, 0.0, 1.0)])
    one = difference(FID, RUNS, Score(12.0, 0.5, groups=3), 100, FLAT)
    assert difference(FID, RUNS, three, 100, FLAT).error.se < one.error.se / 1.3


def test_what_is_expected_before_measuring_is_what_a_candidate_like_the_row_gives():
    alike = Score(12.0, 0.5, groups=3)
    expected, found = expected_difference(FID, RUNS, 100, FLAT), difference(FID, RUNS, alike, 100, FLAT)
    assert expected.error.se == pytest.approx(found.error.se)
    assert (expected.error.freedom, expected.run_sd) == (found.error.freedom, pytest.approx(found.run_sd))
    single = Score(12.0, 0.5, groups=3)
    assert expected_difference(FID, single, 100).error.se == pytest.approx(math.sqrt(2) * 0.5)


def test_a_rows_error_as_a_mean_holds_the_spread_of_its_runs():
    extra = 0.25 * (44 / 6 - 1)
    assert error_as_mean(FID, RUNS, 100, FLAT) == pytest.approx(math.sqrt(0.25 / 3 + extra / 3))
    assert error_as_mean(FID, Score(12.0, 0.5, groups=3), 100) == 0.5


def test_an_anchor_is_compared_with_its_own_error_and_the_candidates_spread():
    seen = difference(FID, RUNS, Score(15.0, 0.6, groups=3), 100, FLAT)
    found = against_anchor(FID, Score(11.0, 0.2), Score(15.0, 0.6, groups=3), 100, seen)
    assert found.loss == 4.0
    assert found.error.se == pytest.approx(math.sqrt(0.36 + seen.extra + 0.04))
    assert found.error.freedom == 6


def test_the_advantage_of_the_best_is_that_of_order_statistics():
    rng = np.random.default_rng(0)
    draws = np.sort(rng.standard_normal((200_000, 5)))
    assert advantage_of_best(1, 5) == pytest.approx(draws[:, -1].mean(), abs=0.005)
    assert advantage_of_best(2, 5) == pytest.approx(draws[:, -2:].mean(), abs=0.005)
    assert advantage_of_best(3, 3) == advantage_of_best(3, 0) == 0.0


def test_a_row_that_was_selected_is_expected_to_be_better_than_its_recipe():
    best, three = Score(10.0, 0.5, groups=3), mean_of_runs([Score(v, 0.5, groups=3) for v in (12.0, 13.0, 14.0)])
    plain = difference(FID, best, three, 100, FLAT)
    chosen = difference(FID, best, three, 100, FLAT, selected_from=5)
    assert plain.loss - chosen.loss == pytest.approx(advantage_of_best(1, 5) * math.sqrt(plain.extra))


def test_the_prior_leaves_out_metrics_without_runs():
    found = prior_of([(FID, (RUNS,)), (RECALL, (Score(0.5, 0.1),))], 100)
    assert found.freedom == 0.0
    both = prior_of([(FID, (RUNS,)), (METRICS["kid"], (RUNS,))], 100)
    assert both.freedom > 0
