"""What a baseline file holds: rows under one fingerprint. The reader makes it and the writer writes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from pytest_medgan.records import Fingerprint, Row, Scalar

REAL = "Real"  # the row of held-out real images
FORMAT = 2  # of files written now
READABLE = (1, FORMAT)  # format 1 has no runs, revisions, anchors and seals
ABSENT = "absent"  # in a row's own fingerprint: the file's fingerprint has this key and the row's has not


@dataclass(frozen=True)
class Document:
    """A whole baseline file, or a candidate for one."""

    name: str
    kind: str = "measured"  # "measured" or "published"
    note: str = ""
    source: str = ""  # published: where the figures were printed
    own_metrics: tuple[str, ...] = ()  # names beside the catalogue, registered by the project
    complete: bool | None = None  # a candidate: whether every look was computed; None in a baseline
    baseline: str = ""  # a candidate: the file it is meant for
    fingerprint: Fingerprint | None = None
    rows: Mapping[str, Row] = field(default_factory=dict)
    format: int = FORMAT  # that the file was read in

    def row(self, name: str, file: str) -> Row:
        """Return a row with the Real row beside it; of kind "missing" where the file has none of this name."""
        if name not in self.rows:
            return Row(name, MappingProxyType({}), file, kind="missing", fingerprint=self.fingerprint)
        row, real = self.rows[name], self.rows.get(REAL)
        alike = real is not None and _of_any_model(real) == _of_any_model(row)
        return replace(row, real=real if alike else None)


def _of_any_model(row: Row) -> Fingerprint | None:
    """Return a row's fingerprint without what belongs to its model alone."""
    return None if row.fingerprint is None else row.fingerprint.of_any_model()


def overlay(row: Fingerprint, file: Fingerprint) -> dict[str, Scalar]:
    """Return the inputs of a row's fingerprint that differ from the file's, as they stand in the row."""
    return {key: row.inputs.get(key, ABSENT) for key in row.differing_inputs(file)}


def overlaid(file: Fingerprint, own: Mapping[str, Scalar], canary: tuple[float, ...] | None) -> Fingerprint:
    """Return a row's fingerprint: the file's with what the row has of its own."""
    inputs = {**file.inputs, **own}
    kept = {key: inputs[key] for key in sorted(inputs) if inputs[key] != ABSENT}
    return replace(file, inputs=MappingProxyType(kept), canary=canary or file.canary)


def aligned(row: Row, file: Fingerprint | None) -> Row:
    """Return a row with its fingerprint as the file will tell it: the file's canary where the two agree."""
    if file is None or row.fingerprint is None:
        return row
    own = None if row.fingerprint.same_canary(file) else row.fingerprint.canary
    return replace(row, fingerprint=overlaid(file, overlay(row.fingerprint, file), own))
