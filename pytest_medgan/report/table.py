"""Table 1 of a run: one line a metric, ready for Markdown and HTML alike."""

from __future__ import annotations

import math
import shlex
from dataclasses import dataclass

from pytest_medgan.records import Outcome
from pytest_medgan.report.run import Measured, MetricFacts, ModelRecord, ReportRun, RowRecord, RowValue, VerdictRecord

# what an outcome means, to someone who has not read the manual
MEANING = {
    Outcome.PASS: "within the margin of the baseline",
    Outcome.FAIL: "worse than the baseline by more than the margin",
    Outcome.UNDECIDED: "too few images to tell, or left open since another metric had failed; never green",
    Outcome.INCOMPARABLE: "the settings or inputs differ from the baseline's, so nothing may be compared",
    Outcome.MISSING: "there is nothing to compare with, or nothing was measured",
    Outcome.STALE: "so much better than the baseline that it should be renewed",
}


# what became of comparisons that are not green, said of the worst of them
_FATE = {
    Outcome.FAIL: "did not hold",
    Outcome.UNDECIDED: "could not be decided at the full count",
    Outcome.INCOMPARABLE: "could not be made, since settings or inputs differ from the baseline's",
    Outcome.MISSING: "had nothing to compare with, or nothing measured",
}


@dataclass(frozen=True)
class Judgement:
    """One verdict, as text."""

    label: str
    outcome: str
    detail: str

    @property
    def bad(self) -> bool:
        return self.outcome not in (Outcome.PASS, Outcome.STALE)


@dataclass(frozen=True)
class Line:
    """One metric of one model, as text."""

    metric: str
    label: str
    arrow: str
    candidate: str
    real: str
    baseline: str
    published: str
    change: str  # "12.3 se worse", "0.4 se better", or a dash
    outcome: str  # an Outcome, "not judged" or "not measured"; the worst where several tests asked

    @property
    def bad(self) -> bool:
        return self.outcome in Outcome.__members__ and not Outcome(self.outcome).green


def lines(model: ModelRecord) -> tuple[Line, ...]:
    """The model's table at its largest look, in the catalogue's order."""
    return tuple(_line(model, name) for name in model.metrics)


def judgements(model: ModelRecord) -> tuple[Judgement, ...]:
    """Every verdict on the model, and every metric that could not be measured, in the catalogue's order. Before them,
    what there was nothing to compare with, said once for all that lack the same."""
    found = _missing(model)
    for metric in model.metrics:
        facts = model.facts(metric)
        every = [v for v in model.verdicts if v.metric == metric]
        mine = [v for v in every if v.outcome != Outcome.MISSING]
        found += [Judgement(facts.label, v.outcome, _detail(v)) for v in mine]
        if not every and model.last is not None and metric in model.last.unmeasured:
            found.append(Judgement(facts.label, "not measured", model.last.unmeasured[metric]))
    return tuple(found)


def _missing(model: ModelRecord) -> list[Judgement]:
    """One judgement for each reason why something is missing, whatever metrics and tests asked for it."""
    asked: dict[str, list[VerdictRecord]] = {}
    for verdict in sorted(model.verdicts, key=lambda v: model.metrics.index(v.metric)):
        if verdict.outcome == Outcome.MISSING:
            asked.setdefault(verdict.reason, []).append(verdict)
    return [
        Judgement(
            ", ".join(dict.fromkeys(v.label for v in verdicts)),
            Outcome.MISSING,
            "; ".join([reason, *(f"asked by {test}" for test in dict.fromkeys(v.test for v in verdicts) if test)]),
        )
        for reason, verdicts in asked.items()
    ]


def headline(run: ReportRun) -> str:
    """The verdict in one line, with what did not hold."""
    named = "; ".join(f"{name}: {', '.join(labels)}" for name, labels in lost(run))
    return verdict_line(run) + (f" ({named})." if named and not run.problems else "" if run.problems else ".")


def lost(run: ReportRun) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Each model with comparisons that ended as the run did, and the metrics they were about.

    In a run that failed these are the failures: what was left undecided because another metric had failed is no loss.
    """
    ended = run.outcome
    if ended is None or ended.green:
        return ()
    named = ((m.name, tuple(dict.fromkeys(v.label for v in m.verdicts if v.outcome == ended))) for m in run.models)
    return tuple((name, labels) for name, labels in named if labels)


def verdict_line(run: ReportRun) -> str:
    """The verdict and how many comparisons stand behind it, without names and without a full stop."""
    outcome = run.outcome
    if outcome is None:
        return "Nothing was judged: this run holds scores and no verdict"
    if run.problems:
        return f"{outcome}: {run.problems[0]}"
    verdicts = [v for m in run.models for v in m.verdicts]
    bad = sum(v.outcome == outcome for v in verdicts)
    other = sum(not v.green for v in verdicts) - bad
    models = "one model" if len(run.models) == 1 else f"{len(run.models)} models"
    if outcome.green:
        stale = sum(v.outcome == Outcome.STALE for v in verdicts)
        renew = f"; {stale} so much better that the baseline should be renewed" if stale else ""
        return f"{outcome}: all {len(verdicts)} comparisons of {models} hold{renew}"
    fate = _FATE.get(outcome, _FATE[Outcome.FAIL])
    more = f", {other} more had no verdict" if other else ""
    return f"{outcome}: {bad} of {len(verdicts)} comparisons of {models} {fate}{more}"


def cost(model: ModelRecord) -> str:
    """How many images it took, of how many."""
    seeds = max(len(model.groups), 1)
    full = model.full_count * seeds
    if not full:
        return "No image was generated."
    share = f" ({100 * model.images_used / full:.0f}% of the full count of {full:,})" if full else ""
    looks = ", ".join(f"{look.n_fake:,}" for look in model.looks) or "none"
    last = model.last
    against = f" against {last.n_real:,} real images" if last else ""
    plural = "s" if seeds > 1 else ""
    return (
        f"{model.images_used:,} images generated{share}, {seeds} sample group{plural}, "
        f"looks at {looks} images a group{against}."
    )


def accept_command(model: ModelRecord) -> str:
    """The command that makes this run the new baseline row; empty where every verdict is green and not stale."""
    row = next((v.row for v in model.verdicts if v.row and (not v.green or v.outcome == Outcome.STALE)), None)
    if row is None:
        return ""
    command = model.accept or f"medgan baseline accept CANDIDATE.yaml --row {shlex.quote(row)}"
    return f'{command} --reason "..."'


def change(model: ModelRecord, metric: str) -> float | None:
    """How much worse than the baseline in standard errors; negative is better. None where it cannot be told.

    The verdict's own figure where there is one, else the difference at the largest look that the row holds too.
    """
    verdict = model.verdict(metric)
    if verdict is not None and verdict.errors_lost is not None:
        return verdict.errors_lost
    last = model.last
    if last is None or metric not in last.metrics or model.baseline is None:
        return None
    row = model.baseline.at(metric, last.n_fake, model.full_count)
    if row is None:
        return None
    measured = last.metrics[metric]
    error = math.hypot(measured.se, row.se)
    gap = row.value - measured.mean if model.facts(metric).higher_is_better else measured.mean - row.value
    return gap / error if error and math.isfinite(gap / error) else None


def spread(facts: MetricFacts, value: Measured | RowValue | None) -> str:
    """Mean ± standard deviation over the sample groups; a dash where there is no value."""
    if value is None:
        return "–"
    mean = value.mean if isinstance(value, Measured) else value.value
    groups = len(value.values) if isinstance(value, Measured) else value.groups
    shown = facts.show(mean)
    several = groups > 1 or (isinstance(value, RowValue) and value.sd > 0)
    return f"{shown} ± {facts.show(value.sd)}" if several and shown != "–" else shown


def _line(model: ModelRecord, metric: str) -> Line:
    facts, last, verdict = model.facts(metric), model.last, model.verdict(metric)
    measured = last.metrics.get(metric) if last else None
    count = last.n_fake if last else model.full_count
    worse = change(model, metric)
    return Line(
        metric=metric,
        label=facts.label,
        arrow=facts.arrow,
        candidate=spread(facts, measured),
        real=_beside(facts, model.real, metric, count, model.full_count),
        baseline=_beside(facts, model.baseline, metric, count, model.full_count),
        published=spread(facts, model.published.largest(metric)) if model.published else "–",
        change=_moved(worse),
        outcome=verdict.outcome if verdict else ("not judged" if measured else "not measured"),
    )


def unmoved(worse: float) -> bool:
    """A change, in standard errors, that would read as 0.0."""
    return abs(worse) < 0.05


def _moved(worse: float | None) -> str:
    if worse is None:
        return "–"
    return "none" if unmoved(worse) else f"{abs(worse):.1f} se {'worse' if worse > 0 else 'better'}"


def _beside(facts: MetricFacts, row: RowRecord | None, metric: str, count: int, full: int) -> str:
    """The row's value at the very count of the table; at another count FID and recall would not compare."""
    return "–" if row is None else spread(facts, row.at(metric, count, full))


def _detail(verdict: VerdictRecord) -> str:
    """The verdict in one sentence: at how many images, against what, where that came from, and which test asked."""
    show = verdict.facts.show
    parts = []
    if verdict.mean is not None and verdict.limit is not None:
        allowed = f" with a margin of {verdict.margin:.3g}" if verdict.margin else ""
        count = f" at {verdict.n_fake:,} images" if verdict.n_fake else ""
        parts.append(f"{show(verdict.mean)} against {show(verdict.limit)}{allowed}{count}")
    if verdict.reason:
        parts.append(verdict.reason)
    if verdict.needed_margin is not None and "margin of" not in verdict.reason:
        parts.append(f"a margin of {verdict.needed_margin:.3g} would have passed")
    if verdict.origin:
        parts.append(f"limit from {verdict.origin}")
    if verdict.test:
        parts.append(f"asked by {verdict.test}")
    return "; ".join(parts)
