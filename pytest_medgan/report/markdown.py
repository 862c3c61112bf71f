"""The report as Markdown, for the summary page of a CI job or a pull request: text only, no pictures, no HTML."""

from __future__ import annotations

import re
from collections.abc import Mapping

from pytest_medgan.records import Evidence
from pytest_medgan.report.causes import limits_of_knowledge
from pytest_medgan.report.overview import MEANING, Step, cost, headline, overview
from pytest_medgan.report.record import ModelRecord, ReportRun
from pytest_medgan.report.table import comparison_texts, table_columns, table_rows

PUBLISHED_NOTE = (
    "Published values are shown for orientation: they were measured with the publication's own features and counts."
)
TABLE_NOTE = "Mean ± standard deviation over the sample groups. SE: standard errors."

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|~!$@&])")
_LIST = re.compile(r"^(\d+(?=[.)] )|(?=[-+] ))")  # what begins the item of a list


def markdown(run: ReportRun, evidence: Mapping[str, Evidence] | None = None) -> str:
    """Return the report of a run as Markdown.

    Args:
        run: The run.
        evidence: Its evidence, by name of the model.

    Returns:
        Text that ends with a newline.
    """
    parts = ["# medgan report", "", f"**{escape(headline(run))}**", ""]
    if run.report_only:
        parts += ["Report only: verdicts are shown and no test failed.", ""]
    if len(run.problems) > 1:
        parts += [*(f"- {escape(problem)}" for problem in run.problems), ""]
    for model in run.models:
        parts += _model(model, (evidence or {}).get(model.name))
    if run.warnings:
        parts += ["## Warnings", "", *(f"- {escape(warning)}" for warning in run.warnings), ""]
    if run.facts:
        parts += ["## Settings", "", *(f"- {escape(str(k))}: {escape(str(v))}" for k, v in run.facts.items()), ""]
    seen = {c.outcome for m in run.models for c in m.comparisons}
    if seen:
        parts += ["## What the outcomes mean", "", *(f"- {o}: {MEANING[o]}" for o in MEANING if o in seen), ""]
    return "\n".join(parts)


def escape(text: str) -> str:
    """Escape text: Markdown shows it unchanged, on one line, and it cannot open a tag or a list or end a table cell."""
    return _LIST.sub(r"\1\\", _SPECIAL.sub(r"\\\1", " ".join(text.split())))


def _model(model: ModelRecord, evidence: Evidence | None) -> list[str]:
    """Return one model's section."""
    return [
        f"## {escape(model.name)}: {model.outcome or 'not judged'}",
        "",
        *_overview(model, evidence),
        *_table(model),
        *_comparisons(model),
        cost(model),
        "",
    ]


def _overview(model: ModelRecord, evidence: Evidence | None) -> list[str]:
    """Return what got worse, why it probably did, and what to do next."""
    view, parts = overview(model, evidence), []
    if view.losses:
        parts += [f"### {view.heading}", ""]
        parts += [f"- **{escape(loss.label)}** {escape(loss.text)}" for loss in view.losses]
        parts += [f"- and {view.more} more metrics"] if view.more else []
        parts.append("")
    for cause in view.causes:
        because = "".join(f"\n  - {escape(figure)}" for figure in cause.because)
        parts.append(f"- Probably **{escape(cause.short)}**. {escape(cause.text)}{because}")
    parts += [""] if view.causes else []
    if model.outcome is not None and not model.outcome.green and (notes := limits_of_knowledge(model)):
        parts += [*(f"- {escape(note)}" for note in notes), ""]
    if view.steps:
        parts += ["### What to do next", "", *map(_step, view.steps), ""]
    return parts


def _step(step: Step) -> str:
    """Return one step as a list item."""
    return f"- {escape(step.text)} {_code(step.command)}" if step.command else f"- {escape(step.text)}"


def _code(command: str) -> str:
    """Return a command as a code span on one line, which neither a line break nor a backtick of the command can end.

    The command keeps its backticks: with quotation marks in their place, a shell would run parts of a quoted name.
    """
    line = " ".join(command.splitlines())
    longest = max(map(len, re.findall("`+", line)), default=0)
    fence = "`" * (longest + 1)
    return f"{fence} {line} {fence}" if longest else f"{fence}{line}{fence}"


def _table(model: ModelRecord) -> list[str]:
    """Return the table."""
    rows = table_rows(model)
    if not rows:
        return []
    columns = table_columns(model, rows)
    parts = [
        _cells(["Metric", "Verdict", *(escape(column.heading) for column in columns)]),
        _cells(["---"] * (2 + len(columns))),
    ]
    for row in rows:
        outcome = row.outcome if row.tone in ("good", "neutral") else f"**{row.outcome}**"
        cells = [getattr(row, column.field) for column in columns]
        parts.append(_cells([f"{escape(row.label)} {row.arrow}", outcome, *cells]))
    return [*parts, "", f"{TABLE_NOTE} {PUBLISHED_NOTE if model.published else ''}".rstrip(), ""]


def _comparisons(model: ModelRecord) -> list[str]:
    """Return a line for each comparison that is not green and for each metric that was not measured."""
    texts = [t for t in comparison_texts(model) if t.outcome not in ("PASS", "STALE")]
    return [*(f"- {escape(t.label)} ({t.outcome}): {escape(t.detail)}" for t in texts), ""] if texts else []


def _cells(cells: list[str]) -> str:
    """Return one line of a table."""
    return f"| {' | '.join(cells)} |"
