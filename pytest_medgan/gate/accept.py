"""Accepting a candidate: the one deliberate act that changes a baseline.

It replaces one row and leaves every other byte of the file as it was, which is why it asks for a file in canonical
form: a remark or a hand-made layout could not survive it, and silently losing either would be worse than refusing.
"""

from __future__ import annotations

import math
import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from pytest_medgan.catalogue import METRICS, Metric
from pytest_medgan.errors import BaselineError
from pytest_medgan.gate import baseline, canonical
from pytest_medgan.gate.candidate import write
from pytest_medgan.gate.decision import DEFAULT, Settings
from pytest_medgan.gate.document import ABSENT, REAL, Document, MetricRecord, RowRecord
from pytest_medgan.gate.margins import auto_margin
from pytest_medgan.gate.uncertainty import limit_error
from pytest_medgan.records import Fingerprint, Margin, Scalar

OVERRIDES = ("dirty", "fingerprint")  # what may be overridden, each recorded in the row


@dataclass(frozen=True)
class Accepted:
    """What an acceptance did."""

    path: Path
    row: str
    created: bool  # the file was not there before
    before: RowRecord | None  # the row that was replaced
    after: RowRecord
    overridden: tuple[str, ...]  # one line each
    warnings: tuple[str, ...] = ()  # one line each: limits that nothing can exceed


def accept(
    candidate: Path,
    *,
    reason: str,
    row: str | None = None,
    into: Path | None = None,
    overrides: Collection[str] = (),
    margins: Mapping[str, Margin] | None = None,
    settings: Settings = DEFAULT,
) -> Accepted:
    """Makes a candidate's row the baseline's.

    Parameters
    ----------
    candidate
        A file that a run wrote.
    reason
        Why the change is wanted; it is kept in the row.
    row
        The row to replace or add; by default the candidate's own. "Real" renews the Real row.
    into
        The baseline; by default the one the candidate was made for. It is created where it does not exist.
    overrides
        Of "dirty" and "fingerprint": what to accept in spite of; each is recorded in the row.
    margins
        Metric -> margin; by default the row's own kinds are kept, and new metrics get `auto`.

    Raises
    ------
    BaselineError
        Under CI; an empty reason; an incomplete candidate; a dirty tree or another fingerprint without an override;
        a baseline that is not canonical, or is published.
    """
    if under_ci():
        raise BaselineError("under CI no baseline is written; accept the candidate on your own machine and commit it")
    if not reason.strip():
        raise BaselineError("a reason is required: --reason 'what changed and why it is wanted'")
    unknown = sorted(set(overrides) - set(OVERRIDES))
    if unknown:
        raise BaselineError(f"no such override: {', '.join(unknown)}; there are {' and '.join(OVERRIDES)}")
    document = _candidate(candidate)
    name, source = _chosen(document, row)
    path = into or (baseline.find(document.baseline) if document.baseline else None)
    if path is None:
        raise BaselineError("the candidate names no baseline; say which with --into FILE")
    old = _existing(path)
    overridden, overlay = _overridden(document, source, old, overrides)
    before = None if old is None else old.rows.get(name)
    facts = {
        **source.provenance,
        "accepted": datetime.now(UTC).strftime("%Y-%m-%d"),
        "reason": " ".join(reason.split()),
    }
    facts |= {f"override_{i}": line for i, line in enumerate(overridden, 1)}
    after = replace(overlay, metrics=_margins(source, before, margins or {}, settings), provenance=facts)
    after = replace(after, note="" if before is None else before.note)
    write(path, canonical.text(_merged(old, document, name, after)))
    return Accepted(
        path, name, old is None, before, after, overridden, () if name == REAL else toothless(after, settings)
    )


def toothless(row: RowRecord, settings: Settings = DEFAULT) -> tuple[str, ...]:
    """The limits of a row that no model can fail: even the worst that the metric can be is clearly within."""
    lines = []
    for name, entry in row.metrics.items():
        metric = METRICS.get(name)
        if metric is None or not entry.at:
            continue
        margin = entry.margin or Margin()
        if all(_passes_at_worst(metric, entry, margin, n, settings) for n in entry.at):
            value, worst = entry.at[max(entry.at)].value, _worst(metric)
            reach = f"{value:.4g} with a margin of {margin} reaches {worst:g}, its worst"
            way_out = "give it a smaller margin" if margin.kind != "auto" else "accept a better model or more images"
            lines.append(f"{name} cannot fail: {reach}; {way_out}, or leave {name} out of the gate")
    return tuple(lines)


def _passes_at_worst(metric: Metric, entry: MetricRecord, margin: Margin, n: int, settings: Settings) -> bool:
    """Whether a look at `n` images cannot fail, and that at the full count, where undecided is red too, must pass."""
    value = entry.at[n]
    needed = abs(value.value - _worst(metric))
    if n == max(entry.at):
        error = limit_error(metric, value, n)
        error = error + limit_error(metric, replace(value, value=_worst(metric), se=0.0, sd=0.0), n)
        needed += error.quantile(settings.pass_risk(len(entry.at))) * error.se
    return needed <= {"relative": abs(value.value), "toward_real": 0.0}.get(margin.kind, 1.0) * margin.amount


def _worst(metric: Metric) -> float:
    return metric.low if metric.higher_is_better else metric.high


def reformat(path: Path) -> bool:
    """Writes a baseline in canonical form, remarks moved into the notes; whether anything changed.

    Raises
    ------
    BaselineError
        Under CI, or the file cannot be read.
    """
    if under_ci():
        raise BaselineError("under CI no baseline is written; format the file on your own machine and commit it")
    text = baseline.read(path)
    document = baseline.parse(text, baseline.shown(path))
    starts = sorted((row.line, name) for name, row in document.rows.items())
    for line, words in baseline.comments(text):
        above = [name for start, name in starts if start <= line]
        if above:
            own = document.rows[above[-1]]
            noted = replace(own, note=f"{own.note} {words}".strip())
            document = replace(document, rows={**document.rows, above[-1]: noted})
        else:
            document = replace(document, note=f"{document.note} {words}".strip())
    canonical_text = canonical.text(document)
    if canonical_text == text:
        return False
    write(path, canonical_text)
    return True


def under_ci() -> bool:
    """Whether a CI service says that this is one (GitHub, GitLab, Jenkins and others set CI or BUILD_NUMBER)."""
    return os.environ.get("CI", "").lower() not in ("", "0", "false") or bool(os.environ.get("BUILD_NUMBER"))


def _candidate(path: Path) -> Document:
    if not path.is_file():
        raise BaselineError(f"{baseline.shown(path)}: no such candidate; run the gate, which writes one")
    document = baseline.parse(baseline.read(path), baseline.shown(path))
    if document.complete is None or document.fingerprint is None:
        raise BaselineError(f"{baseline.shown(path)}:1: not a candidate; give the file that a run wrote")
    if not document.complete:
        raise BaselineError(
            f"{baseline.shown(path)}:1: the gate was decided before the full count, so looks are missing; "
            "run it again with `pytest --medgan-full` and accept that candidate"
        )
    return document


def _chosen(document: Document, row: str | None) -> tuple[str, RowRecord]:
    """The name to accept under, and the record: the row of that name, else the candidate's only model."""
    models = [name for name in document.rows if name != REAL]
    name = row or (models[0] if len(models) == 1 else "")
    if name in document.rows:
        return name, document.rows[name]
    if not name or len(models) != 1:
        raise BaselineError(f"say which row with --row; the candidate has {', '.join(document.rows) or 'none'}")
    return name, document.rows[models[0]]


def _existing(path: Path) -> Document | None:
    if not path.exists():
        return None
    text, file = baseline.read(path), baseline.shown(path)
    document = baseline.parse(text, file)
    if document.kind == "published":
        raise BaselineError(f"{file}:2: published figures are not replaced by measured ones; use another file")
    if canonical.text(document) != text:
        raise BaselineError(
            f"{file}: has comments or a layout of its own; run `medgan baseline format {file}` first "
            "(remarks move to `note`)"
        )
    return document


def _overridden(
    document: Document, source: RowRecord, old: Document | None, overrides: Collection[str]
) -> tuple[tuple[str, ...], RowRecord]:
    """What was accepted in spite of, and the record with what of its fingerprint is its own."""
    lines: list[str] = []
    if source.provenance.get("dirty") is True:
        if "dirty" not in overrides:
            raise BaselineError(
                "the candidate was measured on a dirty tree, so its commit does not say what was measured; "
                "commit and run again, or override with --override dirty (recorded)"
            )
        lines.append("measured on a dirty tree")
    if old is None or old.fingerprint is None or document.fingerprint is None:
        return tuple(lines), source
    differences = document.fingerprint.differences(old.fingerprint)
    if not differences:
        return tuple(lines), source
    if "fingerprint" not in overrides:
        raise BaselineError(
            f"the candidate was measured under other conditions ({'; '.join(differences)}); measure as the baseline "
            "was, or override with --override fingerprint (recorded; the row keeps its own)"
        )
    lines.append("fingerprint: " + "; ".join(differences))
    return tuple(lines), _with_overlay(source, document.fingerprint, old.fingerprint)


def _with_overlay(source: RowRecord, ours: Fingerprint, theirs: Fingerprint) -> RowRecord:
    overlay: dict[str, Scalar] = {
        key: ours.inputs.get(key, ABSENT)
        for key in {*ours.inputs, *theirs.inputs}
        if ours.inputs.get(key, ABSENT) != theirs.inputs.get(key, ABSENT)
    }
    moved = any(line.startswith("canary") for line in ours.differences(theirs))
    return replace(source, fingerprint=overlay, canary=ours.canary if moved else None)


def _margins(
    source: RowRecord, before: RowRecord | None, margins: Mapping[str, Margin], settings: Settings
) -> dict[str, MetricRecord]:
    """Margins given win, then the replaced row's kinds; `auto` is computed from the new row's own errors."""
    unknown = sorted(set(margins) - set(source.metrics))
    if unknown:
        raise BaselineError(f"a margin for {', '.join(unknown)}, which the candidate has not measured")
    records: dict[str, MetricRecord] = {}
    for name, entry in source.metrics.items():
        earlier = None if before is None or name not in before.metrics else before.metrics[name].margin
        margin = margins.get(name) or earlier or Margin()
        if margin.kind == "auto":
            metric = METRICS.get(name) or Metric(name, name, True, -math.inf, math.inf, "", False)
            amount = auto_margin(metric, entry.at, settings)
            margin = Margin("auto", amount if math.isfinite(amount) else 0.0)
        records[name] = MetricRecord(entry.at, margin)
    return records


def _merged(old: Document | None, candidate: Document, name: str, after: RowRecord) -> Document:
    """The old file with one row replaced; a new file has the candidate's Real row too."""
    if old is None:
        rows = {name: after}
        if name != REAL and REAL in candidate.rows:
            rows[REAL] = candidate.rows[REAL]
        return Document(candidate.name, own_metrics=candidate.own_metrics, fingerprint=candidate.fingerprint, rows=rows)
    rows = {**old.rows, name: after}
    if REAL not in rows and REAL in candidate.rows and not (after.fingerprint or after.canary):
        rows[REAL] = candidate.rows[REAL]
    own = tuple(sorted({*old.own_metrics, *(metric for metric in after.metrics if metric not in METRICS)}))
    return replace(old, rows=rows, own_metrics=own, fingerprint=old.fingerprint or candidate.fingerprint)
