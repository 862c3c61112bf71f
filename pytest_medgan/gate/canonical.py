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
from pytest_medgan.gate.document import FORMAT, REAL, Document, MetricRecord, RowRecord
from pytest_medgan.records import Fingerprint, LimitValue, Scalar

_PLAIN = re.compile(r"[A-Za-z_](?:[A-Za-z0-9_./+ -]*[A-Za-z0-9_./+-])?")
_WORDS = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})  # what YAML 1.1 reads as no string
_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}
_CANARY_ROW = 16  # numbers a line: one canned image


def text(document: Document) -> str:
    """The file, ending in a newline."""
    return "\n".join([*_head(document), "rows:", *_rows(document.rows)]) + "\n"


def row_lines(name: str, row: RowRecord) -> list[str]:
    """One row as it stands in a file."""
    lines = [f"  {_string(name)}:"]
    if row.note:
        lines.append(f"    note: {_string(row.note)}")
    lines += _flat("provenance", row.provenance, 4)
    lines += _flat("fingerprint", row.fingerprint, 4)
    if row.canary is not None:
        lines += _canary(row.canary, 4)
    lines.append("    counts:" if row.counts else "    counts: {}")
    lines += [f"      {n}: {{n_real: {c.n_real}, groups: {c.groups}}}" for n, c in sorted(row.counts.items())]
    lines.append("    metrics:" if row.metrics else "    metrics: {}")
    for metric in ordered(row.metrics):
        lines += _metric(metric, row.metrics[metric])
    if row.sweeps:
        lines.append("    sweeps:")
        for metric in ordered(row.sweeps):
            lines.append(f"      {_string(metric)}:")
            lines += [f"        {k}: {_list(values)}" for k, values in sorted(row.sweeps[metric].items())]
    return lines


def number(value: float) -> str:
    """A float that YAML 1.1 reads as one: `1.0e-05`, not `1e-05`."""
    if math.isnan(value):
        return ".nan"
    if math.isinf(value):
        return ".inf" if value > 0 else "-.inf"
    shown = repr(float(f"{value:.9g}"))
    mantissa, exponent, power = shown.partition("e")
    return f"{mantissa if '.' in mantissa else mantissa + '.0'}{exponent}{power}"


def _head(document: Document) -> list[str]:
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
        lines += _fingerprint(document.fingerprint)
    return lines


def _fingerprint(fingerprint: Fingerprint) -> list[str]:
    lines = ["fingerprint:", *(_flat("inputs", fingerprint.inputs, 2) or ["  inputs: {}"])]
    lines.append(f"  canary_tolerance: {number(fingerprint.canary_tolerance)}")
    return lines if fingerprint.canary is None else lines + _canary(fingerprint.canary, 2)


def _canary(values: tuple[float, ...], indent: int) -> list[str]:
    pad = " " * indent
    rows = [values[i : i + _CANARY_ROW] for i in range(0, len(values), _CANARY_ROW)]
    return [f"{pad}canary:", *(f"{pad}  - {_list(row)}" for row in rows)]


def _rows(rows: Mapping[str, RowRecord]) -> list[str]:
    """The Real row first, then the models by name."""
    names = sorted(rows, key=lambda name: (name != REAL, name))
    return [line for name in names for line in row_lines(name, rows[name])]


def _metric(name: str, entry: MetricRecord) -> list[str]:
    lines = [f"      {_string(name)}:"]
    if entry.margin is not None:
        lines.append(f"        margin: {{kind: {entry.margin.kind}, amount: {number(entry.margin.amount)}}}")
    lines.append("        at:" if entry.at else "        at: {}")
    return lines + [f"          {n}: {_value(value)}" for n, value in sorted(entry.at.items())]


def _value(value: LimitValue) -> str:
    """An error of 0 is one that is not known, and is left out."""
    parts = (("sd", value.sd), ("se", value.se), ("se_total", value.se_total))
    known = [("value", value.value), *((key, part) for key, part in parts if part != 0)]
    shown = [f"{key}: {number(part)}" for key, part in known]
    if value.values:
        shown.append(f"groups: {_list(value.values)}")
    return "{" + ", ".join(shown) + "}"


def _flat(key: str, mapping: Mapping[str, Scalar], indent: int) -> list[str]:
    if not mapping:
        return []
    pad = " " * indent
    return [f"{pad}{key}:", *(f"{pad}  {_string(name)}: {_scalar(mapping[name])}" for name in sorted(mapping))]


def _list(values: Iterable[float]) -> str:
    return "[" + ", ".join(number(value) for value in values) + "]"


def _scalar(value: Scalar) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    return number(value) if isinstance(value, float) else _string(value)


def _string(value: str) -> str:
    if _PLAIN.fullmatch(value) and value.lower() not in _WORDS:
        return value
    return '"' + "".join(_escaped(character) for character in value) + '"'


def _escaped(character: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    if character.isprintable():
        return character
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
