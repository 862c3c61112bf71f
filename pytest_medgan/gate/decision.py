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
  share, whatever the early looks did. An early look can end in FAIL only beyond margin + f * se, which an unchanged
  model reaches far more rarely than f says, because its loss is 0 and not the margin.

A limit without a margin (a plain number, `0.9 * row.improved_recall`) asks a plain question and gets a plain answer: at
the full count the mean decides, on the limit counts as within, and nothing is undecided. Early looks still end the
test where the answer is clear. A plain number holds at the full count, so earlier looks use it for metrics free of n
only. NaN is never green.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from scipy import stats

from pytest_medgan.catalogue import METRICS, Metric
from pytest_medgan.records import Evaluation, Limit, LimitValue, MetricScore, Outcome, Scores, Verdict

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
class Error:
    """A standard error and how well it is itself known."""

    se: float
    freedom: float = math.inf  # degrees of freedom; infinite when it rests on the images rather than on the groups

    def __add__(self, other: Error) -> Error:
        """Of a difference of two independent estimates (Welch-Satterthwaite)."""
        total = self.se**2 + other.se**2
        spent = self.se**4 / self.freedom + other.se**4 / other.freedom
        return Error(math.sqrt(total), total**2 / spent if spent > 0 else math.inf)

    def quantile(self, risk: float) -> float:
        """The one-sided critical value that leaves `risk` above it."""
        return float(stats.norm.isf(risk) if math.isinf(self.freedom) else stats.t.isf(risk, self.freedom))


def measured_error(metric: Metric, score: MetricScore, n_fake: int) -> Error:
    """The error of a measured mean over its sample groups of `n_fake` images each."""
    groups = len(score.values)
    return _error(metric, LimitValue(float(score.mean), float(score.se), float(score.sd), groups=groups), n_fake)


def limit_error(metric: Metric, value: LimitValue, n_fake: int) -> Error:
    """The error of a limit's value; none for a plain number."""
    if value.se == 0 and value.sd == 0 and value.se_total == 0:
        return Error(0.0)
    return _error(metric, value, n_fake)


def _error(metric: Metric, value: LimitValue, n_fake: int) -> Error:
    """Student's t where the error is the groups' own spread, and a floor for shares near 0 and 1.

    A share of 0 out of N was not measured without error: two successes and two failures are added (Agresti and Coull
    1998), which only matters within a few images of either end.
    """
    se, groups = value.se, value.groups
    spread = value.sd / math.sqrt(groups) if groups > 1 else math.nan
    freedom = float(groups - 1) if math.isclose(se, spread, rel_tol=1e-6) and se > 0 else math.inf
    if (metric.low, metric.high) == (0.0, 1.0):
        floor = share_error(value.value, n_fake * groups, 4.0)
        if floor > se:
            return Error(floor)
    return Error(se, freedom)


def share_error(share: float, trials: int, added: float) -> float:
    """Standard error of a share of `trials` images once `added` trials, half of them successes, are put in."""
    if not 0.0 <= share <= 1.0:
        return 0.0
    total = trials + added
    shrunk = (share * trials + added / 2) / total
    return math.sqrt(shrunk * (1.0 - shrunk) / total)


def auto_margin(metric: Metric, values: Mapping[int, LimitValue], settings: Settings = DEFAULT) -> float:
    """The smallest margin at which an unchanged model passes at the full count with its share of the promise.

    `values` are the row's own at every look. An unchanged model has the same error as the row, so its loss has sqrt(2)
    times that, and loss + c * se <= margin holds with probability 1 - a when margin = (c + z_a) * se. For shares the
    error is that of the worst share that still explains what was seen, so that a row with none of something leaves
    room for a handful.
    """
    full = max(values)
    error = limit_error(metric, values[full], full)
    both = error + error
    alarm = both.quantile(settings.alarm_risk())
    if (metric.low, metric.high) == (0.0, 1.0):
        trials = full * values[full].groups
        both = replace(both, se=max(both.se, math.sqrt(2.0) * share_error(values[full].value, trials, alarm**2)))
    return (both.quantile(settings.pass_risk(len(values))) + alarm) * both.se


@dataclass(frozen=True)
class Question:
    """One metric, its limit and the looks at which the two can be compared."""

    metric: Metric
    limit: Limit
    looks: tuple[int, ...]  # ascending; the last one must decide

    @property
    def origin(self) -> str:
        return self.limit.origin


def ask(metric: Metric, limit: Limit, counts: Sequence[int]) -> Question | Verdict:
    """The looks at which a limit can be compared with an evaluation of these counts; a Verdict where there are none."""
    if limit.kind == "missing" or not limit.values:
        reason = f"no baseline yet: {limit.origin} has no row {limit.row!r} with {metric.name}"
        return _closed(metric, limit, Outcome.MISSING, reason)
    full = max(counts)
    if PLAIN in limit.values:
        looks = tuple(counts) if metric.free_of_n else (full,)
    else:
        looks = tuple(n for n in counts if n in limit.values)
    if not looks:
        has, asked = (", ".join(f"{n:,}" for n in sorted(some)) for some in (limit.values, counts))
        return _closed(metric, limit, Outcome.INCOMPARABLE, f"the limit has a value at {has} images, not at {asked}")
    return Question(metric, limit, looks)


def look(question: Question, scores: Scores, settings: Settings = DEFAULT) -> Verdict:
    """Compares one look. UNDECIDED before the last look means: draw more."""
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
    error = measured_error(metric, score, n) + limit_error(metric, at, n)
    base = replace(base, loss_se=error.se)
    plan = _Plan(error, settings, len(question.looks), last=n == question.looks[-1])
    if margin is None:
        return _plain(base, loss, plan)
    if not math.isfinite(margin):
        return replace(base, outcome=Outcome.INCOMPARABLE, reason="the margin needs a Real row at this count")
    return _with_margin(base, loss, margin, plan)


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
    evaluation: Evaluation, limits: Sequence[tuple[Metric, Limit]], settings: Settings = DEFAULT
) -> tuple[Verdict, ...]:
    """Looks at growing counts until every metric is decided or one has failed; one Verdict a limit, in order.

    Fingerprints are compared before anything is drawn. Where a limit is missing every look is computed, so that the
    candidate written from this evaluation is complete, and the verdict is MISSING. Once one metric has failed the rest
    are left where they stood: the gate is red whatever they would have said.
    """
    verdicts = {i: incomparable(metric, limit, evaluation) for i, (metric, limit) in enumerate(limits)}
    if any(verdict is not None for verdict in verdicts.values()):
        return tuple(
            verdicts[i] or _closed(metric, limit, Outcome.UNDECIDED, "not measured: another limit cannot be compared")
            for i, (metric, limit) in enumerate(limits)
        )
    counts = tuple(sorted(evaluation.counts))
    asked = [ask(metric, limit, counts) for metric, limit in limits]
    settings = replace(settings, metrics=max(settings.metrics, len(limits)))
    missing = any(isinstance(item, Verdict) and item.outcome is Outcome.MISSING for item in asked)
    state: dict[int, Verdict] = {i: item for i, item in enumerate(asked) if isinstance(item, Verdict)}
    open_ = {i: item for i, item in enumerate(asked) if isinstance(item, Question)}
    if state and not missing:
        open_ = {}  # a limit that cannot be compared: red already, so nothing is drawn
    for n in counts:
        if not open_ and not missing:
            break
        scores = evaluation.at(n)
        for i in [i for i, question in open_.items() if n in question.looks]:
            state[i] = look(open_[i], scores, settings)
            if state[i].outcome is not Outcome.UNDECIDED or n == open_[i].looks[-1]:
                del open_[i]
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
    differences = evaluation.fingerprint.differences(limit.fingerprint)
    if not differences:
        return None
    return _closed(metric, limit, Outcome.INCOMPARABLE, "measured under other conditions: " + "; ".join(differences))


def _closed(metric: Metric, limit: Limit, outcome: Outcome, reason: str) -> Verdict:
    """A verdict without a measurement."""
    return Verdict(metric, outcome, None, None, None, None, limit.origin, limit.row, reason=reason)
