"""Verdicts: directions, looks, margins, and the promises kept on simulated gates."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from types import MappingProxyType

import numpy as np
import pytest
from scipy import stats

from pytest_medgan.catalogue import METRICS, NAMES
from pytest_medgan.gate.decision import DEFAULT, PLAIN, Question, Settings, ask, decide, look, margin_at
from pytest_medgan.gate.margins import auto_margin
from pytest_medgan.records import Fingerprint, Limit, LimitValue, Margin, MetricScore, Outcome, Scores

Make = Callable[..., object]
COUNTS = (128, 256, 512, 1024)
ABSOLUTE = Margin("absolute", 0.1)


def number(name: str, value: float) -> Limit:
    return Limit(name, MappingProxyType({PLAIN: LimitValue(value)}), "test_gate.py:12", kind="number")


def one(evaluation, name, limit, settings=DEFAULT):
    return decide(evaluation, [(METRICS[name], limit)], settings)[0]


@pytest.mark.parametrize("name", NAMES)
def test_worse_fails_equal_passes_and_better_is_stale(name, evaluation, limit):
    worse = -1 if METRICS[name].higher_is_better else 1
    base = limit(name, 0.5, margin=ABSOLUTE)
    assert one(evaluation(**{name: 0.5 + 0.4 * worse}), name, base).outcome is Outcome.FAIL
    assert one(evaluation(**{name: 0.5}), name, base).outcome is Outcome.PASS
    better = one(evaluation(**{name: 0.5 - 0.4 * worse}), name, base)
    assert better.outcome is Outcome.STALE
    assert better.outcome.green
    assert "renew" in better.reason


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("name", ["fid", "improved_recall"])
def test_what_is_not_finite_never_passes(bad, name, evaluation, limit):
    for given in (limit(name, 0.5, margin=ABSOLUTE), number(name, 0.5)):
        verdict = one(evaluation(**{name: bad}), name, given)
        assert verdict.outcome is Outcome.FAIL
        assert "finite" in verdict.reason


def test_one_group_that_is_nan_spoils_a_finite_mean(evaluation, limit, score):
    given = evaluation(fid=0.5)
    given.table = {n: {"fid": replace(score("fid", 0.5), values=(0.5, math.nan, 0.5))} for n in COUNTS}
    assert one(given, "fid", limit("fid", 0.5, margin=ABSOLUTE)).outcome is Outcome.FAIL


def test_a_limit_that_is_nan_never_passes(evaluation, limit):
    assert not one(evaluation(fid=0.5), "fid", limit("fid", math.nan, margin=ABSOLUTE)).outcome.green
    assert not one(evaluation(fid=0.5), "fid", number("fid", math.nan)).outcome.green


def test_an_unknown_standard_error_does_not_pass(evaluation, limit):
    verdict = one(evaluation(fid=0.5, se=math.nan), "fid", limit("fid", 0.5, margin=ABSOLUTE))
    assert verdict.outcome is Outcome.UNDECIDED
    assert "no standard error" in verdict.reason


def test_looks_stop_as_soon_as_the_answer_is_clear(evaluation, limit):
    clear = evaluation(fid=20.0, se=0.01)
    assert one(clear, "fid", limit("fid", 20.0, margin=Margin("absolute", 1.0))).looks == (128,)
    assert clear.asked == [128]
    close = evaluation(fid=20.0, se=0.24)
    verdict = one(close, "fid", limit("fid", 20.0, se=0.24, margin=Margin("absolute", 1.0)))
    assert verdict.outcome is Outcome.PASS
    assert close.asked == [128, 256, 512, 1024]
    assert verdict.n_fake == 1024


def test_what_passed_early_is_asked_again_where_others_reach_the_full_count(evaluation, limit):
    """KID passes the first look by chance; FID takes the gate to the full count, where KID is seen to be worse."""
    fid, kid = METRICS["fid"], METRICS["kid"]
    given = evaluation(fid=20.0, kid=0.3, se=0.24)
    lucky = replace(given.table[128]["kid"], mean=0.0, values=(0.0,) * 3, se=0.01)
    given.table = {n: {**row, "kid": lucky if n == 128 else row["kid"]} for n, row in given.table.items()}
    limits = [
        (fid, limit("fid", 20.0, se=0.24, margin=Margin("absolute", 1.0))),
        (kid, limit("kid", 0.0, margin=ABSOLUTE)),
    ]
    alone = decide(given, limits[1:])[0]
    assert (alone.outcome, alone.n_fake, given.asked) == (Outcome.PASS, 128, [128])
    given.asked.clear()
    verdicts = decide(given, limits)
    assert given.asked == [128, 256, 512, 1024]
    assert [verdict.outcome for verdict in verdicts] == [Outcome.PASS, Outcome.UNDECIDED]
    assert [verdict.n_fake for verdict in verdicts] == [1024, 1024]


def test_the_first_failure_ends_the_gate_and_the_rest_is_left_open(evaluation, limit):
    given = evaluation(fid=50.0, kid=0.0, se=0.3)
    limits = [
        (METRICS["fid"], limit("fid", 20.0, margin=ABSOLUTE)),
        (METRICS["kid"], limit("kid", 0.0, margin=ABSOLUTE)),
    ]
    fid, kid = decide(given, limits)
    assert given.asked == [128]
    assert fid.outcome is Outcome.FAIL
    assert kid.outcome is Outcome.UNDECIDED
    assert "already failed" in kid.reason
    assert kid.measured is not None


def test_undecided_at_the_full_count_names_the_margin_that_would_have_passed(evaluation, limit):
    verdict = one(evaluation(fid=20.2, se=0.2), "fid", limit("fid", 20.0, se=0.2, margin=ABSOLUTE))
    assert verdict.outcome is Outcome.UNDECIDED
    assert not verdict.outcome.green
    assert f"{verdict.needed_margin:.4g}" in verdict.reason
    enough = Margin("absolute", verdict.needed_margin * 1.000001)
    short = Margin("absolute", verdict.needed_margin * 0.999)
    assert one(evaluation(fid=20.2, se=0.2), "fid", limit("fid", 20.0, se=0.2, margin=enough)).outcome is Outcome.PASS
    assert not one(evaluation(fid=20.2, se=0.2), "fid", limit("fid", 20.0, se=0.2, margin=short)).outcome.green


def test_the_baselines_own_error_counts(evaluation, limit):
    sure = one(evaluation(fid=20.0, se=0.01), "fid", limit("fid", 20.0, se=0.0, margin=ABSOLUTE))
    unsure = one(evaluation(fid=20.0, se=0.01), "fid", limit("fid", 20.0, se=0.2, margin=ABSOLUTE))
    assert sure.outcome is Outcome.PASS
    assert unsure.outcome is Outcome.UNDECIDED
    assert unsure.loss_se == pytest.approx(math.hypot(0.01, 0.2))


def test_a_look_compares_with_the_limit_at_its_own_count(evaluation, limit):
    """FID falls as more are drawn; against the value at the full count the first look would fail."""
    base = limit("fid", 20.0, margin=Margin("absolute", 1.0))
    base = replace(base, values={n: replace(v, value=20.0 + 3000 / n) for n, v in base.values.items()})
    given = evaluation(fid=20.0)
    given.table = {n: {"fid": replace(s["fid"], mean=20.0 + 3000 / n)} for n, s in given.table.items()}
    verdict = one(given, "fid", base)
    assert (verdict.outcome, verdict.n_fake, verdict.limit) == (Outcome.PASS, 128, 20.0 + 3000 / 128)


def test_a_plain_number_waits_for_the_full_count_unless_the_metric_is_free_of_n(evaluation):
    given = evaluation(fid=20.0)
    verdict = one(given, "fid", number("fid", 30.0))
    assert (verdict.outcome, given.asked[-1], verdict.looks) == (Outcome.PASS, 1024, (1024,))
    given = evaluation(kid=0.1, se=0.001)
    verdict = one(given, "kid", number("kid", 0.3))
    assert (verdict.outcome, given.asked) == (Outcome.PASS, [128])
    given = evaluation(kid=0.5, se=0.001)
    assert (one(given, "kid", number("kid", 0.3)).outcome, given.asked) == (Outcome.FAIL, [128])


def test_without_a_margin_the_mean_decides_at_the_full_count(evaluation, limit):
    """0.299 is within chance of 0.3, and the question was plain; on the limit counts as within."""
    assert one(evaluation(kid=0.299, se=0.05), "kid", number("kid", 0.3)).outcome is Outcome.PASS
    assert one(evaluation(kid=0.301, se=0.05), "kid", number("kid", 0.3)).outcome is Outcome.FAIL
    assert one(evaluation(copy_rate=0.0), "copy_rate", number("copy_rate", 0.0)).outcome is Outcome.PASS
    scaled = 0.9 * limit("improved_recall", 0.8, margin=ABSOLUTE)
    assert scaled.margin is None
    assert one(evaluation(improved_recall=0.73), "improved_recall", scaled).outcome is Outcome.PASS
    assert one(evaluation(improved_recall=0.71), "improved_recall", scaled).outcome is Outcome.FAIL


def test_margins_of_every_kind(limit):
    assert margin_at(limit("fid", 20.0, margin=Margin("absolute", 2.0)), 512) == 2.0
    assert margin_at(limit("fid", 20.0, margin=Margin("relative", 0.05)), 512) == pytest.approx(1.0)
    assert margin_at(limit("fid", 20.0, margin=Margin("toward_real", 0.1), real=2.0), 512) == pytest.approx(1.8)
    assert margin_at(limit("fid", 20.0, margin=Margin("auto", 0.7)), 512) == 0.7
    assert margin_at(limit("fid", 20.0), 512) is None


def test_a_margin_toward_a_real_row_that_is_not_there_is_incomparable(evaluation, limit):
    base = limit("fid", 20.0, margin=Margin("toward_real", 0.1))
    assert one(evaluation(fid=1.0), "fid", base).outcome is Outcome.INCOMPARABLE


def test_a_missing_row_computes_every_look_and_is_not_green(evaluation):
    given = evaluation(fid=20.0)
    missing = Limit("fid", MappingProxyType({}), "base.yaml", kind="missing", row="model")
    verdict = one(given, "fid", missing)
    assert verdict.outcome is Outcome.MISSING
    assert set(given.asked) == set(COUNTS)
    assert verdict.measured is not None
    assert verdict.measured.mean == 20.0


def test_an_early_failure_beside_a_missing_limit_stays_one(evaluation, limit):
    """Every look is computed for the candidate; that is no second chance for what has failed."""
    given = evaluation(fid=20.0, kid=0.0, density=0.9)
    bad = replace(given.table[128]["fid"], mean=40.0, values=(40.0,) * 3)
    given.table = {n: {**row, "fid": bad if n == 128 else row["fid"]} for n, row in given.table.items()}
    fid, kid, density = decide(
        given,
        [
            (METRICS["fid"], limit("fid", 20.0, margin=Margin("absolute", 1.0))),
            (METRICS["kid"], limit("kid", 0.0, margin=ABSOLUTE)),
            (METRICS["density"], Limit("density", MappingProxyType({}), "base.yaml", kind="missing", row="model")),
        ],
    )
    assert set(given.asked) == set(COUNTS)
    assert (fid.outcome, fid.n_fake) == (Outcome.FAIL, 128)
    assert (kid.outcome, kid.n_fake) == (Outcome.PASS, 1024)
    assert density.outcome is Outcome.MISSING


def test_an_unmeasured_metric_is_not_green_and_says_why(evaluation, limit):
    given = evaluation(fid=20.0, unmeasured={"authenticity": "the training set is unknown"})
    verdict = one(given, "authenticity", limit("authenticity", 0.5, margin=ABSOLUTE))
    assert verdict.outcome is Outcome.MISSING
    assert "the training set is unknown" in verdict.reason
    assert one(given, "kid", number("kid", 1.0)).outcome is Outcome.MISSING


def test_other_conditions_are_found_before_anything_is_drawn(evaluation, limit):
    given = evaluation(fid=20.0, fingerprint=Fingerprint({"crop": "tumour", "size": 128}))
    verdict = one(given, "fid", limit("fid", 20.0, margin=ABSOLUTE))
    assert verdict.outcome is Outcome.INCOMPARABLE
    assert "crop: tumour != image" in verdict.reason
    assert given.asked == []


def test_a_canary_that_moved_is_incomparable(evaluation, limit):
    base = limit("fid", 20.0, margin=ABSOLUTE)
    moved = replace(base.fingerprint, canary=tuple(1.01 * x for x in base.fingerprint.canary))
    verdict = one(evaluation(fid=20.0, fingerprint=moved), "fid", base)
    assert verdict.outcome is Outcome.INCOMPARABLE
    assert "canary" in verdict.reason
    near = replace(base.fingerprint, canary=tuple(1.0001 * x for x in base.fingerprint.canary))
    assert one(evaluation(fid=20.0, fingerprint=near), "fid", base).outcome is Outcome.PASS
    broken = replace(base.fingerprint, canary=(math.nan,) * 128)
    assert one(evaluation(fid=20.0, fingerprint=broken), "fid", base).outcome is Outcome.INCOMPARABLE


def test_no_count_in_common_is_incomparable_and_draws_nothing(evaluation, limit):
    base = limit("fid", 20.0, margin=ABSOLUTE)
    base = replace(base, values={6080: base.values[1024]})
    given = evaluation(fid=20.0)
    verdict = one(given, "fid", base)
    assert verdict.outcome is Outcome.INCOMPARABLE
    assert "6,080" in verdict.reason
    assert given.asked == []


def test_an_error_from_three_groups_is_judged_by_students_t(evaluation, limit):
    """Two groups' spread of two degrees of freedom each asks for more than a normal quantile."""
    base = limit("fid", 20.0, margin=Margin("absolute", 1.0))
    spread = 0.3 / math.sqrt(3)
    grouped = replace(base, values={n: LimitValue(20.0, spread, 0.3, spread, 3) for n in COUNTS})
    given = evaluation(fid=20.0)
    given.table = {n: {"fid": replace(s["fid"], sd=0.3, se=spread)} for n, s in given.table.items()}
    verdict = one(given, "fid", grouped)
    assert verdict.critical == pytest.approx(stats.t.isf(Settings().miss / 4, 4.0), rel=1e-6)


def test_a_share_of_zero_is_not_certain(evaluation, limit):
    given = evaluation(copy_rate=0.0, se=0.0)
    verdict = one(given, "copy_rate", limit("copy_rate", 0.0, se=0.0, margin=Margin("absolute", 0.5)))
    assert verdict.loss_se > 0


@pytest.mark.parametrize("expected", [0.1, 1, 4, 8, 20, 50, 200, 3000, 11000])
def test_auto_margin_keeps_its_promise_for_shares_exactly(expected):
    """The probability that an unchanged model fails at the full count, summed over both binomial counts."""
    settings, metric, n, groups = Settings(), METRICS["copy_rate"], 4096, 3
    trials = n * groups
    law = stats.binom(trials, expected / trials)
    counts = np.arange(max(0, law.ppf(1e-9)), law.isf(1e-13) + 40).astype(int)
    chance = law.pmf(counts)

    def table(count: int) -> dict[int, LimitValue]:
        p = count / trials
        return {m: LimitValue(p, math.sqrt(p * (1 - p) / trials), groups=groups) for m in (512, 1024, 2048, n)}

    def passes(count: int, base: Limit) -> bool:
        value = table(count)[n]
        score = MetricScore(metric, (value.value,) * 3, value.value, 0.0, value.se, value.se)
        asked = Question(metric, base, (512, 1024, 2048, n))
        return look(asked, Scores(1000, n, ("0", "1", "2"), {"copy_rate": score}), settings).outcome.green

    failing = 0.0
    for count, weight in zip(counts, chance, strict=True):
        if weight < 1e-8:
            continue
        base = Limit("copy_rate", table(count), "b:1", Margin("auto", auto_margin(metric, table(count), settings)))
        low, high = int(counts[0]), int(counts[-1])
        while low < high:  # passing is monotone in the count: find the first that fails
            middle = (low + high) // 2
            low, high = (middle + 1, high) if passes(middle, base) else (low, middle)
        failing += weight * law.sf(low - 1)
    assert failing <= 1.1 * settings.alarm_risk()


def simulate(rng, gates, *, shift=0.0, metrics=14, settings=DEFAULT):
    """Gates on Gaussian metrics whose looks are nested means, as images are: every metric's outcome in each gate."""
    counts, names = (512, 1024, 2048, 4096), NAMES[:metrics]
    steps = np.diff((0, *counts))
    images = rng.standard_normal((2, gates, metrics, 4)) * np.sqrt(steps)
    means = images.cumsum(-1) / np.array(counts)  # [2, gates, metrics, looks], sd 1/sqrt(n)
    errors = 1 / np.sqrt(np.array(counts) * 1.0)
    outcomes = []
    for g in range(gates):
        limits = []
        for i, name in enumerate(names):
            values = {n: LimitValue(means[0, g, i, j] + 10, errors[j]) for j, n in enumerate(counts)}
            metric = replace(METRICS[name], low=-math.inf, high=math.inf)
            margin = auto_margin(metric, values, settings)
            limits.append((metric, Limit(name, values, "b:1", Margin("auto", margin))))
        worse = shift * limits[0][1].margin.amount
        table = {}
        for j, n in enumerate(counts):
            row = {}
            for i, name in enumerate(names):
                sign = -1 if METRICS[name].higher_is_better else 1
                mean = means[1, g, i, j] + 10 + (sign * worse if i == 0 else 0)
                row[name] = MetricScore(limits[i][0], (mean,), mean, math.nan, errors[j], errors[j])
            table[n] = row
        evaluation = _Table(table)
        outcomes.append([verdict.outcome for verdict in decide(evaluation, limits, settings)])
    return outcomes


class _Table:
    def __init__(self, table, fingerprint=Fingerprint({})):  # noqa: B008 (frozen)
        self.table, self.counts, self.fingerprint = table, tuple(table), fingerprint

    def at(self, n):
        return Scores(1000, n, ("0",), self.table[n])


@pytest.mark.slow
def test_an_unchanged_model_passes_as_promised_in_ten_thousand_gates():
    outcomes = simulate(np.random.default_rng(1), 10_000)
    failed = sum(not all(outcome.green for outcome in gate) for gate in outcomes)
    assert failed <= stats.binom.isf(1e-4, 10_000, 0.002)
    assert failed >= 1  # a promise that is never used up would be a margin too wide


@pytest.mark.slow
def test_a_model_worse_by_its_margin_passes_no_more_often_than_promised_in_ten_thousand_gates():
    outcomes = simulate(np.random.default_rng(2), 10_000, shift=1.0, metrics=1)
    passed = sum(gate[0].green for gate in outcomes)
    assert passed <= stats.binom.isf(1e-4, 10_000, 0.01)
    failed_outright = sum(gate[0] is Outcome.FAIL for gate in outcomes)  # at the margin FAIL would be wrong
    assert failed_outright <= stats.binom.isf(1e-4, 10_000, 0.002 / 14)


def test_a_few_hundred_simulated_gates():
    unchanged = simulate(np.random.default_rng(3), 300)
    assert sum(not all(outcome.green for outcome in gate) for gate in unchanged) <= stats.binom.isf(1e-4, 300, 0.002)
    worse = simulate(np.random.default_rng(4), 300, shift=1.3, metrics=3)
    assert sum(all(outcome.green for outcome in gate) for gate in worse) == 0


def test_more_looks_and_more_metrics_ask_for_more():
    settings = Settings()
    assert settings.pass_risk(4) == pytest.approx(0.0025)
    assert settings.fail_risk(4) == pytest.approx(0.002 / 56)
    values = {n: LimitValue(20.0, 0.5) for n in COUNTS}
    more = replace(settings, metrics=28)
    assert auto_margin(METRICS["fid"], values, more) > auto_margin(METRICS["fid"], values, settings)


def test_ask_gives_the_looks_both_have(limit):
    base = limit("fid", 20.0)
    question = ask(METRICS["fid"], replace(base, values={n: base.values[n] for n in (256, 1024)}), COUNTS)
    assert isinstance(question, Question)
    assert question.looks == (256, 1024)
