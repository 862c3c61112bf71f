"""The table at the end of the run: Real row, baseline, measured values, limits and verdicts."""

from __future__ import annotations

from typing import Any

from pytest_medgan.catalogue import METRICS, ordered
from pytest_medgan.plugin.collector import Model

HEADINGS = ("metric", "Real", "measured", "limit", "margin", "verdict")


def model_lines(model: Model) -> list[tuple[str, str]]:
    """(text, outcome) lines of one model; the outcome colours the line and is empty for plain ones."""
    plain = model.plain
    data = plain["data"]
    window = "[{:g}, {:g}] HU".format(*data["window"])
    lines = [
        (f"{plain['name']}: {len(plain['seeds'])} sample groups (seeds {', '.join(map(str, plain['seeds']))})", ""),
        (
            f"real images: {data['reference']} reference, {data['held_out']} held out, {data['training']} training; "
            f"split by {data['split']}, crop on the {data['crop']}, window {window}",
            "",
        ),
        (f"extractor: {plain['extractor']} ({', '.join(filter(None, (plain['numeric_class'], plain['engine'])))})", ""),
        (f"features: {plain['features']}", ""),
    ]
    lines += [(f"warning: {plain['trouble']}", "UNDECIDED")] if plain["trouble"] else []
    lines += [(f"warning: {warning}", "UNDECIDED") for warning in data["warnings"]]
    rows = [_row(model, verdict) for verdict in _latest(model)]
    measured_only = _unjudged(model)
    table = [HEADINGS, *(cells for cells, _ in rows), *measured_only]
    widths = [max(len(row[i]) for row in table) for i in range(len(HEADINGS))]
    outcomes = ["", *(outcome for _, outcome in rows), *("" for _ in measured_only)]
    for cells, outcome in zip(table, outcomes, strict=True):
        text = "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
        lines.append((f"  {text.rstrip()}", outcome))
    return [*lines, *_reasons(_latest(model))]


def _reasons(verdicts: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """Why, a line each; what many metrics have in common is said once."""
    shared: dict[tuple[str, str], list[str]] = {}
    for verdict in verdicts:
        if verdict["reason"]:
            shared.setdefault((verdict["reason"], verdict["outcome"]), []).append(verdict["metric"])
    return [(f"  {', '.join(metrics)}: {reason}", outcome) for (reason, outcome), metrics in shared.items()]


def _latest(model: Model) -> list[dict[str, Any]]:
    """One verdict a metric, limit and origin, in the catalogue's order."""
    by_key = {(v["metric"], v["origin"], v["limit"]): v for v in model.verdicts}
    position = {name: i for i, name in enumerate(ordered({v["metric"] for v in by_key.values()}))}
    return sorted(by_key.values(), key=lambda v: position[v["metric"]])


def _row(model: Model, verdict: dict[str, Any]) -> tuple[tuple[str, ...], str]:
    digits = verdict["decimals"]
    arrow = "↑" if verdict["higher_is_better"] else "↓"
    bound = ">=" if verdict["higher_is_better"] else "<="
    mean, sd, limit, margin = verdict["mean"], verdict["sd"], verdict["limit"], verdict["margin"]
    measured = "-" if mean is None else f"{mean:.{digits}f}" + (f" ± {sd:.{digits}f}" if sd == sd and sd else "")  # noqa: PLR0124
    at = f" at {verdict['n_fake']}" if verdict["n_fake"] else ""
    cells = (
        f"{verdict['label']} {arrow}",
        _real(model, verdict["metric"], verdict["n_fake"], digits),
        measured,
        "-" if limit is None else f"{bound} {limit:.{digits}f} ({verdict['row'] or 'number'}, {verdict['origin']})",
        "-" if margin is None else f"{margin:.{digits}f}",
        f"{verdict['outcome']}{at}",
    )
    return cells, verdict["outcome"]


def _real(model: Model, metric: str, n: int | None, digits: int) -> str:
    scores = model.plain["real"].get(str(n), {}).get("metrics", {}).get(metric)
    return "-" if scores is None else f"{scores['mean']:.{digits}f}"


def _unjudged(model: Model) -> list[tuple[str, ...]]:
    """What was measured and compared with nothing, at the largest look."""
    looks = model.plain["looks"]
    if not looks:
        return []
    n = max(map(int, looks))
    scores, judged = looks[str(n)], {v["metric"] for v in model.verdicts}
    rows: list[tuple[str, ...]] = []
    for name in ordered(set(scores["metrics"]) - judged):
        score, row = scores["metrics"][name], METRICS.get(name)
        digits = row.decimals if row else 3
        label = f"{row.label} {row.arrow}" if row else name
        spread = "" if score["sd"] is None else f" ± {score['sd']:.{digits}f}"
        rows.append(
            (label, _real(model, name, n, digits), f"{score['mean']:.{digits}f}{spread}", "-", "-", "not compared")
        )
    return rows
