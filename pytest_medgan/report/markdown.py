"""The report as Markdown: what a CI summary page or a pull request shows. Text only, no pictures, no HTML."""

from __future__ import annotations

import re
from collections.abc import Mapping

from pytest_medgan.records import Evidence
from pytest_medgan.report.explain import caveats, explain
from pytest_medgan.report.run import ModelRecord, ReportRun
from pytest_medgan.report.table import MEANING, accept_command, cost, headline, judgements, lines

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|~!$@&])")


def markdown(run: ReportRun, evidence: Mapping[str, Evidence] | None = None) -> str:
    """The whole report; ends with a newline."""
    parts = ["# medgan report", "", f"**{escape(headline(run))}**", ""]
    if run.report_only:
        parts += ["Report only: verdicts are shown and no test was failed.", ""]
    if len(run.problems) > 1:
        parts += [*(f"- {escape(problem)}" for problem in run.problems), ""]
    for model in run.models:
        parts += _model(model, (evidence or {}).get(model.name))
    if run.warnings:
        parts += ["## Warnings", "", *(f"- {escape(warning)}" for warning in run.warnings), ""]
    if run.facts:
        parts += ["## Settings", "", *_facts(run.facts), ""]
    seen = [outcome for outcome in MEANING if any(v.outcome == outcome for m in run.models for v in m.verdicts)]
    if seen:
        parts += ["## What the outcomes mean", "", *(f"- {o}: {MEANING[o]}" for o in seen), ""]
    return "\n".join(parts)


def escape(text: str) -> str:
    """Text that Markdown shows as it is, on one line: a model's name can neither open a tag nor end a table's cell."""
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))


def _model(model: ModelRecord, evidence: Evidence | None) -> list[str]:
    parts = [f"## {escape(model.name)}: {model.outcome or 'not judged'}", "", cost(model), ""]
    published = model.published is not None
    rows = lines(model)
    if rows:
        head = ["Metric", "Real", _baseline_name(model), "This run"]
        head += [f"{escape(model.published.name)} (published)"] if model.published else []
        head += ["Change", "Verdict"]
        parts += [_cells(head), _cells(["---"] * len(head))]
        for line in rows:
            cells = [f"{escape(line.label)} {line.arrow}", line.real, line.baseline, line.candidate]
            cells += [line.published] if published else []
            parts.append(_cells([*cells, line.change, f"**{line.outcome}**" if line.bad else line.outcome]))
        parts += ["", "Mean ± standard deviation over the sample groups; se is the standard error."]
        parts += [_published_note()] if published else []
        parts.append("")
    bad = [found for found in judgements(model) if found.bad]  # what was not measured or decided among them
    if bad:
        parts += [*(f"- {escape(found.label)} ({found.outcome}): {escape(found.detail)}" for found in bad), ""]
    findings = explain(model, evidence)
    if findings:
        parts += ["### Where it comes from", ""]
        for finding in findings:
            because = f" ({escape('; '.join(finding.because))})" if finding.because else ""
            parts.append(f"- **{escape(finding.title)}**{because}. {escape(finding.text)}")
        parts.append("")
    if model.outcome is not None and not model.outcome.green and caveats(model):
        parts += [*(f"- {escape(note)}" for note in caveats(model)), ""]
    if accept_command(model):
        command = accept_command(model).replace("`", "'")
        parts += [f"If this change is meant, accept it with a reason: `{command}`", ""]
    return parts


def _published_note() -> str:
    return "Published values stand beside the others for orientation: they hold for their own features and counts."


def _baseline_name(model: ModelRecord) -> str:
    if model.baseline is None:
        return "Baseline"
    return f"Baseline {escape(model.baseline.name)}" + (" (missing)" if model.baseline.kind == "missing" else "")


def _facts(facts: Mapping[str, object]) -> list[str]:
    return [f"- {escape(str(key))}: {escape(str(value))}" for key, value in facts.items()]


def _cells(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"
