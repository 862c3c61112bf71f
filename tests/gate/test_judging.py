"""One look: margins that follow from errors, margins of one's own, both sides, and plain limits."""

from __future__ import annotations

import math

import pytest
from scipy import stats

from pytest_medgan.gate.difference import Difference
from pytest_medgan.gate.judging import judge_auto, judge_margin, judge_plain, known
from pytest_medgan.gate.risks import Criticals
from pytest_medgan.gate.uncertainty import Error
from pytest_medgan.records import Outcome, VerdictCause

FRESH = Criticals(alarm=3.6, certain=3.6, accept=2.5, reject=4.0)
RUN = Criticals(alarm=2.5, certain=5.0, accept=2.5, reject=6.0)


def seen(loss: float, se: float = 1.0) -> Difference:
    return Difference(loss, Error(se))


@pytest.mark.parametrize(
    ("loss", "outcome"),
    [(0.0, Outcome.PASS), (3.6, Outcome.PASS), (3.61, Outcome.FAIL), (-3.6, Outcome.PASS), (-3.61, Outcome.STALE)],
)
def test_auto_decides_at_the_full_count_by_both_sides_errors(loss, outcome):
    found = judge_auto(seen(loss), 1.0, FRESH, last=True)
    assert found.outcome is outcome
    assert found.margin == pytest.approx(6.1)


@pytest.mark.parametrize(("loss", "outcome"), [(2.5, "PASS"), (2.51, "UNDECIDED"), (5.0, "UNDECIDED"), (5.01, "FAIL")])
def test_one_run_between_suspicion_and_certainty_asks_for_more_runs(loss, outcome):
    found = judge_auto(seen(loss), 1.0, RUN, last=True)
    assert found.outcome == outcome
    assert found.cause is {"UNDECIDED": VerdictCause.MORE_RUNS, "FAIL": VerdictCause.WORSE}.get(
        outcome, VerdictCause.NONE
    )


@pytest.mark.parametrize(
    ("loss", "outcome"),
    [(1.1, "PASS"), (1.11, "UNDECIDED"), (14.0, "UNDECIDED"), (14.2, "FAIL"), (-7.9, "PASS"), (-8.1, "UNDECIDED")],
)
def test_auto_at_an_early_look_passes_clearly_fails_clearly_and_leaves_gains_open(loss, outcome):
    """The error is twice that of the full count: pass at loss + 5 <= 6.1, fail at loss - 8 > 6.1."""
    assert judge_auto(seen(loss, 2.0), 1.0, FRESH, last=False).outcome == outcome


@pytest.mark.parametrize("critical", [FRESH, RUN])
@pytest.mark.parametrize("se", [1.0, 1.7, 4.0])
@pytest.mark.parametrize("last", [True, False])
def test_no_loss_beyond_what_is_allowed_passes_and_none_within_it_fails(critical, se, last):
    for loss in [each / 50 for each in range(1000)]:
        found = judge_auto(seen(loss, se), 1.0, critical, last=last)
        if found.outcome is Outcome.PASS:
            assert loss <= found.allowed
        elif found.outcome is Outcome.FAIL or last:
            assert loss > found.allowed


def test_a_difference_on_both_sides_fails_either_way():
    for loss in (4.0, -4.0):
        assert judge_auto(seen(loss), 1.0, FRESH, last=True, both_sides=True).outcome is Outcome.FAIL
        assert judge_margin(seen(loss), 1.0, Criticals(1, 1, 1, 1), last=True, both_sides=True).outcome is Outcome.FAIL
    assert judge_auto(seen(-3.0), 1.0, FRESH, last=True, both_sides=True).outcome is Outcome.PASS


def test_a_gain_by_a_change_of_form_within_its_margin_passes_and_is_not_stale():
    for last in (True, False):
        assert judge_margin(seen(-5.0), 20.0, FRESH, last=last, both_sides=True).outcome is Outcome.PASS
    assert judge_margin(seen(-5.0), 20.0, FRESH, last=True).outcome is Outcome.STALE


@pytest.mark.parametrize(
    ("loss", "outcome"),
    [
        (0.0, "PASS"),
        (0.5, "PASS"),
        (0.51, "UNDECIDED"),
        (7.0, "UNDECIDED"),
        (7.01, "FAIL"),
        (-3.7, "STALE"),
        (-3.5, "PASS"),
    ],
)
def test_a_margin_of_ones_own_must_be_kept_or_broken_clearly(loss, outcome):
    found = judge_margin(seen(loss), 3.0, FRESH, last=True)
    assert found.outcome == outcome
    if outcome == "UNDECIDED":
        assert found.cause is VerdictCause.WITHIN_CHANCE
        assert found.needed_margin == pytest.approx(loss + 2.5)


def test_a_margin_of_ones_own_may_wait_for_images_or_runs():
    assert judge_margin(seen(2.0), 3.0, FRESH, last=False).cause is VerdictCause.MORE_IMAGES
    assert judge_margin(seen(3.0), 3.0, RUN, last=True).cause is VerdictCause.MORE_RUNS
    assert judge_margin(seen(-4.5), 3.0, FRESH, last=False).cause is VerdictCause.MORE_IMAGES  # a gain goes on


@pytest.mark.parametrize(("loss", "outcome"), [(0.0, "PASS"), (-0.1, "PASS"), (0.1, "FAIL"), (5.0, "FAIL")])
def test_without_a_margin_the_mean_decides_at_the_full_count(loss, outcome):
    assert judge_plain(seen(loss), FRESH, last=True).outcome == outcome


@pytest.mark.parametrize(
    ("loss", "outcome"), [(-2.6, "PASS"), (-2.4, "UNDECIDED"), (-0.1, "UNDECIDED"), (3.9, "UNDECIDED"), (4.1, "FAIL")]
)
def test_an_early_look_at_a_plain_limit_ends_only_where_it_is_clear(loss, outcome):
    """A negative loss alone is not clear."""
    assert judge_plain(seen(loss), FRESH, last=False).outcome == outcome


@pytest.mark.parametrize("last", [True, False])
def test_confidence_must_be_reached(last):
    critical = stats.norm.isf(0.05 / 2)
    enough, short = (judge_plain(seen(-k * critical), FRESH, last=last, confidence=0.95, looks=2) for k in (1.01, 0.99))
    assert enough.outcome is Outcome.PASS
    assert short.outcome is Outcome.UNDECIDED
    assert short.cause is (VerdictCause.NOT_CERTAIN if last else VerdictCause.MORE_IMAGES)


def test_confidence_on_the_wrong_side_fails_at_the_full_count():
    assert judge_plain(seen(0.1), FRESH, last=True, confidence=0.95).outcome is Outcome.FAIL
    assert judge_plain(seen(0.1), FRESH, last=False, confidence=0.95).outcome is Outcome.UNDECIDED


def test_a_confidence_of_one_half_asks_for_the_mean():
    assert judge_plain(seen(0.0), FRESH, last=True, confidence=0.5).outcome is Outcome.PASS


def test_what_is_not_a_number_is_not_known():
    assert known(seen(1.0))
    assert not known(seen(math.nan))
    assert not known(seen(1.0, math.nan))
