"""The table of a model, one row per metric, and what each comparison said, as text for Markdown and HTML."""

from __future__ import annotations

from dataclasses import dataclass

from pytest_medgan.records import Outcome, Verdict
from pytest_medgan.report.comparisons import Standing, spread, standings
from pytest_medgan.report.numbers import DASH, scale_of
from pytest_medgan.report.overview import tone
from pytest_medgan.report.record import Comparison, ModelRecord, largest_value

_SHARED = (Outcome.MISSING, Outcome.INCOMPARABLE)  # outcomes whose reason is one for many metrics


@dataclass(frozen=True)
class TableRow:
    """One metric of one model, at one look."""

    metric: str
    label: str  # with its unit
    arrow: str
    outcome: str
    tone: str  # "good", "bad", "warn" or "neutral"
    at: str  # images per sample group
    measured: str
    bound: str  # what the value has to be, its margin included
    baseline: str
    change: str  # in percent and standard errors
    real: str  # with its count where that is another one
    published: str


@dataclass(frozen=True)
class TableColumn:
    """One column after metric and verdict."""

    field: str  # of TableRow
    heading: str


@dataclass(frozen=True)
class ComparisonText:
    """One comparison, or one metric that was not measured."""

    label: str
    outcome: str
    detail: str


def table_rows(model: ModelRecord) -> tuple[TableRow, ...]:
    """Return the table of a model.

    Args:
        model: One model of a run.

    Returns:
        Rows in the catalogue's order. All numbers of a row are of the same look, except the published one, and the
        Real row's where it has no value at this count.
    """
    return tuple(_row(model, standing) for standing in standings(model))


def table_columns(model: ModelRecord, rows: tuple[TableRow, ...]) -> tuple[TableColumn, ...]:
    """Return the columns after metric and verdict; a column that would hold dashes only is left out.

    Args:
        model: One model of a run.
        rows: Its table.

    Returns:
        The columns in order.
    """
    columns = (
        TableColumn("measured", "This run"),
        TableColumn("bound", "Has to be"),
        TableColumn("baseline", f"Baseline {model.baseline.name}" if model.baseline else "Baseline"),
        TableColumn("change", "Change"),
        TableColumn("real", "Real"),
        TableColumn("at", "Images"),
        TableColumn("published", f"{model.published.name} (published)" if model.published else "Published"),
    )
    return tuple(c for c in columns if any(getattr(row, c.field) != DASH for row in rows))


def comparison_texts(model: ModelRecord) -> tuple[ComparisonText, ...]:
    """Return every comparison of a model in words.

    Args:
        model: One model of a run.

    Returns:
        First what is missing or incomparable, once per reason; then comparisons and unmeasured metrics in the
        catalogue's order.
    """
    found = [text for outcome in _SHARED for text in _once_per_reason(model, outcome)]
    last = model.last
    for name in model.metrics:
        every = [c for c in model.comparisons if c.metric == name]
        label = model.metric(name).label
        decided = [c for c in every if c.outcome not in _SHARED]
        found += [ComparisonText(label, str(c.outcome), _detail(model, c)) for c in decided]
        if not every and last is not None and name in last.unmeasured:
            found.append(ComparisonText(label, "not measured", last.unmeasured[name]))
    return tuple(found)


def _row(model: ModelRecord, standing: Standing) -> TableRow:
    """Return one row."""
    scale, metric = standing.scale, model.metric(standing.metric)
    real = spread(scale, standing.real)
    if standing.real is not None and standing.real_count != standing.count:
        real = f"{real} (at {standing.real_count:,})" if standing.real_count else real
    published = largest_value(model.published, standing.metric)
    return TableRow(
        metric=standing.metric,
        label=f"{standing.label} ({scale.unit})" if scale.unit else standing.label,
        arrow=metric.arrow,
        outcome=standing.outcome,
        tone=tone(standing.comparison.outcome if standing.comparison else None),
        at=DASH if standing.count is None else f"{standing.count:,}",
        measured=spread(scale, standing.measured),
        bound=standing.bound_text or DASH,
        baseline=spread(scale, standing.baseline),
        change=standing.change_text or DASH,
        real=real,
        published=DASH if published is None else spread(scale_of(metric), published[1]),
    )


def _once_per_reason(model: ModelRecord, outcome: Outcome) -> list[ComparisonText]:
    """Return one text per reason for an outcome, whatever metrics and tests asked for the comparisons."""
    by_reason: dict[str, list[Comparison]] = {}
    for comparison in sorted(model.comparisons, key=lambda c: model.metrics.index(c.metric)):
        if comparison.outcome == outcome:
            by_reason.setdefault(comparison.verdict.reason, []).append(comparison)
    return [
        ComparisonText(
            ", ".join(dict.fromkeys(c.verdict.metric.label for c in same)),
            str(outcome),
            "; ".join(filter(None, [reason, _asked_by(same)])),
        )
        for reason, same in by_reason.items()
    ]


def _asked_by(comparisons: list[Comparison]) -> str:
    """Return which tests asked for comparisons."""
    tests = dict.fromkeys(c.test for c in comparisons if c.test)
    return f"asked by {', '.join(tests)}" if tests else ""


def _detail(model: ModelRecord, comparison: Comparison) -> str:
    """Return a comparison in one sentence: the values, the count, where the limit is written, and which test asked."""
    verdict = comparison.verdict
    parts = [_numbers(model, verdict), verdict.reason]
    if verdict.needed_margin is not None and "margin of" not in verdict.reason:
        parts.append(f"a margin of {verdict.needed_margin:.3g} would have passed")
    if verdict.origin:
        parts.append(f"limit from {verdict.origin}")
    return "; ".join(filter(None, [*parts, _asked_by([comparison])]))


def _numbers(model: ModelRecord, verdict: Verdict) -> str:
    """Return the measured value against the limit and the worst value that passes."""
    if verdict.measured is None or verdict.limit is None:
        return ""
    scale = scale_of(verdict.metric, [verdict.measured.se], model.window)
    sign = "≥" if verdict.metric.higher_is_better else "≤"
    bound = "" if verdict.margin is None else f", has to be {sign} {scale.with_unit(verdict.bound)}"
    if verdict.margin is not None and verdict.cannot_fail:
        bound = ", any value passes"
    images = f"slices of {verdict.volumes:,} volumes" if verdict.volumes else "images"
    count = f" at {verdict.n_fake:,} {images}" if verdict.n_fake else ""
    return f"{scale.show(verdict.measured.mean)} against {scale.with_unit(verdict.limit)}{bound}{count}"
