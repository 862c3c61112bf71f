"""What a new row gets beside its scores: margins, the values of real images, and how many runs it was chosen from."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from pytest_medgan.errors import BaselineError
from pytest_medgan.gate.comparable import NOT_OF_REAL, SEEDS
from pytest_medgan.gate.document import REAL, Document
from pytest_medgan.gate.risks import Settings
from pytest_medgan.records import Entry, Margin, Row, Scalar

_DEFAULT = frozenset({"0", "1", "2"})  # latent seeds of a gate that was told nothing


def with_margins(source: Row, before: Row | None, margins: Mapping[str, Margin], settings: Settings) -> Row:
    """Return the row with its margins: those given, then the kinds of the replaced row, then `auto`."""
    unknown = sorted(set(margins) - set(source.entries))
    if unknown:
        raise BaselineError(f"A margin was given for {', '.join(unknown)}, which the candidate has not measured.")
    if source.name == REAL:
        return source
    entries: dict[str, Entry] = {}
    for name, entry in source.entries.items():
        earlier = None if before is None or name not in before.entries else before.entries[name].margin
        entries[name] = replace(entry, margin=margins.get(name) or earlier or Margin())
    family = max(len(entries), settings.metrics)
    return replace(source, entries=MappingProxyType(entries), family=family)


def with_real(row: Row, candidate: Document, old: Document | None) -> Row:
    """Return the row with the Real row's values beside its own, at its full count."""
    known = None if old is None else old.rows.get(REAL)
    real = candidate.rows.get(REAL) or (known if known is not None and _alike(row, known) else None)
    if real is None or row.name == REAL:
        return row
    entries = {}
    for name, entry in row.entries.items():
        n = max(entry.at, default=0)
        beside = real.entries.get(name)
        value = beside.at[n].mean if beside is not None and n in beside.at else None
        entries[name] = replace(entry, real=value if value is not None and math.isfinite(value) else None)
    return replace(row, entries=MappingProxyType(entries))


def with_selection(row: Row, trained: int, old: Document | None) -> Row:
    """Return the row with the number of runs it was chosen from.

    A run chosen by its scores looks better by them than it is, so it must be measured again, with latent seeds that had
    no part in the choice.
    """
    runs = max(len(row.runs), 1)
    if trained < runs:
        raise BaselineError(f"--selected-from {trained} is less than the {runs} runs that are accepted.")
    if trained == runs:
        return row
    used = _seeds(old.fingerprint.inputs.get(SEEDS)) if old is not None and old.fingerprint is not None else _DEFAULT
    own = _seeds(row.fingerprint.inputs.get(SEEDS)) if row.fingerprint is not None else frozenset()
    if own & used:
        raise BaselineError(
            f"The best of {trained} runs looks better than it is on the images that it was chosen by, those of the "
            f"latent seeds {', '.join(sorted(own & used))}. Measure it again with other seeds (--medgan-seeds) and "
            "accept that candidate."
        )
    return replace(row, selected_from=trained)


def _seeds(value: Scalar) -> frozenset[str]:
    """Return the latent seeds of a fingerprint."""
    return frozenset(str(value).split(",")) if value not in (None, "") else frozenset()


def _alike(row: Row, real: Row) -> bool:
    """Whether a Real row was measured under the conditions of a model's row; those of the model do not concern it."""
    if row.fingerprint is None or real.fingerprint is None:
        return False
    return not row.fingerprint.differences(real.fingerprint, but=NOT_OF_REAL | {SEEDS})
