"""One metric at one look: what is not a number, margins, changes of form and of recipe, anchors, blindness."""

from __future__ import annotations

import math
from dataclasses import replace
from types import MappingProxyType

import pytest
from scipy import stats

from pytest_medgan.catalogue import METRICS, NAMES
from pytest_medgan.gate.looking import Comparison, Spreads, look, margin_in_units
from pytest_medgan.gate.risks import DEFAULT
from pytest_medgan.gate.spread import Prior
from pytest_medgan.gate.words import describe_suspect
from pytest_medgan.records import (
    PLAIN,
    Anchor,
    Change,
    Entry,
    Margin,
    Outcome,
    Score,
    Suspect,
    Suspicion,
    VerdictCause,
    plain_limit,
)

FULL = (1024,)


def compare(limit, evaluation, n=1024, **more):
    """Judge one metric at one look."""
    change = more.pop("change", Change.RECIPE if limit.margin is not None else None)
    looks = more.pop("looks", FULL)
    return look(Comparison(METRICS[limit.metric], limit, looks, change, **more), evaluation.at(n), DEFAULT)


@pytest.mark.parametrize("name", NAMES)
def test_worse_fails_equal_passes_and_better_is_stale(name, evaluation, row):
    worse = -1 if METRICS[name].higher_is_better else 1
    value = 1.5 if name == "inception_score" else 0.5
    limit = row(**{name: value})[name]
    assert compare(limit, evaluation(**{name: value + 0.4 * worse})).outcome is Outcome.FAIL
    assert compare(limit, evaluation(**{name: value})).outcome is Outcome.PASS
    better = compare(limit, evaluation(**{name: value - 0.4 * worse}))
    assert (better.outcome, better.cause) == (Outcome.STALE, VerdictCause.BETTER)
    assert better.outcome.green
    assert "renew" in better.reason


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("name", ["fid", "improved_recall"])
def test_what_is_not_finite_never_passes(bad, name, evaluation, row):
    for limit in (row(**{name: 0.5})[name], plain_limit(name, 0.5, "t.py:1")):
        verdict = compare(limit, evaluation(**{name: bad}))
        assert (verdict.outcome, verdict.cause) == (Outcome.FAIL, VerdictCause.NOT_FINITE)


def test_one_group_that_is_nan_spoils_a_finite_mean(evaluation, row):
    given = evaluation(fid=0.5)
    score = replace(given.table[1024]["fid"], values=(0.5, math.nan, 0.5))
    given.table = {1024: {"fid": score}}
    assert compare(row(fid=0.5)["fid"], given).outcome is Outcome.FAIL


def test_a_limit_that_is_nan_never_passes(evaluation, row):
    assert not compare(row(fid=math.nan)["fid"], evaluation(fid=0.5)).outcome.green
    assert not compare(plain_limit("fid", math.nan, "t.py:1"), evaluation(fid=0.5)).outcome.green


def test_an_unknown_standard_error_does_not_pass(evaluation, row):
    verdict = compare(row(fid=20.0)["fid"], evaluation(fid=20.0, se=math.nan))
    assert (verdict.outcome, verdict.cause) == (Outcome.UNDECIDED, VerdictCause.NO_ERROR)


def test_the_margin_that_follows_from_errors_is_made_of_both_sides(evaluation, row):
    sure, unsure = (compare(row(fid=20.0, se=0.1)["fid"], evaluation(fid=20.0, se=se)) for se in (0.1, 0.4))
    assert unsure.margin / sure.margin == pytest.approx(math.hypot(0.1, 0.4) / math.hypot(0.1, 0.1))
    lucky = compare(row(fid=20.0, se=0.01)["fid"], evaluation(fid=21.0, se=0.4))
    assert lucky.outcome is Outcome.PASS


def test_margins_of_every_kind_are_taken_at_the_full_count():
    assert margin_in_units(Entry({}, Margin("absolute", 2.0)), 20.0) == 2.0
    assert margin_in_units(Entry({}, Margin("relative", 0.05)), 20.0) == pytest.approx(1.0)
    assert margin_in_units(Entry({}, Margin("relative", 0.05)), -20.0) == pytest.approx(1.0)
    assert margin_in_units(Entry({}, Margin("toward_real", 0.1), real=2.0), 20.0) == pytest.approx(1.8)
    assert margin_in_units(Entry({}, Margin("toward_real", 0.1), real=0.9), 0.5) == pytest.approx(0.04)
    assert math.isnan(margin_in_units(Entry({}, Margin("toward_real", 0.1)), 20.0))
    assert margin_in_units(Entry({}, Margin()), 20.0) is None
    assert margin_in_units(Entry({}), 20.0) is None


def test_a_change_of_form_is_judged_without_the_spread_of_training_runs(evaluation, row):
    limit, given, prior = row(fid=20.0)["fid"], evaluation(fid=(20.4, 20.5, 20.6)), Prior(4.0, 1e6)
    asked = Comparison(METRICS["fid"], limit, FULL, Change.CHECKPOINT, 0)
    found = look(asked, given.at(1024), DEFAULT, Spreads(prior, prior, prior))
    assert (found.outcome, found.run_sd) == (Outcome.FAIL, None)


def test_a_relative_margin_of_a_higher_is_better_metric_lies_below_it(evaluation, row):
    limit = row(improved_recall=0.8, margin=Margin("relative", 0.1))["improved_recall"]
    assert compare(limit, evaluation(improved_recall=0.75)).outcome is Outcome.PASS
    assert compare(limit, evaluation(improved_recall=0.65)).outcome is Outcome.FAIL


def test_a_relative_margin_of_a_negative_value_lies_above_it(evaluation, row):
    limit = row(kid=-0.4, margin=Margin("relative", 0.5))["kid"]
    assert compare(limit, evaluation(kid=-0.25)).margin == pytest.approx(0.2)
    assert compare(limit, evaluation(kid=-0.25)).outcome is not Outcome.FAIL
    assert compare(limit, evaluation(kid=-0.1)).outcome is Outcome.FAIL


@pytest.mark.parametrize("margin", [Margin("relative", 1e308), Margin("absolute", 1e308)])
def test_a_margin_without_end_sees_nothing(margin, evaluation, row):
    verdict = compare(row(fid=20.0, margin=margin)["fid"], evaluation(fid=500.0))
    assert (verdict.outcome, verdict.cause) == (Outcome.BLIND, VerdictCause.FEW_IMAGES)


def test_a_margin_toward_a_real_row_that_is_not_known_is_incomparable(evaluation, row):
    verdict = compare(row(fid=20.0, margin=Margin("toward_real", 0.1))["fid"], evaluation(fid=1.0))
    assert (verdict.outcome, verdict.cause) == (Outcome.INCOMPARABLE, VerdictCause.NO_REAL_ROW)


def test_without_a_margin_on_the_limit_counts_as_within(evaluation, row):
    for value, outcome in ((0.299, Outcome.PASS), (0.301, Outcome.FAIL)):
        assert compare(plain_limit("kid", 0.3, "t.py:1"), evaluation(kid=value, se=0.05)).outcome is outcome
    scaled = 0.9 * row(improved_recall=0.8)["improved_recall"]
    assert scaled.margin is None
    assert compare(scaled, evaluation(improved_recall=0.73)).outcome is Outcome.PASS
    assert compare(scaled, evaluation(improved_recall=0.71)).outcome is Outcome.FAIL


def test_a_plain_limit_at_the_worst_value_cannot_fail_and_says_so(evaluation):
    verdict = compare(plain_limit("improved_recall", 0.0, "t.py:1"), evaluation(improved_recall=0.5))
    assert (verdict.outcome, verdict.cause) == (Outcome.BLIND, VerdictCause.CANNOT_FAIL)
    assert compare(plain_limit("copy_rate", 1.0, "t.py:1"), evaluation(copy_rate=0.5)).outcome is Outcome.BLIND
    assert compare(plain_limit("copy_rate", 0.0, "t.py:1"), evaluation(copy_rate=0.0)).outcome is Outcome.PASS


def test_a_plain_limit_shows_the_distance_in_standard_errors(evaluation):
    verdict = compare(plain_limit("fid", 30.0, "t.py:1"), evaluation(fid=20.0, se=0.5))
    assert (verdict.loss, verdict.loss_se) == (-10.0, 0.5)


def test_two_checkpoints_that_differ_do_not_say_that_the_recipe_became_worse(evaluation, row):
    verdict = compare(row(fid=20.0)["fid"], evaluation(fid=21.0))
    assert (verdict.outcome, verdict.cause) == (Outcome.FAIL, VerdictCause.ONE_RUN)
    assert "a row of one run does not show whether the recipe became worse" in verdict.reason


def test_a_change_of_form_fails_in_either_direction(evaluation, row):
    for value in (19.0, 21.0):
        verdict = compare(row(fid=20.0)["fid"], evaluation(fid=value), change=Change.CHECKPOINT)
        assert (verdict.outcome, verdict.cause) == (Outcome.FAIL, VerdictCause.DIFFERENT)


def test_a_change_of_form_is_compared_with_the_run_that_is_named(evaluation, row):
    limit = row(fid=(18.0, 20.0, 22.0))["fid"]
    assert compare(limit, evaluation(fid=22.0), change=Change.CHECKPOINT, run=2).outcome is Outcome.PASS
    assert compare(limit, evaluation(fid=22.0), change=Change.CHECKPOINT, run=0).outcome is Outcome.FAIL


def test_images_that_are_no_sample_are_red_with_their_cause(evaluation, row):
    given, suspect = evaluation(fid=20.0), Suspect(Suspicion.SEED_IGNORED, 1.0)
    scores = replace(given.at(1024), suspects=(suspect,))
    verdict = look(Comparison(METRICS["fid"], row(fid=20.0)["fid"], FULL, Change.RECIPE), scores, DEFAULT)
    assert (verdict.outcome, verdict.cause) == (Outcome.FAIL, VerdictCause.NO_SAMPLE)
    assert verdict.reason == describe_suspect(suspect)
    for one in Suspicion:
        assert describe_suspect(Suspect(one, 0.5))


def test_an_unmeasured_metric_is_not_green_and_says_why(evaluation, row):
    given = evaluation(fid=20.0)
    given.unmeasured = {"authenticity": "the training set is unknown"}
    verdict = compare(row(authenticity=0.5)["authenticity"], given)
    assert (verdict.outcome, verdict.cause) == (Outcome.MISSING, VerdictCause.NOT_MEASURED)
    assert "the training set is unknown" in verdict.reason


def anchored(limit, value, se):
    at = {n: Score(value, se) for n in limit.values}
    return replace(limit, entry=replace(limit.entry, anchor=Anchor("2026-01-01", 3, MappingProxyType(at))))


def test_a_candidate_within_the_row_and_beyond_the_anchor_has_drifted(evaluation, row):
    limit = anchored(row(fid=20.4, se=0.1)["fid"], 20.0, 0.05)
    verdict = compare(limit, evaluation(fid=20.6, se=0.1))
    assert (verdict.outcome, verdict.cause, verdict.anchor) == (Outcome.FAIL, VerdictCause.DRIFT, 20.0)
    assert (
        compare(anchored(row(fid=20.4, se=0.1)["fid"], 20.3, 0.05), evaluation(fid=20.6, se=0.1)).outcome
        is Outcome.PASS
    )


def test_row_and_anchor_share_the_risk(evaluation, row):
    alone = compare(row(fid=20.0, se=0.1)["fid"], evaluation(fid=20.0, se=0.1))
    both = compare(anchored(row(fid=20.0, se=0.1)["fid"], 20.0, 0.05), evaluation(fid=20.0, se=0.1))
    assert both.margin > alone.margin
    quarter = stats.norm.isf(0.002 / len(NAMES) / 4) + stats.norm.isf(0.02)
    assert both.margin == pytest.approx(quarter * math.hypot(0.1, 0.1))


def test_anchor_has_three_quarters_of_the_risk(evaluation, row):
    critical = stats.norm.isf(0.002 / len(NAMES) * 0.75) * math.hypot(0.1, 0.05)
    for beyond, outcome in ((0.999, Outcome.PASS), (1.001, Outcome.FAIL)):
        limit = anchored(row(fid=20.4, se=0.1)["fid"], 20.5 - beyond * critical, 0.05)
        assert compare(limit, evaluation(fid=20.5, se=0.1)).outcome is outcome, beyond


def test_a_pass_that_could_not_have_failed_is_blind_and_says_what_is_needed(evaluation, row):
    limit = row(improved_recall=0.5, se=0.05)["improved_recall"]
    verdict = compare(limit, evaluation(improved_recall=0.5, se=0.05))
    assert (verdict.outcome, verdict.cause) == (Outcome.BLIND, VerdictCause.FEW_IMAGES)
    assert verdict.sees > 0.25
    assert f"about {verdict.needed_images:,} images" in verdict.reason
    enough = math.sqrt(1024 / verdict.needed_images)
    limit = row(improved_recall=0.5, se=0.05 * enough)["improved_recall"]
    assert compare(limit, evaluation(improved_recall=0.5, se=0.05 * enough)).outcome is Outcome.PASS


def test_a_blind_metric_that_fails_all_the_same_has_failed(evaluation, row):
    limit = row(fid=20.0, se=2.0)["fid"]
    assert compare(limit, evaluation(fid=20.0, se=2.0)).outcome is Outcome.BLIND
    assert compare(limit, evaluation(fid=40.0, se=2.0)).outcome is Outcome.FAIL


def test_blindness_does_not_depend_on_the_candidate(evaluation, row):
    limit = row(improved_recall=0.5, se=0.02)["improved_recall"]
    sees = {compare(limit, evaluation(improved_recall=value, se=se)).sees for value, se in ((0.5, 0.02), (0.52, 0.1))}
    assert len(sees) == 1


def test_a_margin_of_ones_own_that_is_wider_than_the_room_is_blind(evaluation, row):
    limit = row(improved_recall=0.5, margin=Margin("absolute", 0.3))["improved_recall"]
    verdict = compare(limit, evaluation(improved_recall=0.5))
    assert (verdict.outcome, verdict.sees) == (Outcome.BLIND, 0.3)


def test_a_plain_number_holds_at_any_look():
    limit = plain_limit("kid", 0.3, "t.py:1")
    assert Comparison(METRICS["kid"], limit, (128, 1024)).base(128) is limit.values[PLAIN]
