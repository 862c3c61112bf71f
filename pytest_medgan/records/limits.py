"""Baseline rows and the limits that they give."""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from pytest_medgan.records.arrays import Scalar
from pytest_medgan.records.fingerprint import Fingerprint
from pytest_medgan.records.scores import Score

PLAIN = 0  # the count under which a plain number stands in a limit


@dataclass(frozen=True)
class Margin:
    """How much worse than the limit is still no regression."""

    kind: str = "auto"  # "absolute", "relative", "toward_real" (a share of the way to the Real row) or "auto"
    amount: float = 0.0  # absolute: in metric units; relative and toward_real: a share; auto: 0, it follows from errors

    def __str__(self) -> str:
        return self.kind if self.kind == "auto" else f"{self.kind} {self.amount:.4g}"


@dataclass(frozen=True)
class Anchor:
    """The mean of the rows accepted since it was set, from which small losses may not lead away unnoticed."""

    since: str  # the day it was set, YYYY-MM-DD
    rows: int  # rows accepted since then
    at: Mapping[int, Score]  # images per sample group -> value and standard error


@dataclass(frozen=True)
class Entry:
    """One metric of a baseline row."""

    at: Mapping[int, Score]  # images per sample group -> score; {0: ...} is a plain number for the full count
    margin: Margin | None = None
    anchor: Anchor | None = None  # None where the row is its own anchor
    revision: str = ""  # of the code that measured it: a number, or the digest of a custom metric's source
    real: float | None = None  # the Real row's value at the row's largest count when the row was accepted
    line: int = 0  # where it stands in its file, from 1; 0 where it was not read from one


@dataclass(frozen=True)
class Count:
    """One look of a row."""

    n_real: int  # reference images
    groups: int  # sample groups, each of so many images


@dataclass(frozen=True)
class TrainingRun:
    """One training run of a row."""

    checkpoint: str | None = None  # the model's identity; None where it has none
    recipe: str | None = None  # digest of code version, settings and data of the training; None where unknown
    facts: Mapping[str, Scalar] = field(default_factory=dict)  # training seed, latent seeds, commit and the like


class Seal(enum.StrEnum):
    """Whether a row is known to be as it was written."""

    VALID = "valid"
    ABSENT = "absent"  # written before rows had seals, or cut off
    BROKEN = "broken"  # changed since it was sealed
    COMPUTED = "computed"  # not from a file: nothing to vouch for


@dataclass(frozen=True)
class Row:
    """A baseline row: one limit per metric. `row.fid` and `row["fid"]` are the same."""

    name: str
    entries: Mapping[str, Entry]
    origin: str  # file:line
    kind: str = "measured"  # "measured", "published" or "missing"
    fingerprint: Fingerprint | None = None
    runs: tuple[TrainingRun, ...] = ()  # the training runs it is the mean of, in the order of Score.runs
    selected_from: int = 0  # training runs that the row's were chosen from as the best; 0 where none was left out
    family: int = 0  # metrics that share the promise to unchanged models
    seal: Seal = Seal.COMPUTED
    seal_text: str = ""  # the seal as its file has it
    counts: Mapping[int, Count] = field(default_factory=dict)
    provenance: Mapping[str, Scalar] = field(default_factory=dict)
    note: str = ""
    sweeps: Mapping[str, Mapping[int, tuple[float, ...]]] = field(default_factory=dict)  # metric -> k -> groups
    real: Row | None = None  # the Real row of the same file, where it was measured alike
    line: int = 0

    def __repr__(self) -> str:
        return f"<row {self.name} of {len(self.entries)} metrics, {self.origin}>"

    @property
    def limits(self) -> Mapping[str, Limit]:
        """One limit per metric."""
        return MappingProxyType({metric: self[metric] for metric in self.entries})

    def __getitem__(self, metric: str) -> Limit:
        return Limit(metric, self.entries[metric], self._origin_of(metric), self)

    def __getattr__(self, metric: str) -> Limit:
        if metric.startswith("_"):  # copy and pickle ask for dunders before `entries` exists
            raise AttributeError(metric)
        if metric in self.entries:
            return self[metric]
        if self.kind == "missing":
            return self.without(metric)
        raise AttributeError(f"Row {self.name!r} at {self.origin} has no {metric}; it has {', '.join(self.entries)}.")

    def without(self, metric: str) -> Limit:
        """Return the limit of a metric that the row does not have: it is never green."""
        return Limit(metric, Entry(MappingProxyType({})), self.origin, self)

    def _origin_of(self, metric: str) -> str:
        """Return file and line of a metric."""
        line = self.entries[metric].line
        return f"{self.origin.rpartition(':')[0]}:{line}" if line else self.origin


@dataclass(frozen=True)
class Limit:
    """What a metric is compared with. Arithmetic keeps the origin and drops the margin."""

    metric: str
    entry: Entry
    origin: str  # "baselines/phantom.yaml:31", or "test_gate.py:12" for a number
    of: Row | None = None  # the row it belongs to; None for a plain number

    def __repr__(self) -> str:
        return f"<limit of {self.metric}, {self.row or 'number'}, {self.origin}>"

    @property
    def values(self) -> Mapping[int, Score]:
        """The scores by count."""
        return self.entry.at

    @property
    def margin(self) -> Margin | None:
        """How much worse is still no regression; None where the limit itself decides."""
        return self.entry.margin

    @property
    def row(self) -> str | None:
        """The name of the row it belongs to."""
        return None if self.of is None else self.of.name

    @property
    def kind(self) -> str:
        """Return "measured", "published", "number" or "missing"."""
        if self.of is None:
            return "number"
        return self.of.kind if self.entry.at else "missing"

    @property
    def fingerprint(self) -> Fingerprint | None:
        """What a measured score must agree with; None for a plain number."""
        return None if self.of is None else self.of.fingerprint

    def _map(self, function: Callable[[float], float], scale: float) -> Limit:
        """Return the limit with every value mapped by a linear function of slope `scale`."""
        at = {n: score.mapped(function, abs(scale)) for n, score in self.entry.at.items()}
        return replace(self, entry=replace(self.entry, at=MappingProxyType(at), margin=None, anchor=None))

    def __mul__(self, factor: float) -> Limit:
        return self._map(lambda v: v * factor, factor)

    __rmul__ = __mul__

    def __truediv__(self, divisor: float) -> Limit:
        return self._map(lambda v: v / divisor, 1.0 / divisor)

    def __add__(self, offset: float) -> Limit:
        return self._map(lambda v: v + offset, 1.0)

    __radd__ = __add__

    def __sub__(self, offset: float) -> Limit:
        return self._map(lambda v: v - offset, 1.0)


def plain_limit(metric: str, value: float, origin: str) -> Limit:
    """Return a plain number as a limit, which holds at the full count."""
    return Limit(metric, Entry(MappingProxyType({PLAIN: Score(value)})), origin)
