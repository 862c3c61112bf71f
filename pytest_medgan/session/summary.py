"""The table at the end of a run: Real row, measured values, limits, margins and verdicts."""

from __future__ import annotations

import math

from pytest_medgan.catalogue import METRICS, Metric, ordered
from pytest_medgan.records import Scores, Verdict
from pytest_medgan.session.findings import Model

HEADINGS = ("metric", "Real", "measured", "limit", "margin", "verdict")


def model_lines(model: Model) -> list[tuple[str, str]]:
    """Return (text, outcome) lines of one model; the outcome selects the colour and is "" for plain lines."""
    found, data = model.findings, model.findings.data
    window = "[{:g}, {:g}] HU".format(*data.window)
    lines = [
        (f"{found.name}: {len(found.seeds)} sample groups (seeds {', '.join(map(str, found.seeds))})", ""),
        (
            f"real images: {data.reference} reference, {data.held_out} held out, {data.training} training; "
            f"split by {data.split}, crop on the {data.crop}, window {window}",
            "",
        ),
        (f"extractor: {found.extractor} ({', '.join(filter(None, (found.numeric_class, found.engine)))})", ""),
        (f"features: {found.features}", ""),
    ]
    lines += [(f"warning: {found.trouble}", "UNDECIDED")] if found.trouble else []
    lines += [(f"warning: {warning}", "UNDECIDED") for warning in data.warnings]
    verdicts = _latest_verdicts(model)
    table = [
        (HEADINGS, ""),
        *((_verdict_cells(model, verdict), str(verdict.outcome)) for verdict in verdicts),
        *((cells, "") for cells in _unjudged_cells(model)),
    ]
    widths = [max(len(cells[i]) for cells, _ in table) for i in range(len(HEADINGS))]
    for cells, outcome in table:
        text = "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
        lines.append((f"  {text.rstrip()}", outcome))
    return [*lines, *_reason_lines(verdicts)]


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


def _verdict_cells(model: Model, verdict: Verdict) -> tuple[str, ...]:
    """Return the table's cells for one verdict."""
    metric, measured = verdict.metric, verdict.measured
    digits = metric.decimals
    bound = ">=" if metric.higher_is_better else "<="
    limit = "-" if verdict.limit is None else f"{bound} {verdict.limit:.{digits}f}"
    return (
        f"{metric.label} {metric.arrow}",
        _real_cell(model, metric, verdict.n_fake),
        "-" if measured is None else _mean_and_spread(measured.mean, measured.sd, digits),
        limit if verdict.limit is None else f"{limit} ({verdict.row or 'number'}, {verdict.origin})",
        "-" if verdict.margin is None else f"{verdict.margin:.{digits}f}",
        f"{verdict.outcome} at {verdict.n_fake}" if verdict.n_fake else str(verdict.outcome),
    )


def _mean_and_spread(mean: float, sd: float, digits: int) -> str:
    """Return "mean ± sd", without a spread that is unknown or zero."""
    spread = "" if math.isnan(sd) or sd == 0 else f" ± {sd:.{digits}f}"
    return f"{mean:.{digits}f}{spread}"


def _real_cell(model: Model, metric: Metric, n: int | None) -> str:
    """Return the Real row's value at a look, or a dash."""
    scores = None if n is None else model.findings.real.get(n)
    return "-" if scores is None or metric.name not in scores else f"{scores[metric.name].mean:.{metric.decimals}f}"


def _unjudged_cells(model: Model) -> list[tuple[str, ...]]:
    """Return the cells of metrics that were measured and compared with nothing, at the largest look."""
    looks = model.findings.looks
    if not looks:
        return []
    scores: Scores = looks[max(looks)]
    judged = {judged.verdict.metric.name for judged in model.verdicts}
    rows: list[tuple[str, ...]] = []
    for name in ordered(set(scores.metrics) - judged):
        score, metric = scores[name], scores.metric(name)
        label = f"{metric.label} {metric.arrow}" if name in METRICS else name
        measured = _mean_and_spread(score.mean, score.sd, metric.decimals)
        rows.append((label, _real_cell(model, metric, scores.n_fake), measured, "-", "-", "not compared"))
    return rows
