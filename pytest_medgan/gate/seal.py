"""The seal over a baseline row: a digest of everything that a verdict may rest on.

It finds what was cut off, lost in a merge or changed by hand. It is no signature: whoever can write the file can seal
it anew, and `medgan baseline seal` records that it was done and why.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields, is_dataclass, replace
from types import MappingProxyType
from typing import Any

from pytest_medgan.records import Anchor, Count, Entry, Margin, Row, Score, Seal, TrainingRun

DIGITS = 32  # of a seal, hexadecimal
# Fields whose value every seal covers, its default included. The list is closed: the seal of every existing file was
# computed from these fields. A field that came later is covered where its value is not the default, so that a row
# sealed before the field existed keeps its seal.
_ALWAYS_COVERED = MappingProxyType(
    {
        Row: frozenset({"name", "kind", "runs", "selected_from", "family", "counts", "provenance", "note", "sweeps"}),
        Entry: frozenset({"at", "margin", "anchor", "revision", "real"}),
        Score: frozenset({"mean", "se", "sd", "se_total", "groups", "values", "freedom", "runs"}),
        Margin: frozenset({"kind", "amount"}),
        Anchor: frozenset({"since", "rows", "at"}),
        Count: frozenset({"n_real", "groups"}),
        TrainingRun: frozenset({"checkpoint", "recipe", "facts"}),
    }
)
_NEVER_COVERED = MappingProxyType(
    {
        # places, another row, the seal itself, and two fields that `seal_of` puts under other names
        Row: frozenset({"origin", "line", "real", "seal", "seal_text", "entries", "fingerprint"}),
        Entry: frozenset({"line"}),
    }
)


def seal_of(row: Row) -> str:
    """Return the seal of a row: a digest of its content and its fingerprint, whatever the layout of the file."""
    fingerprint = row.fingerprint
    content = {
        **_covered(row),
        "inputs": None if fingerprint is None else _plain(fingerprint.inputs),
        "canary": None if fingerprint is None else _plain(fingerprint.canary),
        "metrics": _plain(row.entries),
    }
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:DIGITS]


def check_seal(row: Row, found: str) -> Seal:
    """Return whether a row is as it was when the seal `found` was written; "" stands for none."""
    if not found:
        return Seal.ABSENT
    return Seal.VALID if found == seal_of(row) else Seal.BROKEN


def sealed(row: Row) -> Row:
    """Return the row under a new seal."""
    return replace(row, seal=Seal.VALID, seal_text=seal_of(row))


def _plain(value: Any) -> Any:
    """Return plain data that are equal exactly where the content of two files is."""
    if isinstance(value, Score) and value.runs:
        return [_plain(run) for run in value.runs]  # their mean is not in the file
    if is_dataclass(value) and not isinstance(value, type):
        return _covered(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return "nan" if math.isnan(value) else f"{value:.9g}"  # nine digits, as the file has them
    return value


def _covered(record: Any) -> dict[str, Any]:
    """Return the plain data of the fields of a record that its seal covers."""
    always = _ALWAYS_COVERED.get(type(record), frozenset())
    never = _NEVER_COVERED.get(type(record), frozenset())
    content = {}
    for field in fields(record):
        if field.name not in never:
            value = _plain(getattr(record, field.name))
            if field.name in always or value != _plain(_default_of(field)):
                content[field.name] = value
    return content


def _default_of(field: Field[Any]) -> Any:
    """Return the default of a record's field; MISSING where it has none."""
    return field.default if field.default_factory is MISSING else field.default_factory()
