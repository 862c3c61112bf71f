"""Gates: which looks are taken, when they end, what stands in the way, and the promises on simulated gates."""

from __future__ import annotations

import math
from dataclasses import replace
from types import MappingProxyType

import numpy as np
import pytest
from scipy import stats

from pytest_medgan.catalogue import METRICS, NAMES
from pytest_medgan.gate.decision import ask, decide
from pytest_medgan.gate.looking import Comparison
from pytest_medgan.gate.risks import DEFAULT
from pytest_medgan.records import (
    Change,
    Entry,
    Fingerprint,
    Margin,
    Outcome,
    Row,
    Score,
    Scores,
    Seal,
    TrainingRun,
    VerdictCause,
    mean_of_runs,
    plain_limit,
)
from tests.gate.conftest import make_score

COUNTS = (128, 256, 512, 1024)
ABSOLUTE = Margin("absolute", 1.0)


def one(evaluation, limit, **more):
    """Judge one limit."""
    return decide(evaluation, [(METRICS[limit.metric], limit)], **more)[0]


def test_looks_stop_as_soon_as_the_answer_is_clear(evaluation, row):
    clear = evaluation(fid=20.0, se=0.01)
    assert one(clear, row(fid=20.0, margin=ABSOLUTE)["fid"]).looks == (128,)
    assert clear.asked == [128]
    close = evaluation(fid=20.0, se=0.24)
    verdict = one(close, row(fid=20.0, se=0.24, margin=ABSOLUTE)["fid"])
    assert verdict.outcome is Outcome.PASS
    assert close.asked == [128, 256, 512, 1024]
    assert verdict.n_fake == 1024


@pytest.mark.parametrize(
    ("metric", "accepted", "at_first_look", "collapsed"),
    [("inception_score", 1.51, (1.109, 1.017), 1.06), ("coverage", 0.9, (0.12, 0.04), 0.3)],
)
@pytest.mark.parametrize("margin", [Margin(), Margin("absolute", 0.12)], ids=["auto", "own"])
def test_a_collapse_does_not_pass_early_where_few_images_span_less(  # noqa: PLR0917
    evaluation, row, metric, accepted, at_first_look, collapsed, margin
):
    """At the first look the accepted value is less than a margin away from the worst that the metric can take."""
    good, bad = (replace(make_score(value, 0.002), sd=0.002) for value in at_first_look)
    kept = row(se=0.012, margin=margin, **{metric: accepted})
    entry = kept.entries[metric]
    limit = replace(kept[metric], entry=replace(entry, at={**entry.at, 128: good}))
    worse, equal = evaluation(se=0.012, **{metric: collapsed}), evaluation(se=0.012, **{metric: accepted})
    worse.table = {**worse.table, 128: {metric: bad}}
    equal.table = {**equal.table, 128: {metric: good}}
    assert one(worse, limit).outcome is Outcome.FAIL
    assert one(equal, limit).outcome.green


def test_every_look_is_judged_where_that_is_asked_for(evaluation, row):
    given = evaluation(fid=20.0)
    late = {**given.table[1024], "fid": replace(given.table[1024]["fid"], mean=40.0)}
    given.table = {**given.table, 1024: late}
    assert one(given, row(fid=20.0)["fid"]).outcome is Outcome.PASS
    assert one(given, row(fid=20.0)["fid"], every_look=True).outcome is Outcome.FAIL
    assert given.asked[-4:] == list(COUNTS)


def test_a_failure_at_an_early_look_stays_one_where_every_look_is_judged(evaluation, row):
    given = evaluation(fid=20.0)
    given.table = {**given.table, 128: {"fid": replace(given.table[128]["fid"], mean=60.0)}}
    verdict = one(given, row(fid=20.0)["fid"], every_look=True)
    assert (verdict.outcome, verdict.n_fake, given.asked) == (Outcome.FAIL, 128, list(COUNTS))


def test_what_passed_early_is_asked_again_where_others_reach_the_full_count(evaluation, row):
    """KID passes the first look by chance; FID takes the gate to the full count, where KID is seen to be worse."""
    given = evaluation(fid=20.0, kid=3.0, se=0.24)
    lucky = replace(given.table[128]["kid"], mean=0.0, values=(0.0,) * 3, se=0.01)
    given.table = {n: {**scores, "kid": lucky if n == 128 else scores["kid"]} for n, scores in given.table.items()}
    fid, kid = row(fid=20.0, se=0.24, margin=ABSOLUTE)["fid"], row(kid=0.0, margin=ABSOLUTE)["kid"]
    kid = replace(kid, entry=replace(kid.entry, real=-9.0))
    alone = one(given, kid)
    assert (alone.outcome, alone.n_fake, given.asked) == (Outcome.PASS, 128, [128])
    given.asked.clear()
    given.table = {n: {**scores, "kid": lucky if n < 1024 else scores["kid"]} for n, scores in given.table.items()}
    verdicts = decide(given, [(METRICS["fid"], fid), (METRICS["kid"], kid)])
    assert given.asked == [128, 256, 512, 1024]
    assert [verdict.outcome for verdict in verdicts] == [Outcome.PASS, Outcome.FAIL]
    assert [verdict.n_fake for verdict in verdicts] == [1024, 1024]


def test_the_first_failure_ends_the_gate_and_the_rest_is_left_open(evaluation, row):
    given, both = evaluation(fid=50.0, kid=0.0, se=0.3), row(fid=20.0, kid=0.0, se=0.3)
    fid, kid = decide(given, [(METRICS["fid"], both["fid"]), (METRICS["kid"], both["kid"])])
    assert given.asked == [128]
    assert fid.outcome is Outcome.FAIL
    assert (kid.outcome, kid.cause) == (Outcome.UNDECIDED, VerdictCause.STOPPED)
    assert kid.measured is not None


def test_a_blind_metric_does_not_end_the_gate(evaluation, row):
    given, both = evaluation(fid=20.0, coverage=0.5, se=0.2), row(fid=20.0, coverage=0.5, se=0.2)
    found = decide(given, [(METRICS[name], both[name]) for name in ("fid", "coverage")])
    assert [verdict.outcome for verdict in found] == [Outcome.PASS, Outcome.BLIND]


def test_a_look_compares_with_the_limit_at_its_own_count(evaluation, row):
    """FID falls as more are drawn; against the value at the full count the first look would fail."""
    shift = {n: 3000 / n for n in COUNTS}
    limit = row(fid=20.0, margin=ABSOLUTE)["fid"]
    at = {n: replace(score, mean=20.0 + shift[n]) for n, score in limit.values.items()}
    limit = replace(limit, entry=replace(limit.entry, at=MappingProxyType(at)))
    given = evaluation(fid=20.0)
    given.table = {n: {"fid": replace(scores["fid"], mean=20.0 + shift[n])} for n, scores in given.table.items()}
    verdict = one(given, limit)
    assert (verdict.outcome, verdict.n_fake, verdict.limit) == (Outcome.PASS, 128, 20.0 + 3000 / 128)


def test_a_plain_number_waits_for_the_full_count_unless_the_metric_is_free_of_n(evaluation):
    given = evaluation(fid=20.0)
    verdict = one(given, plain_limit("fid", 30.0, "t.py:1"))
    assert (verdict.outcome, given.asked[-1], verdict.looks) == (Outcome.PASS, 1024, (1024,))
    given = evaluation(kid=0.1, se=0.001)
    assert (one(given, plain_limit("kid", 0.3, "t.py:1")).outcome, given.asked) == (Outcome.PASS, [128])
    given = evaluation(kid=0.5, se=0.001)
    assert (one(given, plain_limit("kid", 0.3, "t.py:1")).outcome, given.asked) == (Outcome.FAIL, [128])


def test_a_missing_row_computes_every_look_and_is_not_green(evaluation):
    given = evaluation(fid=20.0)
    missing = Row("model", MappingProxyType({}), "base.yaml", kind="missing").fid
    verdict = one(given, missing)
    assert (verdict.outcome, verdict.cause) == (Outcome.MISSING, VerdictCause.NO_ROW)
    assert set(given.asked) == set(COUNTS)
    assert verdict.measured.mean == 20.0


def test_an_early_failure_beside_a_missing_limit_stays_one(evaluation, row):
    """Every look is computed for the candidate; that is no second chance for what has failed."""
    given, base = evaluation(fid=20.0, kid=0.0, density=0.9), row(fid=20.0, kid=0.0)
    bad = replace(given.table[128]["fid"], mean=40.0, values=(40.0,) * 3)
    given.table = {n: {**scores, "fid": bad if n == 128 else scores["fid"]} for n, scores in given.table.items()}
    limits = [
        (METRICS["fid"], base["fid"]),
        (METRICS["kid"], base["kid"]),
        (METRICS["density"], base.without("density")),
    ]
    fid, _, density = decide(given, limits)
    assert set(given.asked) == set(COUNTS)
    assert (fid.outcome, fid.n_fake) == (Outcome.FAIL, 128)
    assert density.outcome is Outcome.MISSING


def test_other_conditions_are_found_before_anything_is_drawn(evaluation, row):
    given = evaluation(fid=20.0)
    given.fingerprint = replace(given.fingerprint, inputs={**given.fingerprint.inputs, "crop": "tumour"})
    verdict = one(given, row(fid=20.0)["fid"])
    assert (verdict.outcome, verdict.cause) == (Outcome.INCOMPARABLE, VerdictCause.OTHER_CONDITIONS)
    assert "crop: tumour != image" in verdict.reason
    assert given.asked == []


def test_a_canary_that_moved_is_incomparable(evaluation, row):
    limit = row(fid=20.0)["fid"]
    canary = limit.fingerprint.canary
    for factor, outcome in ((1.01, Outcome.INCOMPARABLE), (1.0001, Outcome.PASS), (math.nan, Outcome.INCOMPARABLE)):
        given = evaluation(fid=20.0)
        given.fingerprint = replace(given.fingerprint, canary=tuple(factor * x for x in canary))
        assert one(given, limit).outcome is outcome


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        ({"seal": Seal.ABSENT}, VerdictCause.UNSEALED),
        ({"seal": Seal.BROKEN}, VerdictCause.SEAL_BROKEN),
        ({"fingerprint": None}, VerdictCause.NO_FINGERPRINT),
        ({"fingerprint": Fingerprint({"crop": "image"})}, VerdictCause.NO_FINGERPRINT),
    ],
)
def test_a_row_that_does_not_vouch_for_itself_is_incomparable(evaluation, row, change, cause):
    given = evaluation(fid=20.0)
    verdict = one(given, replace(row(fid=20.0), **change)["fid"])
    assert (verdict.outcome, verdict.cause, given.asked) == (Outcome.INCOMPARABLE, cause, [])
    assert verdict.reason


def test_a_row_that_was_computed_needs_no_seal(evaluation, row):
    computed = replace(row(fid=20.0), seal=Seal.COMPUTED)
    assert one(evaluation(fid=20.0), computed["fid"]).outcome is Outcome.PASS


def test_another_revision_of_a_metric_is_incomparable_in_that_metric_alone(evaluation, row):
    given, both = evaluation(fid=20.0, kid=0.0), row(fid=20.0, kid=0.0)
    given.fingerprint = replace(given.fingerprint, revisions={"fid": 2, "kid": 1})
    fid, kid = decide(given, [(METRICS["fid"], both["fid"]), (METRICS["kid"], both["kid"])])
    assert (fid.outcome, fid.cause) == (Outcome.INCOMPARABLE, VerdictCause.OTHER_REVISION)
    assert (kid.outcome, kid.cause) == (Outcome.UNDECIDED, VerdictCause.STOPPED)


def test_a_metric_of_unknown_revision_is_incomparable(evaluation, row):
    limit = row(fid=20.0)["fid"]
    verdict = one(evaluation(fid=20.0), replace(limit, entry=replace(limit.entry, revision="")))
    assert (verdict.outcome, verdict.cause) == (Outcome.INCOMPARABLE, VerdictCause.OTHER_REVISION)
    assert "revision unknown" in verdict.reason


def test_no_count_in_common_is_incomparable_and_draws_nothing(evaluation, row):
    limit = row(fid=20.0)["fid"]
    limit = replace(limit, entry=replace(limit.entry, at={6080: limit.values[1024]}))
    given = evaluation(fid=20.0)
    verdict = one(given, limit)
    assert (verdict.outcome, verdict.cause, given.asked) == (Outcome.INCOMPARABLE, VerdictCause.NO_COUNT, [])
    assert "6,080" in verdict.reason


def test_ask_gives_the_looks_both_have(evaluation, row):
    limit = row(fid=20.0)["fid"]
    limit = replace(limit, entry=replace(limit.entry, at={n: limit.values[n] for n in (256, 1024)}))
    asked = ask(METRICS["fid"], limit, evaluation(fid=20.0))
    assert isinstance(asked, Comparison)
    assert asked.looks == (256, 1024)


def test_a_candidate_whose_identity_stands_in_the_row_is_the_same_checkpoint(evaluation, row):
    limit, given = row(fid=20.0)["fid"], evaluation(fid=20.0)
    assert ask(METRICS["fid"], limit, given).change is Change.RECIPE
    given.identity = "accepted"
    assert ask(METRICS["fid"], limit, given).change is Change.CHECKPOINT
    given.change = Change.RECIPE
    assert ask(METRICS["fid"], limit, given).change is Change.RECIPE
    assert ask(METRICS["fid"], limit, given, paired=True).change is Change.CHECKPOINT


def test_models_without_identity_are_not_the_same_checkpoint(evaluation, row):
    base, given = replace(row(fid=20.0), runs=(TrainingRun(None),)), evaluation(fid=20.0)
    given.identity = None
    assert ask(METRICS["fid"], base["fid"], given).change is Change.RECIPE


def test_a_change_of_form_finds_its_run_or_asks_for_it(evaluation, row):
    limit, given = row(fid=(18.0, 20.0, 22.0))["fid"], evaluation(fid=22.0)
    given.change = Change.CHECKPOINT
    assert one(given, limit).cause is VerdictCause.WHICH_RUN
    given.identity = "run 2"
    verdict = one(given, limit)
    assert (verdict.outcome, verdict.limit) == (Outcome.PASS, 22.0)


def test_other_latent_seeds_are_allowed_for_a_selected_row_alone(evaluation, row):
    given, base = evaluation(fid=20.0), row(fid=20.0)
    given.fingerprint = replace(given.fingerprint, inputs={**given.fingerprint.inputs, "seeds": "7,8,9"})
    assert one(given, base["fid"]).cause is VerdictCause.OTHER_CONDITIONS
    assert one(given, replace(base, selected_from=5)["fid"]).outcome is Outcome.PASS


def test_other_latent_seeds_are_not_allowed_where_every_run_was_kept(evaluation, row):
    given, base = evaluation(fid=20.0), row(fid=(19.0, 20.0, 21.0))
    given.fingerprint = replace(given.fingerprint, inputs={**given.fingerprint.inputs, "seeds": "7,8,9"})
    assert one(given, replace(base, selected_from=3)["fid"]).cause is VerdictCause.OTHER_CONDITIONS
    assert one(given, replace(base, selected_from=4)["fid"]).cause is not VerdictCause.OTHER_CONDITIONS


def test_a_row_of_a_larger_family_shares_its_risk_among_more_metrics(evaluation, row):
    given, base = evaluation(fid=20.0), row(fid=20.0)
    few, many = (one(given, replace(base, family=family)["fid"], every_look=True) for family in (14, 1400))
    assert many.critical > few.critical


RUNS = {
    "fid": (20.0, 21.0, 22.0, 21.5, 20.5),
    "kid": (0.4, 0.5, 0.6, 0.55, 0.45),
    "density": (0.8, 0.9, 1.0, 0.95, 0.85),
}


def test_a_retrained_model_is_judged_by_the_spread_of_training_runs(evaluation, row):
    base = row(se=0.01, **RUNS)
    limits = [(METRICS[name], base[name]) for name in RUNS]
    fine = decide(evaluation(fid=22.5, kid=0.6, density=0.8), limits)
    assert [verdict.outcome for verdict in fine] == [Outcome.PASS, Outcome.BLIND, Outcome.BLIND]
    worse = decide(evaluation(fid=40.0, kid=0.6, density=0.8), limits)[0]
    assert (worse.outcome, worse.cause) == (Outcome.FAIL, VerdictCause.RECIPE_WORSE)
    assert f"{worse.loss / worse.run_sd:.1f} run-to-run standard deviations" in worse.reason
    assert 15 < worse.loss / worse.run_sd < 35
    single = row(fid=21.0, kid=0.5, density=0.9)
    alone = decide(evaluation(fid=22.5, kid=0.6, density=0.8), [(METRICS[name], single[name]) for name in RUNS])
    assert VerdictCause.ONE_RUN in {verdict.cause for verdict in alone}


def test_a_suspicious_run_asks_for_two_more_and_the_mean_of_three_is_judged(evaluation, row):
    base = row(se=0.01, **RUNS)
    limits = [(METRICS[name], base[name]) for name in RUNS]
    first = decide(evaluation(fid=25.5, kid=0.5, density=0.9), limits)[0]
    assert (first.outcome, first.cause) == (Outcome.UNDECIDED, VerdictCause.MORE_RUNS)
    assert "--medgan-runs" in first.reason
    three = {"kid": (0.5, 0.45, 0.55), "density": (0.9, 0.95, 0.85)}
    assert decide(evaluation(fid=(25.5, 20.5, 21.5), **three), limits)[0].outcome is Outcome.PASS
    worse = decide(evaluation(fid=(25.5, 26.5, 25.0), **three), limits)[0]
    assert (worse.outcome, worse.cause, worse.runs) == (Outcome.FAIL, VerdictCause.RECIPE_WORSE, 3)


def test_a_spread_that_more_images_do_not_reduce_asks_for_runs(evaluation, row):
    base = row(se=0.001, improved_recall=(0.3, 0.5, 0.7), improved_precision=(0.4, 0.6, 0.8))
    found = decide(
        evaluation(improved_recall=0.5, improved_precision=0.6), [(METRICS[n], base[n]) for n in base.entries]
    )
    assert {(verdict.outcome, verdict.cause) for verdict in found} == {(Outcome.BLIND, VerdictCause.FEW_RUNS)}


class Table:
    """An evaluation whose looks are written down."""

    fingerprint, identity, change = Fingerprint({}), None, None

    def __init__(self, table, runs=()):
        self.table, self.counts, self.runs = table, tuple(table), runs

    def at(self, n):
        return Scores(1000, n, ("0",), self.table[n], runs=self.runs)

    def paired(self, n):
        return None


def simulate(rng, gates, *, shift=0.0, metrics=14):
    """Return every metric's outcome in gates on Gaussian metrics whose looks are nested means, as images are."""
    counts, names = (512, 1024, 2048, 4096), NAMES[:metrics]
    images = rng.standard_normal((2, gates, metrics, 4)) * np.sqrt(np.diff((0, *counts)))
    means = images.cumsum(-1) / np.array(counts)  # [2, gates, metrics, looks], sd 1/sqrt(n)
    errors = 1 / np.sqrt(np.array(counts))
    plain = [replace(METRICS[name], low=-math.inf, high=math.inf) for name in names]
    outcomes = []
    for g in range(gates):
        entries = {
            name: Entry({n: Score(means[0, g, i, j] + 10, errors[j]) for j, n in enumerate(counts)}, Margin())
            for i, name in enumerate(names)
        }
        base = Row("model", entries, "b:1", runs=(TrainingRun(),))
        worse = shift * (stats.norm.isf(0.002 / 14) + stats.norm.isf(DEFAULT.miss / 4)) * math.sqrt(2) * errors[-1]
        table = {
            n: {
                name: Score(
                    means[1, g, i, j] + 10 + (0 if i else worse * (-1 if plain[0].higher_is_better else 1)), errors[j]
                )
                for i, name in enumerate(names)
            }
            for j, n in enumerate(counts)
        }
        verdicts = decide(Table(table), [(metric, base[metric.name]) for metric in plain])
        outcomes.append([verdict.outcome for verdict in verdicts])
    return outcomes


def test_a_few_hundred_simulated_gates():
    unchanged = simulate(np.random.default_rng(3), 300)
    assert sum(not all(outcome.green for outcome in gate) for gate in unchanged) <= stats.binom.isf(1e-4, 300, 0.002)
    worse = simulate(np.random.default_rng(4), 300, shift=1.3, metrics=3)
    assert sum(all(outcome.green for outcome in gate) for gate in worse) == 0


@pytest.mark.slow
def test_an_unchanged_model_passes_as_promised_in_ten_thousand_gates():
    outcomes = simulate(np.random.default_rng(1), 10_000)
    failed = sum(not all(outcome.green for outcome in gate) for gate in outcomes)
    assert failed <= stats.binom.isf(1e-4, 10_000, 0.002)
    assert failed >= 1  # a promise that is never used up would be a margin too wide


@pytest.mark.slow
def test_a_model_worse_by_what_the_gate_sees_passes_no_more_often_than_promised_in_ten_thousand_gates():
    outcomes = simulate(np.random.default_rng(2), 10_000, shift=1.0, metrics=1)
    assert sum(gate[0].green for gate in outcomes) <= stats.binom.isf(1e-4, 10_000, DEFAULT.miss)


@pytest.mark.parametrize("expected", [0.1, 1, 4, 8, 20, 50, 200, 3000, 11000])
def test_an_unchanged_share_keeps_its_part_of_the_promise_exactly(expected):
    """The probability that an unchanged model fails at the full count, summed over both binomial counts."""
    metric, n, groups = METRICS["copy_rate"], 4096, 3
    trials = n * groups
    law = stats.binom(trials, expected / trials)
    counts = np.arange(max(0, law.ppf(1e-9)), law.isf(1e-13) + 40).astype(int)

    def score(count: int) -> Score:
        p = count / trials
        return Score(p, math.sqrt(p * (1 - p) / trials), groups=groups)

    def fails(base: int, count: int) -> bool:
        row = Row("m", {"copy_rate": Entry({n: score(base)}, Margin())}, "b:1")
        return decide(Table({n: {"copy_rate": score(count)}}), [(metric, row.copy_rate)])[0].outcome is Outcome.FAIL

    failing = 0.0
    for base, weight in zip(counts, law.pmf(counts), strict=True):
        if weight < 1e-8:
            continue
        low, high = int(counts[0]), int(counts[-1])
        while low < high:  # failing is monotone in the count: find the first that fails
            middle = (low + high) // 2
            low, high = (low, middle) if fails(int(base), middle) else (middle + 1, high)
        failing += weight * law.sf(low - 1)
    assert failing <= 1.1 * 0.002 / 14


def test_runs_of_equal_recipes_are_red_as_rarely_as_promised():
    """400 gates, a row of five runs and a candidate of one, then three; training varies 5 times as much as sampling."""
    rng, red = np.random.default_rng(5), 0
    metrics = [replace(METRICS[name], low=-math.inf, high=math.inf) for name in NAMES]
    for _ in range(400):
        values = rng.standard_normal((8, len(NAMES))) * 5 + rng.standard_normal((8, len(NAMES))) + 100
        scores = [[Score(float(value), 1.0) for value in run] for run in values]
        entries = {
            m.name: Entry({64: mean_of_runs([run[i] for run in scores[:5]])}, Margin()) for i, m in enumerate(metrics)
        }
        base = Row("model", entries, "b:1", runs=tuple(TrainingRun(str(i)) for i in range(5)))
        limits = [(metric, base[metric.name]) for metric in metrics]
        first = {m.name: scores[5][i] for i, m in enumerate(metrics)}
        three = {m.name: mean_of_runs([run[i] for run in scores[5:]]) for i, m in enumerate(metrics)}
        verdicts = decide(Table({64: first}), limits)
        if any(verdict.cause is VerdictCause.MORE_RUNS for verdict in verdicts):
            verdicts = decide(Table({64: three}, ("a", "b", "c")), limits)
        red += any(verdict.outcome in (Outcome.FAIL, Outcome.UNDECIDED) for verdict in verdicts)
    assert red <= stats.binom.isf(1e-4, 400, DEFAULT.recipe_risk)
