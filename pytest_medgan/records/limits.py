"""Limits, margins and baseline rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from pytest_medgan.records.arrays import Scalar
from pytest_medgan.records.fingerprint import Fingerprint


@dataclass(frozen=True)
class Margin:
    """How much worse than the limit is still no regression."""

    kind: str = "auto"  # "absolute", "relative", "toward_real" (a share of the way to the Real row) or "auto"
    amount: float = 0.0  # auto: the value in metric units, computed when the row was accepted

    def __str__(self) -> str:
        return f"{self.kind} {self.amount:.4g}"


@dataclass(frozen=True)
class LimitValue:
    """A limit at one count."""

    value: float
    se: float = 0.0  # of the value, reference held fixed; 0 for a plain number
    sd: float = 0.0  # over its sample groups
    se_total: float = 0.0  # of the value, both sides redrawn
    groups: int = 1  # sample groups it was measured on
    values: tuple[float, ...] = ()  # one per sample group, where kept: a paired comparison needs them


@dataclass(frozen=True)
class Limit:
    """A value per count, with margin and origin. Arithmetic keeps the origin and drops the margin."""

    metric: str
    values: Mapping[int, LimitValue]  # count -> value; {0: ...} is a plain number, which holds at the full count
    origin: str  # "baselines/phantom.yaml:31", or "test_gate.py:12" for a number
    margin: Margin | None = None
    real: Mapping[int, LimitValue] | None = None  # the Real row's values, for margins toward it
    fingerprint: Fingerprint | None = None  # what a measured score must agree with; None for a plain number
    kind: str = "measured"  # "measured", "published", "number" or "missing" (no such row yet)
    row: str | None = None  # the row it belongs to
    model: str | None = None  # the identity of the model it was measured on, where the row keeps it

    def _map(self, function: Callable[[float], float], scale: float) -> Limit:
        values = {
            n: replace(
                v,
                value=function(v.value),
                se=v.se * scale,
                sd=v.sd * scale,
                se_total=v.se_total * scale,
                values=tuple(map(function, v.values)),
            )
            for n, v in self.values.items()
        }
        return replace(self, values=MappingProxyType(values), margin=None)

    def __mul__(self, factor: float) -> Limit:
        return self._map(lambda v: v * factor, abs(factor))

    __rmul__ = __mul__

    def __truediv__(self, divisor: float) -> Limit:
        return self._map(lambda v: v / divisor, 1.0 / abs(divisor))

    def __add__(self, offset: float) -> Limit:
        return self._map(lambda v: v + offset, 1.0)

    __radd__ = __add__

    def __sub__(self, offset: float) -> Limit:
        return self._map(lambda v: v - offset, 1.0)


@dataclass(frozen=True)
class Row:
    """A baseline row: one Limit per metric. `row.fid` and `row["fid"]` are the same."""

    name: str
    limits: Mapping[str, Limit]
    origin: str  # file:line
    kind: str = "measured"  # "measured", "published" or "missing"
    fingerprint: Fingerprint | None = None
    provenance: Mapping[str, Scalar] = field(default_factory=dict)

    def __getitem__(self, metric: str) -> Limit:
        return self.limits[metric]

    def __getattr__(self, metric: str) -> Limit:
        if metric.startswith("_"):  # copy and pickle ask for dunders before `limits` exists
            raise AttributeError(metric)
        if metric in self.limits:
            return self.limits[metric]
        if self.kind == "missing":
            return Limit(metric, MappingProxyType({}), self.origin, kind="missing", row=self.name)
        raise AttributeError(f"row {self.name!r} at {self.origin} has no {metric}; it has {', '.join(self.limits)}")
