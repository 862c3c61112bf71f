"""The numbers of each comparison: the value, its bound, the baseline's value, and the change."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from pytest_medgan.records import Outcome, Score
from pytest_medgan.report.numbers import Scale, errors_text, percent_change, scale_of
from pytest_medgan.report.record import Comparison, ModelRecord, largest_value, row_value

CLEARLY_WORSE = 3.0  # standard errors; a metric that no test judged counts as lost from here on
PROBABLY_WORSE = 2.0  # the same for a metric whose comparison was not decided
_OPEN = ("UNDECIDED", "BLIND")
CANNOT_FAIL = "any value passes"
NO_BREAK = "\u00a0"  # keeps a sign and its number on one line
_NO_CHANGE = 0.05  # standard errors; less is shown as no change


@dataclass(frozen=True)
class Standing:
    """One metric of a model at one look: the numbers behind a row of the table."""

    metric: str
    label: str
    higher_is_better: bool
    scale: Scale
    comparison: Comparison | None  # the worst one; None where no test judged the metric
    count: int | None  # images per sample group at this look
    measured: Score | None
    bound: float | None  # the worst value that still passes: the limit with its margin
    is_blind: bool  # no value of the metric lies beyond the bound, so nothing could fail
    baseline: Score | None  # at the same count
    real: Score | None
    real_count: int | None  # the count of `real`, another one where the Real row has no value at this count
    errors: float | None  # how much worse than the baseline in standard errors; negative is better

    @property
    def outcome(self) -> str:
        """The outcome's name, "not judged" or "not measured"."""
        if self.comparison is not None:
            return str(self.comparison.outcome)
        return "not judged" if self.measured is not None else "not measured"

    @property
    def before(self) -> float | None:
        """What the value is compared with: the baseline's, else the limit itself."""
        if self.baseline is not None:
            return self.baseline.mean
        return self.comparison.verdict.limit if self.comparison else None

    @property
    def percent(self) -> str:
        """The change from `before` in percent; empty where a percentage has no meaning."""
        if self.measured is None or self.before is None:
            return ""
        return percent_change(self.before, self.measured.mean, self.baseline.se if self.baseline else 0.0)

    @property
    def bound_text(self) -> str:
        """The values that pass, such as "≥ 0.47"; empty without a limit, "any value passes" where nothing can fail."""
        if self.bound is None:
            return ""
        if self.is_blind:
            return CANNOT_FAIL
        return f"{'≥' if self.higher_is_better else '≤'}{NO_BREAK}{self.scale.with_unit(self.bound)}"

    @property
    def change_text(self) -> str:
        """The change in percent and standard errors; empty where neither is known."""
        if self.errors is None:
            return self.percent
        if abs(self.errors) < _NO_CHANGE:
            return "none"
        by = f"{errors_text(self.errors)} SE {'worse' if self.errors > 0 else 'better'}"
        return f"{self.percent}, {by}" if self.percent else by


def standings(model: ModelRecord) -> tuple[Standing, ...]:
    """Return the standing of every metric of a model, in the catalogue's order.

    Args:
        model: One model of a run.

    Returns:
        Per metric the look at which its worst comparison was decided, or the largest look.
    """
    return tuple(_standing(model, name) for name in model.metrics)


def lost(model: ModelRecord) -> tuple[Standing, ...]:
    """Return the metrics that got worse, the worst first.

    Args:
        model: One model of a run.

    Returns:
        Metrics whose comparison failed, and metrics that no test judged and that are clearly worse than the baseline.
    """
    return _worst_first(s for s in standings(model) if _is_lost(s))


def probably_lost(model: ModelRecord) -> tuple[Standing, ...]:
    """Return the metrics that are worse although their comparison could not be decided, the worst first.

    Args:
        model: One model of a run.

    Returns:
        Metrics that are undecided or blind and at least two standard errors worse than the baseline.
    """
    return _worst_first(s for s in standings(model) if _is_probably_lost(s))


def loss_line(standing: Standing) -> str:
    """Return what happened to a metric in one line.

    Args:
        standing: A metric that got worse.

    Returns:
        Text such as "0.51 to 0.00 (−100%, 41 standard errors worse; has to be ≥ 0.47)".
    """
    scale = standing.scale
    now = scale.with_unit(None if standing.measured is None else standing.measured.mean)
    moved = now if standing.before is None else f"{scale.show(standing.before)} to {now}"
    parts = [standing.percent] if standing.percent else []
    if standing.errors is not None:
        parts.append(f"{errors_text(standing.errors)} standard errors {'worse' if standing.errors > 0 else 'better'}")
    inside = ", ".join(parts)
    notes = [inside] if inside else []
    if standing.bound_text and not standing.is_blind:
        notes.append(f"has to be {standing.bound_text}")
    if standing.outcome in _OPEN:
        notes.append("not decided")
    return f"{moved} ({'; '.join(notes)})" if notes else moved


def spread(scale: Scale, value: Score | None) -> str:
    """Return the mean ± standard deviation over the sample groups.

    Args:
        scale: How to show the metric.
        value: A measured or stored value.

    Returns:
        Text; the mean alone for a single group, a dash without a value.
    """
    if value is None:
        return scale.show(None)
    shown = scale.show(value.mean)
    known = math.isfinite(value.mean) and math.isfinite(value.sd) and (value.groups > 1 or value.sd > 0)
    return f"{shown} ± {scale.show(value.sd)}" if known else shown


def _standing(model: ModelRecord, name: str) -> Standing:
    """Return the standing of one metric."""
    metric, comparison, last = model.metric(name), model.comparison(name), model.last
    verdict = comparison.verdict if comparison else None
    measured, count = (last.metrics.get(name), last.n_fake) if last else (None, None)
    if verdict is not None and verdict.measured is not None:
        measured, count = verdict.measured, verdict.n_fake
    at = count if count is not None else model.full_count
    baseline = row_value(model.baseline, name, at, model.full_count)
    real, real_count = row_value(model.real, name, at, model.full_count), count
    if real is None and (largest := largest_value(model.real, name)) is not None:
        real_count, real = largest
    errors = [measured.se if measured else None, baseline.se if baseline else None]
    return Standing(
        metric=name,
        label=metric.label,
        higher_is_better=metric.higher_is_better,
        scale=scale_of(metric, errors, model.window),
        comparison=comparison,
        count=count,
        measured=measured,
        bound=verdict.bound if verdict else None,
        is_blind=verdict is not None and verdict.cannot_fail,
        baseline=baseline,
        real=real,
        real_count=real_count if real is not None else None,
        errors=_errors_worse(comparison, measured, baseline, higher_is_better=metric.higher_is_better),
    )


def _errors_worse(
    comparison: Comparison | None,
    measured: Score | None,
    baseline: Score | None,
    *,
    higher_is_better: bool,
) -> float | None:
    """Return the verdict's own loss in standard errors, else the difference from the baseline."""
    if comparison is not None and comparison.errors_lost is not None:
        return comparison.errors_lost
    if measured is None or baseline is None:
        return None
    error = math.hypot(measured.se, baseline.se)
    gap = baseline.mean - measured.mean if higher_is_better else measured.mean - baseline.mean
    return gap / error if error and math.isfinite(gap / error) else None


def _is_lost(standing: Standing) -> bool:
    """Return whether the comparison failed, or no test judged the metric and it is clearly worse."""
    if standing.comparison is not None:
        return standing.comparison.outcome == Outcome.FAIL
    return standing.errors is not None and standing.errors >= CLEARLY_WORSE


def _is_probably_lost(standing: Standing) -> bool:
    """Return whether the comparison was not decided and the metric is worse by two standard errors or more."""
    return standing.outcome in _OPEN and standing.errors is not None and standing.errors >= PROBABLY_WORSE


def _worst_first(found: Iterable[Standing]) -> tuple[Standing, ...]:
    """Sort by standard errors, unknown ones last."""
    return tuple(sorted(found, key=lambda s: -math.inf if s.errors is None else s.errors, reverse=True))
