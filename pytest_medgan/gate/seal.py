"""The seal over a baseline row: a digest of everything that a verdict may rest on.

It finds what was cut off, lost in a merge or changed by hand. It is no signature: whoever can write the file can seal
it anew, and `medgan baseline seal` records that it was done and why.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any

from pytest_medgan.records import Row, Score, Seal

DIGITS = 32  # of a seal, hexadecimal


def seal_of(row: Row) -> str:
    """Return the seal of a row: a digest of its content and its fingerprint, whatever the layout of the file."""
    fingerprint = row.fingerprint
    content = {
        "name": row.name,
        "kind": row.kind,
        "inputs": None if fingerprint is None else fingerprint.inputs,
        "canary": None if fingerprint is None else fingerprint.canary,
        "runs": row.runs,
        "selected_from": row.selected_from,
        "family": row.family,
        "counts": row.counts,
        "provenance": row.provenance,
        "note": row.note,
        "sweeps": row.sweeps,
        "metrics": row.entries,
    }
    text = json.dumps(_plain(content), sort_keys=True, separators=(",", ":"))
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
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value) if field.name != "line"}
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return "nan" if math.isnan(value) else f"{value:.9g}"  # nine digits, as the file has them
    return value
