"""What a baseline file holds, as frozen records: the one shape that the loader reads and the writer writes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from pytest_medgan.records import Fingerprint, Limit, LimitValue, Margin, Row, Scalar

REAL = "Real"  # the row of held-out real images
FORMAT = 1  # of the file; a reader refuses any other
ABSENT = "absent"  # in a row's own fingerprint: the file's fingerprint has this key and the row's has not


@dataclass(frozen=True)
class Count:
    """One look of a row."""

    n_real: int  # reference images
    groups: int  # sample groups, each of so many images


@dataclass(frozen=True)
class MetricRecord:
    """One metric of a row."""

    at: Mapping[int, LimitValue]  # images a sample group -> value
    margin: Margin | None = None
    line: int = 0  # where the entry stands in its file, from 1; 0 when it was not read from one


@dataclass(frozen=True)
class RowRecord:
    """One row: a model, or the Real row."""

    counts: Mapping[int, Count]
    metrics: Mapping[str, MetricRecord]
    note: str = ""
    provenance: Mapping[str, Scalar] = field(default_factory=dict)
    fingerprint: Mapping[str, Scalar] = field(default_factory=dict)  # inputs that differ from the file's, by override
    canary: tuple[float, ...] | None = None  # the row's own, where it differs from the file's, by override
    sweeps: Mapping[str, Mapping[int, tuple[float, ...]]] = field(default_factory=dict)  # metric -> k -> groups
    line: int = 0


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
    rows: Mapping[str, RowRecord] = field(default_factory=dict)

    def row_fingerprint(self, name: str) -> Fingerprint | None:
        """The file's fingerprint with what the row overrides."""
        own = self.rows[name]
        if self.fingerprint is None or not (own.fingerprint or own.canary):
            return self.fingerprint
        inputs = {**self.fingerprint.inputs, **own.fingerprint}
        kept = {key: inputs[key] for key in sorted(inputs) if inputs[key] != ABSENT}
        return replace(self.fingerprint, inputs=kept, canary=own.canary or self.fingerprint.canary)

    def as_row(self, name: str, shown: str) -> Row:
        """The row as Limits whose origin is `shown:line`; kind "missing" when the file has no such row."""
        if name not in self.rows:
            return Row(name, MappingProxyType({}), shown, kind="missing", fingerprint=self.fingerprint)
        record = self.rows[name]
        fingerprint = self.row_fingerprint(name)
        real = self.rows.get(REAL)
        alike = real is not None and self.row_fingerprint(REAL) == fingerprint
        limits = {
            metric: Limit(
                metric,
                MappingProxyType(dict(entry.at)),
                f"{shown}:{entry.line}",
                margin=entry.margin,
                real=real.metrics[metric].at if real is not None and alike and metric in real.metrics else None,
                fingerprint=fingerprint,
                kind=self.kind,
                row=name,
                model=model if isinstance(model := record.provenance.get("checkpoint"), str) else None,
            )
            for metric, entry in record.metrics.items()
        }
        provenance = {**record.provenance, **({"note": record.note} if record.note else {})}
        return Row(
            name,
            MappingProxyType(limits),
            f"{shown}:{record.line}",
            self.kind,
            fingerprint,
            MappingProxyType(provenance),
        )
