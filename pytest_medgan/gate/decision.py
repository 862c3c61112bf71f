"""From scores and limits to verdicts: pure functions, no files, no pytest.

For every metric let `loss` be how much worse the measured mean is than the limit's own value at the same count, in the
metric's own units, and `se` the standard error of that difference with the reference held fixed: that of the measured
mean and that of the baseline's, added in quadrature. At each look

    PASS   when  loss + c * se <= margin    clearly within (STALE: when it also lies clearly below -margin)
    FAIL   when  loss - f * se >  margin    clearly beyond
    else   draw more; at the full count this is UNDECIDED, which is not green.

The critical values c and f are quantiles of the normal (or Student's t) distribution that spend two promises:

- `miss`: a model that is worse than the margin in a metric passes that metric with at most this probability. The error
  is split over the looks alone (Bonferroni): a gate passes only when every metric passes, so one metric that keeps its
  promise keeps it for all of them (an intersection-union test; Berger 1982), and c needs no share a metric.
- `promise`: an unchanged model passes all metrics together with at least this probability. Its complement is split over
  the catalogue's metrics (Bonferroni, valid under any dependence and for a single helper): f shares it over the looks
  too, and `auto_margin` is the smallest margin at which an unchanged model passes a metric at the full count with its
  share, whatever the early looks did. So a gate that gets there asks every metric again, those that passed early too:
  it costs an unchanged model nothing, and chance lets fewer faults through. An early look can end in FAIL only beyond
  margin + f * se, which an unchanged model reaches far more rarely than f says, because its loss is 0 and not the
  margin.

A gate that asks for pairs (pairing.py) puts their error in the place of `se` where it is clearly smaller, whatever the
loss. An unchanged model then passes whatever it would have passed unpaired, which keeps `promise`. Of unrelated models
the two errors differ by chance alone, far less than that, so that none is picked for being too small, which keeps
`miss`. Neither promise has to be shared between the two ways.

A limit without a margin (a plain number, `0.9 * row.improved_recall`) asks a plain question and gets a plain answer: at
the full count the mean decides, on the limit counts as within, and nothing is undecided. Early looks still end the
test where the answer is clear. A plain number holds at the full count, so earlier looks use it for metrics free of n
only. NaN is never green.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from pytest_medgan.catalogue import METRICS, Metric
from pytest_medgan.gate.pairing import pair
from pytest_medgan.gate.uncertainty import Error, limit_error, measured_error
from pytest_medgan.records import Evaluation, Limit, Outcome, Paired, Scores, Verdict

HELPS = 0.8  # the share of the unpaired error that the pairs' must stay below to be used
PLAIN = 0  # the count under which a plain number stands in a Limit


@dataclass(frozen=True)
class Settings:
    """Everything a gate can be told. The defaults were fixed before the trust benchmark was run."""

    promise: float = 0.998  # probability that an unchanged model passes, over all metrics together
    miss: float = 0.01  # probability that a metric worse than its margin passes, over all looks together
    metrics: int = len(METRICS)  # metrics that share what `promise` leaves; more with metrics of your own

    def pass_risk(self, looks: int) -> float:
        """One-sided error of a PASS at one look."""
        return self.miss / looks

    def fail_risk(self, looks: int) -> float:
        """One-sided error of a FAIL of one metric at one look."""
        return (1.0 - self.promise) / (self.metrics * looks)

    def alarm_risk(self) -> float:
        """Share of one metric in the failures that an unchanged model is allowed."""
        return (1.0 - self.promise) / self.metrics


DEFAULT = Settings()


@dataclass(frozen=True)
class Question:
    """One metric, its limit and the looks at which the two can be compared."""

    metric: Metric
    limit: Limit
    looks: tuple[int, ...]  # ascending; the last one must decide
    paired: bool = False  # baseline and candidate were drawn from the same latents


def ask(metric: Metric, limit: Limit, counts: Sequence[int], paired: bool = False) -> Question | Verdict:
    """The looks at which a limit can be compared with an evaluation of these counts; a Verdict where there are none."""
    if limit.kind == "missing" or not limit.values:
        reason = f"no baseline yet: {limit.origin} has no value in row {limit.row!r}"
        return _closed(metric, limit, Outcome.MISSING, reason)
    full = max(counts)
    if PLAIN in limit.values:
        looks = tuple(counts) if metric.free_of_n else (full,)
    else:
        looks = tuple(n for n in counts if n in limit.values)
    if not looks:
        has, asked = (", ".join(f"{n:,}" for n in sorted(some)) for some in (limit.values, counts))
        return _closed(metric, limit, Outcome.INCOMPARABLE, f"the limit has a value at {has} images, not at {asked}")
    return Question(metric, limit, looks, paired and limit.kind != "number")


def look(question: Question, scores: Scores, settings: Settings = DEFAULT, beside: Paired | None = None) -> Verdict:
    """Compares one look. UNDECIDED before the last look means: draw more. `beside` serves paired questions."""
    metric, limit, n = question.metric, question.limit, scores.n_fake
    at = limit.values[n if n in limit.values else PLAIN]
    looks = tuple(m for m in question.looks if m <= n)
    base = Verdict(metric, Outcome.MISSING, None, n, at.value, None, limit.origin, limit.row, looks=looks)
    real = None if limit.real is None or n not in limit.real else limit.real[n].value
    if metric.name not in scores:
        why = scores.unmeasured.get(metric.name, "it was not asked for")
        return replace(base, reason=f"not measured: {why}", real=real)
    score = scores[metric.name]
    margin = margin_at(limit, n)
    loss = float(at.value - score.mean if metric.higher_is_better else score.mean - at.value)
    base = replace(base, measured=score, real=real, margin=margin, loss=loss)
    if not math.isfinite(score.mean) or not math.isfinite(loss) or not all(map(math.isfinite, score.values)):
        return replace(base, outcome=Outcome.FAIL, reason="not a finite number, which never passes")
    error = measured_error(metric, score, n)
    if limit.kind != "number":
        error = error + limit_error(metric, at, n)
    base = replace(base, loss_se=error.se)
    if margin is not None and not math.isfinite(margin):
        return replace(base, outcome=Outcome.INCOMPARABLE, reason="the margin needs a Real row at this count")
    plan = _Plan(error, settings, len(question.looks), last=n == question.looks[-1])
    note = ""
    if question.paired:
        found = pair(metric, limit, n, beside=beside, unpaired=error)
        pairs = replace(plan, error=found.error)
        helps = pairs.accept * pairs.error.se < HELPS * plan.accept * plan.error.se
        errors = "" if math.isnan(found.error.se) else f": error {found.error.se:.3g}, unpaired {error.se:.3g}"
        note = f"{'paired' if helps else 'pairing does not help,'} {found.how}{errors}"
        plan = pairs if helps else plan
    verdict = replace(base, loss_se=plan.error.se)
    verdict = _plain(verdict, loss, plan) if margin is None else _with_margin(verdict, loss, margin, plan)
    return replace(verdict, reason="; ".join(filter(None, (verdict.reason, note))))


@dataclass(frozen=True)
class _Plan:
    """What one look may spend."""

    error: Error
    settings: Settings
    looks: int
    last: bool

    @property
    def accept(self) -> float:
        return self.error.quantile(self.settings.pass_risk(self.looks))

    @property
    def reject(self) -> float:
        return self.error.quantile(self.settings.fail_risk(self.looks))


def margin_at(limit: Limit, n: int) -> float | None:
    """The margin in metric units at a count; None where the limit has none, NaN where it cannot be told."""
    if limit.margin is None:
        return None
    kind, amount = limit.margin.kind, limit.margin.amount
    if kind in ("absolute", "auto"):
        return amount
    value = limit.values[n if n in limit.values else PLAIN].value
    if kind == "relative":
        return amount * abs(value)
    if limit.real is None or n not in limit.real:
        return math.nan
    return amount * abs(value - limit.real[n].value)


def _with_margin(base: Verdict, loss: float, margin: float, plan: _Plan) -> Verdict:
    accept, reject, se = plan.accept, plan.reject, plan.error.se
    if loss + accept * se <= margin:
        if loss + reject * se < -margin:
            reason = "better than the baseline by more than its margin: renew the baseline"
            return replace(base, outcome=Outcome.STALE, critical=reject, reason=reason)
        return replace(base, outcome=Outcome.PASS, critical=accept)
    if loss - reject * se > margin:
        reason = "worse than the limit by more than the margin"
        return replace(base, outcome=Outcome.FAIL, critical=reject, reason=reason)
    needed = loss + accept * se
    if not math.isfinite(needed):
        return replace(base, outcome=Outcome.UNDECIDED, critical=accept, reason="it has no standard error")
    reason = f"a margin of {needed:.4g} would have passed" if plan.last else "more images are needed"
    if plan.last and loss > margin:
        reason = f"worse than the margin, though within chance of it; {reason}"
    return replace(base, outcome=Outcome.UNDECIDED, critical=accept, reason=reason, needed_margin=needed)


def _plain(base: Verdict, loss: float, plan: _Plan) -> Verdict:
    """A limit without margin: clear at an early look, the mean alone at the last."""
    wrong = "on the wrong side of the limit"
    if plan.last:
        outcome = Outcome.PASS if loss <= 0 else Outcome.FAIL
        return replace(base, outcome=outcome, critical=0.0, reason="" if loss <= 0 else wrong)
    if loss + plan.accept * plan.error.se < 0:
        return replace(base, outcome=Outcome.PASS, critical=plan.accept)
    if loss - plan.reject * plan.error.se > 0:
        return replace(base, outcome=Outcome.FAIL, critical=plan.reject, reason=wrong)
    return replace(base, outcome=Outcome.UNDECIDED, critical=plan.accept, reason="more images are needed")


def decide(
    evaluation: Evaluation,
    limits: Sequence[tuple[Metric, Limit]],
    settings: Settings = DEFAULT,
    *,
    paired: bool = False,
) -> tuple[Verdict, ...]:
    """Looks at growing counts until every metric is decided or one has failed; one Verdict a limit, in order.

    Fingerprints are compared before anything is drawn. Where a limit is missing every look is computed, so that the
    candidate written from this evaluation is complete, and the verdict is MISSING. Once one metric has failed the rest
    are left where they stood: the gate is red whatever they would have said. What has passed early is asked again
    where others take the gate to the full count; what has failed early has failed.
    """
    verdicts = {i: incomparable(metric, limit, evaluation) for i, (metric, limit) in enumerate(limits)}
    if any(verdict is not None for verdict in verdicts.values()):
        return tuple(
            verdicts[i] or _closed(metric, limit, Outcome.UNDECIDED, "not measured: another limit cannot be compared")
            for i, (metric, limit) in enumerate(limits)
        )
    counts = tuple(sorted(evaluation.counts))
    paired_at: Callable[[int], Paired | None] | None = getattr(evaluation, "paired", None)
    asked = [ask(metric, limit, counts, paired) for metric, limit in limits]
    settings = replace(settings, metrics=max(settings.metrics, len(limits)))
    missing = any(isinstance(item, Verdict) and item.outcome is Outcome.MISSING for item in asked)
    state: dict[int, Verdict] = {i: item for i, item in enumerate(asked) if isinstance(item, Verdict)}
    questions = {i: item for i, item in enumerate(asked) if isinstance(item, Question)}
    open_ = dict(questions)
    if state and not missing:
        open_ = {}  # a limit that cannot be compared: red already, so nothing is drawn
    for n in counts:
        if not open_ and not missing:
            break
        scores = evaluation.at(n)
        beside = paired_at(n) if paired and paired_at is not None else None
        again = {i for i, q in questions.items() if n == q.looks[-1] and i in state and state[i].outcome.green}
        for i in sorted(again | {i for i, q in open_.items() if n in q.looks}):
            state[i] = look(questions[i], scores, settings, beside)
            if state[i].outcome is not Outcome.UNDECIDED or n == questions[i].looks[-1]:
                open_.pop(i, None)
        if not missing and any(not state[i].outcome.green for i in state if i not in open_):
            break
    for i, (metric, limit) in enumerate(limits):
        if i in open_ or i not in state:
            stopped = "left undecided: another metric had already failed"
            state[i] = replace(
                state.get(i) or _closed(metric, limit, Outcome.UNDECIDED, stopped), reason=stopped, needed_margin=None
            )
    if missing:
        scores = evaluation.at(counts[-1])
        for i, verdict in state.items():
            if verdict.outcome is Outcome.MISSING and verdict.measured is None and verdict.metric.name in scores:
                score = scores[verdict.metric.name]
                state[i] = replace(verdict, measured=score, n_fake=counts[-1], looks=counts)
    late = [incomparable(metric, limit, evaluation) for metric, limit in limits]  # a canary may exist only by now
    return tuple(late[i] or state[i] for i in range(len(limits)))


def incomparable(metric: Metric, limit: Limit, evaluation: Evaluation) -> Verdict | None:
    """The INCOMPARABLE verdict where the limit was measured under other conditions, else None."""
    if limit.kind == "missing" or limit.fingerprint is None:
        return None
    differences = evaluation.fingerprint.differences(limit.fingerprint, limit.metric)
    if not differences:
        return None
    return _closed(metric, limit, Outcome.INCOMPARABLE, "measured under other conditions: " + "; ".join(differences))


def _closed(metric: Metric, limit: Limit, outcome: Outcome, reason: str) -> Verdict:
    """A verdict without a measurement."""
    return Verdict(metric, outcome, None, None, None, None, limit.origin, limit.row, reason=reason)
