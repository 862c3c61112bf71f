"""A baseline file in its one canonical form.

Each row is written by itself from its own record, so replacing one leaves every byte outside it as it was. Floats have
nine significant digits and are written so that YAML 1.1 reads them as floats; strings are quoted unless no reader could
take them for anything else; every character outside printable Unicode is escaped.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping

from pytest_medgan.catalogue import ordered
from pytest_medgan.gate.document import FORMAT, REAL, Document, overlay
from pytest_medgan.records import Anchor, Entry, Fingerprint, Row, Scalar, Score, TrainingRun

_PLAIN = re.compile(r"[A-Za-z_](?:[A-Za-z0-9_./+ -]*[A-Za-z0-9_./+-])?")
_WORDS = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})  # what YAML 1.1 reads as no string
_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}
_CANARY_ROW = 16  # numbers a line: one canned image


def text(document: Document) -> str:
    """Return the file's text, ending in a newline."""
    return "\n".join([*_head(document), "rows:", *_rows(document)]) + "\n"


def row_lines(row: Row, file: Fingerprint | None) -> list[str]:
    """Return the lines of one row.

    Args:
        row: The row.
        file: The file's fingerprint; the row says only what it has otherwise.
    """
    lines = [f"  {_string(row.name)}:"]
    if row.note:
        lines.append(f"    note: {_string(row.note)}")
    lines += _flat("provenance", row.provenance, 4)
    if file is not None and row.fingerprint is not None:
        lines += _flat("fingerprint", overlay(row.fingerprint, file), 4)
        if row.fingerprint.canary is not None and row.fingerprint.canary != file.canary:
            lines += _canary(row.fingerprint.canary, 4)
    if row.family:
        lines.append(f"    family: {row.family}")
    if row.selected_from:
        lines.append(f"    selected_from: {row.selected_from}")
    if row.runs:
        lines.append("    runs:")
        lines += [f"      - {_run(run)}" for run in row.runs]
    lines.append("    counts:" if row.counts else "    counts: {}")
    lines += [f"      {n}: {{n_real: {c.n_real}, groups: {c.groups}}}" for n, c in sorted(row.counts.items())]
    lines.append("    metrics:" if row.entries else "    metrics: {}")
    for metric in ordered(row.entries):
        lines += _metric(metric, row.entries[metric])
    if row.sweeps:
        lines.append("    sweeps:")
        for metric in ordered(row.sweeps):
            lines.append(f"      {_string(metric)}:")
            lines += [f"        {k}: {_list(values)}" for k, values in sorted(row.sweeps[metric].items())]
    if row.seal_text:
        lines.append(f"    seal: {_quoted(row.seal_text)}")
    return lines


def number(value: float) -> str:
    """Return a float that YAML 1.1 reads as one: `1.0e-05`, not `1e-05`."""
    if math.isnan(value):
        return ".nan"
    if math.isinf(value):
        return ".inf" if value > 0 else "-.inf"
    shown = repr(float(f"{value:.9g}"))
    mantissa, exponent, power = shown.partition("e")
    return f"{mantissa if '.' in mantissa else mantissa + '.0'}{exponent}{power}"


def _head(document: Document) -> list[str]:
    """Return the lines in front of the rows."""
    lines = [f"format: {FORMAT}", f"kind: {document.kind}", f"name: {_string(document.name)}"]
    if document.note:
        lines.append(f"note: {_string(document.note)}")
    if document.source:
        lines.append(f"source: {_string(document.source)}")
    if document.own_metrics:
        lines.append(f"own_metrics: [{', '.join(_string(name) for name in sorted(document.own_metrics))}]")
    if document.complete is not None:
        lines.append(f"complete: {'true' if document.complete else 'false'}")
    if document.baseline:
        lines.append(f"baseline: {_string(document.baseline)}")
    if document.fingerprint is not None:
        lines += ["fingerprint:", *(_flat("inputs", document.fingerprint.inputs, 2) or ["  inputs: {}"])]
        if document.fingerprint.canary is not None:
            lines += _canary(document.fingerprint.canary, 2)
    return lines


def _canary(values: tuple[float, ...], indent: int) -> list[str]:
    """Return a canary, one canned image a line."""
    pad = " " * indent
    rows = [values[i : i + _CANARY_ROW] for i in range(0, len(values), _CANARY_ROW)]
    return [f"{pad}canary:", *(f"{pad}  - {_list(row)}" for row in rows)]


def _rows(document: Document) -> list[str]:
    """Return all rows: the Real row first, then the models by name."""
    names = sorted(document.rows, key=lambda name: (name != REAL, name))
    return [line for name in names for line in row_lines(document.rows[name], document.fingerprint)]


def _run(run: TrainingRun) -> str:
    """Return one training run as a mapping on one line."""
    known: dict[str, Scalar] = {"checkpoint": run.checkpoint, "recipe": run.recipe}
    facts = {**{key: value for key, value in known.items() if value is not None}, **run.facts}
    return "{" + ", ".join(f"{_string(key)}: {_scalar(facts[key], flow=True)}" for key in sorted(facts)) + "}"


def _metric(name: str, entry: Entry) -> list[str]:
    """Return one metric of a row."""
    lines = [f"      {_string(name)}:"]
    if entry.revision:
        lines.append(f"        revision: {_quoted(entry.revision)}")
    if entry.margin is not None:
        amount = "" if entry.margin.kind == "auto" else f", amount: {number(entry.margin.amount)}"
        lines.append(f"        margin: {{kind: {entry.margin.kind}{amount}}}")
    if entry.real is not None:
        lines.append(f"        real: {number(entry.real)}")
    if entry.anchor is not None:
        lines += _anchor(entry.anchor)
    lines.append("        at:" if entry.at else "        at: {}")
    for n, score in sorted(entry.at.items()):
        if score.runs:
            lines += [f"          {n}:", *(f"            - {_score(run)}" for run in score.runs)]
        else:
            lines.append(f"          {n}: {_score(score)}")
    return lines


def _anchor(anchor: Anchor) -> list[str]:
    """Return a metric's anchor."""
    lines = [
        "        anchor:",
        f"          since: {_quoted(anchor.since)}",
        f"          rows: {anchor.rows}",
        "          at:",
    ]
    return lines + [f"            {n}: {_score(score)}" for n, score in sorted(anchor.at.items())]


def _score(score: Score) -> str:
    """Return one score; what is not known is left out."""
    shown = [f"value: {number(score.mean)}"]
    if not math.isnan(score.sd):
        shown.append(f"sd: {number(score.sd)}")
    errors = (("se", score.se), ("se_total", score.se_total))
    shown += [f"{key}: {number(error)}" for key, error in errors if error != 0]
    if math.isfinite(score.freedom):
        shown.append(f"freedom: {number(score.freedom)}")
    if score.values:
        shown.append(f"groups: {_list(score.values)}")
    return "{" + ", ".join(shown) + "}"


def _flat(key: str, mapping: Mapping[str, Scalar], indent: int) -> list[str]:
    """Return a mapping of plain values, one a line."""
    if not mapping:
        return []
    pad = " " * indent
    return [f"{pad}{key}:", *(f"{pad}  {_string(name)}: {_scalar(mapping[name])}" for name in sorted(mapping))]


def _list(values: Iterable[float]) -> str:
    return "[" + ", ".join(number(value) for value in values) + "]"


def _scalar(value: Scalar, *, flow: bool = False) -> str:
    """Return a plain value; inside braces every text is quoted."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return number(value)
    return _quoted(value) if flow else _string(value)


def _string(value: str) -> str:
    """Return a text, quoted unless no reader could take it for anything else."""
    if _PLAIN.fullmatch(value) and value.lower() not in _WORDS:
        return value
    return _quoted(value)


def _quoted(value: str) -> str:
    return '"' + "".join(_escaped(character) for character in value) + '"'


def _escaped(character: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    if character.isprintable():
        return character
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
