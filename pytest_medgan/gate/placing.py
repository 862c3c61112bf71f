"""Place a new row in its baseline file: choose the file's fingerprint and its Real row.

The file's fingerprint is what new rows are compared with, and each row keeps what it has otherwise. So the file goes
with its models: where all of them were measured under other conditions than the file's, the file takes theirs.
"""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType

from pytest_medgan.catalogue import METRICS
from pytest_medgan.gate.comparable import NOT_OF_REAL, SEEDS, is_selected
from pytest_medgan.gate.document import REAL, Document, aligned
from pytest_medgan.gate.seal import sealed
from pytest_medgan.records import CONDITION, Fingerprint, Row


def file_conditions(old: Document | None, new: Row, *, selected: bool) -> Fingerprint | None:
    """Return the fingerprint that the file has with a new row in it: its own, or the row's where all its models agree.

    Args:
        old: The file as it is; None where there is none yet.
        new: The row.
        selected: Whether the row was chosen as the best of several, and so has latent seeds that no other row has.
    """
    own = None if new.fingerprint is None else new.fingerprint.of_any_model()
    if old is None or old.fingerprint is None:
        return own
    if own is None or new.name == REAL or not _differences(own, old.fingerprint, fresh=selected):
        return old.fingerprint
    others = [row for name, row in old.rows.items() if name not in (new.name, REAL)]
    if any(_differences(own, other.fingerprint, fresh=selected or is_selected(other)) for other in others):
        return old.fingerprint
    if selected and SEEDS in old.fingerprint.inputs:
        own = replace(own, inputs=MappingProxyType({**own.inputs, SEEDS: old.fingerprint.inputs[SEEDS]}))
    return own


def merged(old: Document | None, candidate: Document, after: Row, file: Fingerprint | None) -> Document:
    """Return the old file with one row replaced.

    The Real row comes from the candidate where the file has none, or where the file's was measured under conditions
    that the file has just left.

    Args:
        old: The file as it is; None where there is none yet.
        candidate: What was accepted.
        after: The row that it became.
        file: What `file_conditions` returned.
    """
    rows = {} if old is None else dict(old.rows)
    rows[after.name] = after
    real, kept = candidate.rows.get(REAL), rows.get(REAL)
    moved = old is not None and file is not old.fingerprint
    if real is not None and _fits(real, file) and (kept is None or (moved and not _fits(kept, file))):
        rows[REAL] = sealed(aligned(real, file))
    own = {metric for row in rows.values() for metric in row.entries} - set(METRICS)
    if old is None:
        return Document(candidate.name, own_metrics=tuple(sorted(own)), fingerprint=file, rows=rows)
    return replace(old, rows=rows, own_metrics=tuple(sorted({*old.own_metrics, *own})), fingerprint=file)


def _differences(own: Fingerprint, other: Fingerprint | None, *, fresh: bool) -> tuple[str, ...]:
    """Return how the conditions of two models differ; each may draw what it was told to, and `fresh` seeds as well."""
    may_differ = frozenset({CONDITION, SEEDS} if fresh else {CONDITION})
    return () if other is None else own.differences(other, but=may_differ)


def _fits(real: Row, file: Fingerprint | None) -> bool:
    """Whether a Real row was measured under the file's conditions; those of a model do not concern it."""
    return file is None or real.fingerprint is None or not real.fingerprint.differences(file, but=NOT_OF_REAL)
