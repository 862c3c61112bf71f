"""One look at one metric: from a row's entry and a candidate's score to a verdict."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import partial

from pytest_medgan.catalogue import Metric
from pytest_medgan.gate.difference import Difference, against_anchor, difference, expected_difference, from_number
from pytest_medgan.gate.judging import Ruling, judge_auto, judge_margin, judge_plain, known
from pytest_medgan.gate.pairing import pair
from pytest_medgan.gate.risks import ANCHOR_PART, Question, Settings, criticals
from pytest_medgan.gate.seeing import Sight, checked, sight_of_auto
from pytest_medgan.gate.spread import Prior
from pytest_medgan.gate.words import describe_suspect, sentence
from pytest_medgan.records import (
    PLAIN,
    Change,
    Entry,
    Limit,
    Outcome,
    Paired,
    Score,
    Scores,
    Verdict,
    VerdictCause,
)


@dataclass(frozen=True)
class Comparison:
    """One metric, its limit and how the two are compared."""

    metric: Metric
    limit: Limit
    looks: tuple[int, ...]  # ascending; the last one must decide
    change: Change | None = None  # None where the limit has no margin
    run: int | None = None  # the row's training run that a change of form is compared with
    identity: str | None = None  # of the model that run gave
    paired: bool = False  # baseline and candidate were drawn from the same latents
    confidence: float | None = None  # how certain a limit without margin must be kept

    @property
    def full(self) -> int:
        """The count that must decide."""
        return self.looks[-1]

    def base(self, n: int) -> Score:
        """Return what the candidate is compared with at a look."""
        at = self.limit.values[n if n in self.limit.values else PLAIN]
        return at.runs[self.run] if self.run is not None and at.runs else at


@dataclass(frozen=True)
class Spreads:
    """What the training runs of all metrics have in common; None where no training runs tell it."""

    at_look: Prior | None  # of row and candidate at this look
    row_at_look: Prior | None  # of the row alone at this look
    row_at_full: Prior | None  # of the row alone at the full count


NO_SPREADS = Spreads(None, None, None)


def look(
    asked: Comparison,
    scores: Scores,
    settings: Settings,
    spreads: Spreads = NO_SPREADS,
    beside: Paired | None = None,
) -> Verdict:
    """Compare at one look. UNDECIDED before the last look means that more images are to be drawn.

    Args:
        asked: What is compared.
        scores: The candidate's scores at this look.
        settings: The risks.
        spreads: How training runs vary, where that counts.
        beside: The accepted model drawn again, for paired comparisons.
    """
    metric, limit, n = asked.metric, asked.limit, scores.n_fake
    base = asked.base(n)
    verdict = Verdict(
        metric,
        Outcome.MISSING,
        limit.origin,
        row=limit.row,
        n_fake=n,
        volumes=scores.volumes,
        limit=base.mean,
        looks=tuple(m for m in asked.looks if m <= n),
        real=_real_at(limit, n),
        change=asked.change,
        row_runs=len(base.each_run()),
        runs=max(len(scores.runs), 1),
    )
    if scores.suspects:
        words = "; ".join(describe_suspect(one) for one in scores.suspects)
        return replace(verdict, outcome=Outcome.FAIL, cause=VerdictCause.NO_SAMPLE, reason=words)
    if metric.name not in scores:
        words = f"not measured: {scores.unmeasured.get(metric.name, 'it was not asked for')}"
        return replace(verdict, cause=VerdictCause.NOT_MEASURED, reason=words)
    score = scores[metric.name]
    verdict = replace(verdict, measured=score)
    if not all(math.isfinite(one) for one in (base.mean, score.mean, *score.values)):
        return _said(replace(verdict, outcome=Outcome.FAIL, cause=VerdictCause.NOT_FINITE))
    if limit.margin is None:
        return _said(_without_margin(asked, verdict, score, settings))
    return _with_margin(asked, verdict, score, settings, spreads=spreads, beside=beside)


def _without_margin(asked: Comparison, verdict: Verdict, score: Score, settings: Settings) -> Verdict:
    """Judge a plain limit."""
    metric, n, base = asked.metric, verdict.n_fake or 0, asked.base(verdict.n_fake or 0)
    number = asked.limit.of is None
    seen = from_number(metric, base.mean, score, n) if number else difference(metric, base, score, n)
    question = Question(looks=len(asked.looks))
    critical = criticals(settings, question, seen.error)
    ruling = judge_plain(seen, critical, last=n == asked.full, confidence=asked.confidence, looks=len(asked.looks))
    sees = seen.error.quantile(settings.miss) * seen.error.se
    verdict = replace(_ruled(verdict, seen, ruling), sees=sees if math.isfinite(sees) else None)
    worst = metric.low if metric.higher_is_better else metric.high
    if ruling.outcome is Outcome.PASS and (base.mean <= worst if metric.higher_is_better else base.mean >= worst):
        return replace(verdict, outcome=Outcome.BLIND, cause=VerdictCause.CANNOT_FAIL)
    return verdict


def _with_margin(
    asked: Comparison, verdict: Verdict, score: Score, settings: Settings, *, spreads: Spreads, beside: Paired | None
) -> Verdict:
    """Judge against a margin: the row first, then its anchor, then whether the comparison could see anything."""
    metric, entry, n = asked.metric, asked.limit.entry, verdict.n_fake or 0
    recipe = asked.change is Change.RECIPE
    spreads = spreads if recipe else NO_SPREADS
    chosen = _selected_from(asked.limit) if recipe else 0
    seen = difference(metric, asked.base(n), score, n, spreads.at_look, selected_from=chosen)
    note, paired = "", False
    if asked.paired:
        found = pair(metric, score, n, beside=beside, accepted=asked.identity, unpaired=seen)
        seen, note, paired = found.seen or seen, found.words, found.seen is not None
    if not known(seen):
        verdict = replace(verdict, outcome=Outcome.UNDECIDED, cause=VerdictCause.NO_ERROR, loss=_number(seen.loss))
        return _said(verdict, note)
    margin = margin_in_units(entry, asked.base(asked.full).mean)
    if margin is not None and math.isnan(margin):
        return _said(replace(verdict, outcome=Outcome.INCOMPARABLE, cause=VerdictCause.NO_REAL_ROW))
    anchor = None if entry.anchor is None else entry.anchor.at.get(n)
    question = Question(
        looks=len(asked.looks),
        recipe=seen.run_sd is not None,
        runs=verdict.runs,
        both_sides=not recipe,
        risk_part=1.0 if anchor is None else 1.0 - ANCHOR_PART,
    )
    sight = sight_of_auto(
        metric,
        (n, asked.base(n), spreads.row_at_look),
        (asked.full, asked.base(asked.full), spreads.row_at_full),
        settings=settings,
        question=question,
        seen=seen,
        paired=paired,
    )
    sight = sight if margin is None else replace(sight, sees=margin, between=0.0)
    span = _span(metric, asked.base(n).mean, asked.base(asked.full).mean)
    judge = partial(_judge, settings=settings, sight=sight, margin=margin, last=n == asked.full, span=span)
    verdict = _ruled(verdict, seen, judge(seen, question))
    verdict = replace(verdict, run_sd=seen.run_sd, cause=_cause_of(verdict, question, auto=margin is None))
    if anchor is not None:
        drift = against_anchor(metric, anchor, score, n, seen)
        of_anchor = replace(question, both_sides=False, risk_part=ANCHOR_PART)
        verdict = _anchored(replace(verdict, anchor=anchor.mean), judge(drift, of_anchor))
    return _said(checked(verdict, sight, asked.base(asked.full).mean, entry), note)


def sight_before(asked: Comparison, spreads: Spreads, settings: Settings) -> Sight:
    """Return what a comparison with one training run will see, before a candidate is measured."""
    base, metric = asked.base(asked.full), asked.metric
    expected = expected_difference(metric, base, asked.full, spreads.row_at_full)
    risk_part = 1.0 if asked.limit.entry.anchor is None else 1.0 - ANCHOR_PART
    question = Question(len(asked.looks), recipe=expected.run_sd is not None, risk_part=risk_part)
    at = (asked.full, base, spreads.row_at_full)
    sight = sight_of_auto(metric, at, at, settings=settings, question=question, seen=expected)
    margin = margin_in_units(asked.limit.entry, base.mean)
    return sight if margin is None else replace(sight, sees=margin, between=0.0)


def _judge(
    seen: Difference,
    question: Question,
    *,
    settings: Settings,
    sight: Sight,
    margin: float | None,
    last: bool,
    span: float,
) -> Ruling:
    """Judge one difference by the margin that the entry asks for."""
    critical = criticals(settings, question, seen.error)
    if margin is None:
        return judge_auto(seen, sight.full_se, critical, last=last, both_sides=question.both_sides, span=span)
    return judge_margin(seen, margin, critical, last=last, both_sides=question.both_sides, span=span)


def _span(metric: Metric, at_look: float, at_full: float) -> float:
    """Return how far an accepted value lies from the metric's worst one, as a share of that at the full count."""
    worst = metric.low if metric.higher_is_better else metric.high
    look, full = abs(at_look - worst), abs(at_full - worst)
    return look / full if math.isfinite(worst) and look < full else 1.0


def _anchored(verdict: Verdict, held: Ruling) -> Verdict:
    """Return the verdict on the row together with the ruling on its anchor: the worse of the two holds."""
    if held.outcome is Outcome.FAIL and verdict.outcome is not Outcome.FAIL:
        return replace(verdict, outcome=Outcome.FAIL, cause=VerdictCause.DRIFT, critical=held.critical)
    if held.outcome is Outcome.UNDECIDED and verdict.outcome.green:
        return replace(
            verdict,
            outcome=Outcome.UNDECIDED,
            cause=held.cause,
            critical=held.critical,
            needed_margin=held.needed_margin,
        )
    return verdict


def _cause_of(verdict: Verdict, question: Question, *, auto: bool) -> VerdictCause:
    """Return a failure's cause by what was changed."""
    if verdict.cause is not VerdictCause.WORSE:
        return verdict.cause
    if question.both_sides:
        return VerdictCause.DIFFERENT
    if question.recipe:
        return VerdictCause.RECIPE_WORSE
    return VerdictCause.ONE_RUN if auto else VerdictCause.WORSE


def margin_in_units(entry: Entry, value: float) -> float | None:
    """Return the margin in metric units; None for `auto`, nan where it needs a Real row that is not known.

    Args:
        entry: The row's entry.
        value: The row's value at the full count, which shares are taken of.
    """
    if entry.margin is None or entry.margin.kind == "auto":
        return None
    kind, amount = entry.margin.kind, entry.margin.amount
    if kind == "absolute":
        return amount
    if kind == "relative":
        return amount * abs(value)
    return math.nan if entry.real is None else amount * abs(value - entry.real)


def _selected_from(limit: Limit) -> int:
    """Return how many runs the row's were chosen from."""
    return 0 if limit.of is None else limit.of.selected_from


def _ruled(verdict: Verdict, seen: Difference, ruling: Ruling) -> Verdict:
    """Return the verdict with what one look says."""
    return replace(
        verdict,
        outcome=ruling.outcome,
        cause=ruling.cause,
        critical=ruling.critical,
        margin=ruling.margin,
        allowed=ruling.allowed,
        needed_margin=ruling.needed_margin,
        loss=seen.loss,
        loss_se=_number(seen.error.se),
    )


def _said(verdict: Verdict, note: str = "") -> Verdict:
    """Return the verdict with its cause in words."""
    return replace(verdict, reason="; ".join(filter(None, (verdict.reason or sentence(verdict), note))))


def _number(value: float) -> float | None:
    """Return a number, None for one that is not finite."""
    return value if math.isfinite(value) else None


def _real_at(limit: Limit, n: int) -> float | None:
    """Return the Real row's value at a count."""
    real = None if limit.of is None else limit.of.real
    entry = None if real is None else real.entries.get(limit.metric)
    return None if entry is None or n not in entry.at else entry.at[n].mean
