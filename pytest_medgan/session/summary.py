"""The table at the end of a run: Real row, measured values, what they have to be, and verdicts, in 80 columns."""

from __future__ import annotations

import math
from collections.abc import Iterable

from pytest_medgan.catalogue import METRICS, Metric, ordered
from pytest_medgan.records import Score, Scores, Verdict
from pytest_medgan.report.numbers import Scale, scale_of
from pytest_medgan.session.beside import disagreements
from pytest_medgan.session.beside import lines as lines_beside
from pytest_medgan.session.findings import Model

HEADINGS = ("metric", "Real", "measured", "has to be", "sees", "verdict")
COLUMNS = 80  # of a terminal; where the table would be wider, spreads are left out
DASH = "-"


def model_lines(model: Model, *, report_only: bool = False, second: Model | None = None) -> list[tuple[str, str]]:
    """Return (text, outcome) lines of one model; the outcome selects the colour and is "" for plain lines.

    Args:
        model: The model.
        report_only: Whether no verdict fails a test, which the lines then say.
        second: The same model in the second feature space, where one was asked for.
    """
    found, data = model.findings, model.findings.data
    levels = "grey levels without HU" if data.window is None else "window [{:g}, {:g}] HU".format(*data.window)
    lines = [
        (f"{found.name}: {len(found.seeds)} sample groups (seeds {', '.join(map(str, found.seeds))})", ""),
        (
            f"real images: {data.reference} reference, {data.held_out} held out, {data.training} training; "
            f"split by {data.split}, crop on the {data.crop}, {levels}",
            "",
        ),
        (f"extractor: {found.extractor} ({', '.join(filter(None, (found.numeric_class, found.engine)))})", ""),
        (f"features: {found.features}", ""),
    ]
    lines += [(f"warning: {found.trouble}", "UNDECIDED")] if found.trouble else []
    lines += [(f"warning: {warning}", "UNDECIDED") for warning in data.warnings]
    lines += [("report only: no verdict below fails a test", "UNDECIDED")] if report_only else []
    lines += [("second feature space: no verdict below fails a test", "UNDECIDED")] if found.beside else []
    verdicts = _latest_verdicts(model)
    lines += [*_table_lines(model, verdicts), *_limit_lines(verdicts), *_reason_lines(verdicts)]
    if second is not None:
        outcome = "UNDECIDED" if disagreements(model, second) else ""
        lines += [(f"  {line}", outcome) for line in lines_beside(model, second)]
    return lines


def _table_lines(model: Model, verdicts: list[Verdict]) -> list[tuple[str, str]]:
    """Return the table, with the spread over the sample groups where 80 columns have room for it."""
    lines: list[tuple[str, str]] = []
    for spreads in (True, False):
        rows = [
            (HEADINGS, ""),
            *((_verdict_cells(model, verdict, spreads=spreads), str(verdict.outcome)) for verdict in verdicts),
            *((cells, "") for cells in _unjudged_cells(model, spreads=spreads)),
        ]
        widths = [max(len(cells[i]) for cells, _ in rows) for i in range(len(HEADINGS))]
        lines = [
            ("  " + "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip(), outcome)
            for cells, outcome in rows
        ]
        if max(len(text) for text, _ in lines) <= COLUMNS:
            break
    return lines


def _limit_lines(verdicts: list[Verdict]) -> list[tuple[str, str]]:
    """Return one line that says where the limits came from: rows with file and lines, and places of numbers."""
    places: dict[tuple[str, str], list[int]] = {}
    for verdict in verdicts:
        if verdict.limit is not None:
            file, _, line = verdict.origin.rpartition(":")
            file, number = (file, int(line)) if file and line.isdigit() else (verdict.origin, 0)
            places.setdefault((verdict.row or "number", file), []).append(number)
    words = [f"{name} ({_place(file, numbers)})" for (name, file), numbers in places.items()]
    return [(f"  limits: {', '.join(words)}", "")] if words else []


def _place(file: str, numbers: list[int]) -> str:
    """Return a file and its lines; what is in no file has no line."""
    return f"{file}:{_line_range(numbers)}" if all(numbers) else file


def _line_range(numbers: list[int]) -> str:
    """Return "12", or "12-40" for several lines."""
    first, last = min(numbers), max(numbers)
    return str(first) if first == last else f"{first}-{last}"


def _reason_lines(verdicts: list[Verdict]) -> list[tuple[str, str]]:
    """Return one line per reason; a reason that several metrics share is said once."""
    shared: dict[tuple[str, str], list[str]] = {}
    for verdict in verdicts:
        if verdict.reason:
            shared.setdefault((verdict.reason, str(verdict.outcome)), []).append(verdict.metric.name)
    return [(f"  {', '.join(metrics)}: {reason}", outcome) for (reason, outcome), metrics in shared.items()]


def _latest_verdicts(model: Model) -> list[Verdict]:
    """Return one verdict per metric, limit and origin, in the catalogue's order."""
    verdicts = [judged.verdict for judged in model.verdicts]
    by_key = {(verdict.metric.name, verdict.origin, verdict.limit): verdict for verdict in verdicts}
    position = {name: i for i, name in enumerate(ordered({verdict.metric.name for verdict in verdicts}))}
    return sorted(by_key.values(), key=lambda verdict: position[verdict.metric.name])


def _verdict_cells(model: Model, verdict: Verdict, *, spreads: bool) -> tuple[str, ...]:
    """Return the table's cells for one verdict."""
    metric, measured = verdict.metric, verdict.measured
    scale = _scale(model, metric, [measured])
    if verdict.cannot_fail:
        bound = "any value"
    else:
        sign = ">=" if metric.higher_is_better else "<="
        bound = DASH if verdict.bound is None else f"{sign} {_percent(scale, verdict.bound)}"
    return (
        f"{metric.label} {metric.arrow}",
        _real_cell(model, metric, verdict.n_fake, scale),
        _value_cell(measured, scale, spread=spreads),
        bound,
        DASH if verdict.sees is None else _percent(scale, verdict.sees),
        f"{verdict.outcome} at {verdict.n_fake}" if verdict.n_fake else str(verdict.outcome),
    )


def _unjudged_cells(model: Model, *, spreads: bool) -> list[tuple[str, ...]]:
    """Return the cells of metrics that were measured and compared with nothing, at the largest look."""
    looks = model.findings.looks
    if not looks:
        return []
    scores: Scores = looks[max(looks)]
    judged = {judged.verdict.metric.name for judged in model.verdicts}
    rows: list[tuple[str, ...]] = []
    for name in ordered(set(scores.metrics) - judged):
        score, metric = scores[name], scores.metric(name)
        scale = _scale(model, metric, [score])
        label = f"{metric.label} {metric.arrow}" if name in METRICS else name
        real, value = _real_cell(model, metric, scores.n_fake, scale), _value_cell(score, scale, spread=spreads)
        rows.append((label, real, value, DASH, DASH, "not compared"))
    return rows


def _scale(model: Model, metric: Metric, scores: Iterable[Score | None]) -> Scale:
    """Return how to show a metric's values, as reports do."""
    return scale_of(metric, [None if score is None else score.se for score in scores], model.findings.data.window)


def _percent(scale: Scale, value: float) -> str:
    """Return a value, with its percent sign where it has one; other units would not fit."""
    return f"{scale.show(value)}%" if scale.unit == "%" else scale.show(value)


def _value_cell(score: Score | None, scale: Scale, *, spread: bool) -> str:
    """Return "mean ± sd", without a spread that is unknown, zero or not asked for."""
    if score is None:
        return DASH
    known = spread and not math.isnan(score.sd) and score.sd != 0
    return f"{scale.show(score.mean)} ± {_percent(scale, score.sd)}" if known else _percent(scale, score.mean)


def _real_cell(model: Model, metric: Metric, n: int | None, scale: Scale) -> str:
    """Return the Real row's value at a look, or a dash; a metric free of the count takes it from the largest look."""
    known = model.findings.real
    scores = None if n is None else known.get(n)
    if scores is None and metric.free_of_n and known:
        scores = known[max(known)]
    return DASH if scores is None or metric.name not in scores else _percent(scale, scores[metric.name].mean)
