"""What a test calls, what it gets back, and what a failure says."""

from __future__ import annotations

import math
from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest
import torch

import pytest_medgan
from pytest_medgan import assert_fid_below, assert_metric, assert_no_regression
from pytest_medgan.catalogue import METRICS, NAMES, Metric
from pytest_medgan.errors import SettingsError
from pytest_medgan.gate import baseline
from pytest_medgan.gate.assertions import GateContext, context
from pytest_medgan.gate.seal import sealed
from pytest_medgan.records import Margin, Outcome, Scores, plain_limit


@pytest.fixture
def heard():
    """Verdicts that reach the session."""
    verdicts: list = []
    token = context.set(GateContext(verdicts.append, "medgan baseline accept medgan-report/candidate.yaml"))
    yield verdicts
    context.reset(token)


@pytest.mark.parametrize("name", NAMES)
def test_every_metric_has_its_named_helper(name, evaluation):
    side = "above" if METRICS[name].higher_is_better else "below"
    helper = getattr(pytest_medgan, f"assert_{name}_{side}")
    worse = -1 if METRICS[name].higher_is_better else 1
    value = 1.5 if name == "inception_score" else 0.5
    given = evaluation(**{name: value})
    assert helper(given, value + 0.3 * worse).outcome is Outcome.PASS
    assert helper(given, value + 0.3 * worse, confidence=0.99).outcome is Outcome.PASS
    with pytest.raises(AssertionError, match=name):
        helper(given, value - 0.3 * worse)


def test_it_returns_what_it_compared(evaluation, row):
    verdict = assert_fid_below(evaluation(fid=20.0), row(fid=20.0, margin=Margin("absolute", 1.0)))
    assert (verdict.limit, verdict.margin, verdict.origin, verdict.row) == (20.0, 1.0, "base.yaml:31", "model")
    assert verdict.measured.mean == 20.0
    both = assert_no_regression(evaluation(fid=20.0, improved_recall=0.8), row(improved_recall=0.8, fid=20.0))
    assert [verdict.metric.name for verdict in both] == ["fid", "improved_recall"]


def test_a_row_an_entry_and_arithmetic_are_limits(evaluation, row):
    base = row(fid=20.0, improved_recall=0.8)
    given = evaluation(fid=20.0, improved_recall=0.75)
    assert assert_metric(given, "fid", base).limit == 20.0
    assert assert_metric(given, "fid", base.fid).limit == 20.0
    scaled = assert_metric(given, "improved_recall", 0.9 * base.improved_recall)
    assert scaled.limit == pytest.approx(0.72)
    assert scaled.origin == "base.yaml:31"


def test_a_failure_names_everything_a_reader_needs(evaluation, row, heard):
    with pytest.raises(AssertionError) as caught:
        assert_fid_below(evaluation(fid=25.0, se=0.1), row(fid=20.0, margin=Margin("absolute", 1.0)))
    message = str(caught.value)
    for part in (
        "FID is beyond its limit",
        "fid ↓ (lower is better): FAIL",
        "25.000 ± 0.020  (3 groups of 128 images)",
        "20.000, has to be <= 21.000  (base.yaml:31, row model)",
        "5.000 ± 0.284 (standard error) worse (17.6 standard errors worse)",
        "sees a loss of 5% (98 of 100)",
        "medgan baseline accept medgan-report/candidate.yaml --row model --override drift --reason '...'",
    ):
        assert part in message
    assert [verdict.outcome for verdict in heard] == [Outcome.FAIL]


def test_one_failure_lists_all_that_regressed_and_what_else_moved(evaluation, row):
    given = evaluation(fid=25.0, improved_recall=0.3, kid=0.5, se=0.001)
    with pytest.raises(AssertionError) as caught:
        assert_no_regression(given, row(fid=20.0, improved_recall=0.8, kid=0.5, se=0.001))
    message = str(caught.value)
    assert message.startswith("2 of 3 metrics do not pass: fid, improved_recall")
    moved = "what else moved:\n  kid ↓: 0.50000 -> 0.50000 ± 0.02000 (0.0 standard errors better), left open"
    assert moved in message


def test_a_number_says_where_it_stands(evaluation):
    with pytest.raises(AssertionError, match=r"limit     10\.000  \(test_assertions\.py:\d+\)"):
        assert_fid_below(evaluation(fid=20.0), 10)


def test_frozen_scores_are_one_look_against_a_number(evaluation, row):
    scores = evaluation(fid=20.0).at(512)
    assert isinstance(scores, Scores)
    assert assert_fid_below(scores, 30).n_fake == 512
    with pytest.raises(AssertionError, match="without a fingerprint"):
        assert_fid_below(scores, row(fid=20.0))


def test_a_missing_row_is_red_and_shows_what_was_measured(evaluation, tmp_path, heard):
    given = evaluation(fid=20.0, improved_recall=0.8)
    missing = baseline.load(tmp_path / "none.yaml").row("model")
    for call in (lambda: assert_fid_below(given, missing), lambda: assert_fid_below(given, missing.fid)):
        with pytest.raises(AssertionError, match="MISSING"):
            call()
    with pytest.raises(AssertionError) as caught:
        assert_no_regression(given, missing)
    assert "2 of 2 metrics" in str(caught.value)
    assert "--row model" in str(caught.value)
    assert all(verdict.outcome is Outcome.MISSING for verdict in heard)


def test_a_metric_that_the_row_has_not_is_red(evaluation, row):
    with pytest.raises(AssertionError, match="MISSING"):
        assert_metric(evaluation(kid=0.1), "kid", row(fid=20.0))


def test_a_metric_of_the_row_that_was_not_measured_is_red(evaluation, row):
    with pytest.raises(AssertionError, match="not measured"):
        assert_no_regression(evaluation(fid=20.0), row(fid=20.0, authenticity=0.5))


def test_published_figures_must_be_asked_for(evaluation):
    table = baseline.load("nsclc_radiomics_jang2022").row("DCGAN")
    given = evaluation(fid=100.0)
    with pytest.raises(AssertionError, match="published=True"):
        assert_fid_below(given, table)
    assert given.asked == []
    given.table = {6080: given.table[1024]}
    assert assert_metric(given, "fid", table, published=True).outcome is Outcome.PASS
    with pytest.raises(AssertionError, match="published=True"):
        assert_no_regression(given, table)


def test_report_only_fails_nothing_and_hides_nothing(evaluation, row):
    verdicts: list = []
    token = context.set(GateContext(verdicts.append, report_only=True))
    try:
        verdict = assert_fid_below(evaluation(fid=50.0), row(fid=20.0))
    finally:
        context.reset(token)
    assert verdict.outcome is Outcome.FAIL
    assert verdicts == [verdict]


def test_a_metric_of_ones_own(evaluation):
    own = Metric("lesion_dice", "Lesion Dice", True, 0.0, 1.0, "ours", True)
    given = evaluation(fid=1.0)
    given.table = {n: {"lesion_dice": replace(scores["fid"], mean=0.5)} for n, scores in given.table.items()}
    token = context.set(GateContext(metrics={**METRICS, "lesion_dice": own}))
    try:
        assert assert_metric(given, "lesion_dice", 0.4).outcome is Outcome.PASS
        with pytest.raises(AssertionError, match="lesion_dice ↑"):
            assert_metric(given, "lesion_dice", 0.6)
    finally:
        context.reset(token)


@pytest.mark.parametrize(
    ("name", "given", "message"),
    [
        ("fit", 1.0, "There is no metric fit"),
        ("fid", math.nan, "The limit for fid is nan"),
        ("fid", True, "The limit for fid is True"),
        ("fid", None, "The limit for fid is None. Give a number, a Limit or a Row"),
        ("fid", "20", "The limit for fid is '20'. Give a number, a Limit or a Row"),
        ("fid", [20.0, 21.0], r"The limit for fid is \[20.0, 21.0\]. Give a number"),
        ("fid", plain_limit("kid", 1.0, "base.yaml:3"), r"A limit for kid \(base\.yaml:3\) was given for fid"),
    ],
)
def test_what_cannot_be_meant_is_an_error_and_no_failure(evaluation, name, given, message):
    with pytest.raises(SettingsError, match=message):
        assert_metric(evaluation(fid=1.0), name, given)


@pytest.mark.parametrize("confidence", [0.4, 1.0, math.nan])
def test_a_confidence_must_be_one(evaluation, confidence):
    with pytest.raises(SettingsError, match="The confidence is"):
        assert_fid_below(evaluation(fid=1.0), 2.0, confidence=confidence)


def test_a_confidence_is_for_limits_without_margin(evaluation, row):
    with pytest.raises(SettingsError, match="without margin"):
        assert_fid_below(evaluation(fid=20.0), row(fid=20.0), confidence=0.95)


@pytest.mark.parametrize("number", [50.0, "row"])
def test_pairing_is_for_limits_of_a_row(evaluation, row, number):
    """A limit without margin is compared with by value alone, so `paired=True` would promise what nothing does."""
    given, limit = evaluation(fid=20.0), 4 * row(fid=20.0).fid if number == "row" else number
    with pytest.raises(SettingsError, match="the limit of fid has no margin"):
        assert_metric(given, "fid", limit, paired=True)
    assert given.asked == []


def test_pairing_with_the_real_row_or_published_figures_is_an_error(evaluation, row):
    base = row(fid=20.0, kid=0.1)
    real = replace(base, entries={name: replace(entry, margin=None) for name, entry in base.entries.items()})
    with pytest.raises(SettingsError, match="the limit of fid, kid has no margin"):
        assert_no_regression(evaluation(fid=20.0, kid=0.1), sealed(real), paired=True)
    table = baseline.load("nsclc_radiomics_jang2022").row("DCGAN")
    with pytest.raises(SettingsError, match="paired=True"):
        assert_metric(evaluation(fid=20.0), "fid", table, published=True, paired=True)


def test_a_paired_gate_without_a_row_is_missing(evaluation, row):
    with pytest.raises(AssertionError, match="MISSING"):
        assert_metric(evaluation(kid=0.1), "kid", row(fid=20.0), paired=True)


def test_a_confidence_asks_for_distance_from_the_limit(evaluation):
    assert assert_fid_below(evaluation(fid=19.9, se=0.1), 20.0).outcome is Outcome.PASS
    with pytest.raises(AssertionError, match="not with the confidence that was asked for"):
        assert_fid_below(evaluation(fid=19.9, se=0.1), 20.0, confidence=0.95)
    assert assert_fid_below(evaluation(fid=19.0, se=0.1), 20.0, confidence=0.95).outcome is Outcome.PASS


def test_a_blind_metric_fails_alone_and_is_listed_among_others(evaluation, row):
    base, given = row(fid=20.0, coverage=0.5, se=0.1), evaluation(fid=20.0, coverage=0.5, se=0.1)
    with pytest.raises(AssertionError, match="Coverage is blind"):
        assert_metric(given, "coverage", base)
    verdicts = assert_no_regression(given, base)
    assert [(v.outcome, v.forgiven) for v in verdicts] == [(Outcome.PASS, False), (Outcome.BLIND, True)]


def test_a_row_in_which_no_metric_sees_diversity_is_red(evaluation, row):
    base = row(improved_precision=0.5, coverage=0.5, se=0.1)
    sharp = row(improved_precision=0.5, se=0.001).entries["improved_precision"]
    entries = {**base.entries, "improved_precision": sharp}
    base = sealed(replace(base, entries=entries))
    given = evaluation(improved_precision=0.5, coverage=0.5, se=0.001)
    with pytest.raises(AssertionError, match="Coverage is blind"):
        assert_no_regression(given, base)


def test_helpers_survive_optimised_python(evaluation):
    """They raise; an assert statement would be dropped by -O."""
    with pytest.raises(AssertionError) as caught:
        assert_fid_below(evaluation(fid=20.0), 10)
    assert type(caught.value) is AssertionError


@pytest.mark.parametrize("limit", [True, np.bool_(True), np.array(True), torch.tensor(True), "1.0", None, [1.0], {}])
def test_what_is_no_number_is_no_limit(evaluation, limit):
    """A comparison of arrays gives a truth value of its own, which used to be the limit 1.0."""
    with pytest.raises(SettingsError, match=r"The limit for fid is .*Give a number, a Limit or a Row\."):
        assert_fid_below(evaluation(fid=0.5), limit)
    with pytest.raises(SettingsError, match="The confidence is"):
        assert_fid_below(evaluation(fid=0.5), 1.0, confidence=True if limit is None else limit)


@pytest.mark.parametrize("limit", [1, np.float32(1), np.array(1.0), np.int64(1), torch.tensor(1.0), Decimal(1)])
def test_numbers_of_other_libraries_are_limits(evaluation, limit):
    assert assert_fid_below(evaluation(fid=0.5), limit, confidence=np.float64(0.9)).limit == 1.0


def test_arguments_of_another_kind_are_refused_in_one_line(evaluation, row, tmp_path):
    given, known = evaluation(fid=0.5), row(fid=20.0)
    for wrong in (known.fid, baseline.load(tmp_path / "none.yaml"), 5.0, "model", [known], given):
        with pytest.raises(SettingsError, match=r"takes a row of the baseline, such as .* not a \w+\. Give the row"):
            assert_no_regression(given, wrong)
    for scores in (0.5, {"fid": 0.5}, known, "fid", None):
        with pytest.raises(SettingsError, match=r"takes medgan_scores first, .* not a \w+\. Give the scores"):
            assert_fid_below(scores, 1.0)
        with pytest.raises(SettingsError, match=r"takes medgan_scores first"):
            assert_no_regression(scores, known)
    for name in (None, ["fid"], given):
        with pytest.raises(SettingsError, match=r"named by text, such as 'fid', not by a \w+\. Give one name"):
            assert_metric(given, name, 1.0)
