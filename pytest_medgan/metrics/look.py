"""A look: one generated set together with the prepared reference that it is measured against."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from threading import RLock
from typing import Any, TypeVar

import numpy as np

from pytest_medgan.metrics.pairwise import Points
from pytest_medgan.metrics.reference import Reference
from pytest_medgan.metrics.uncertainty import blocks_of
from pytest_medgan.records import Float32, Float64, Int64, UInt8

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Look:
    """A generated set and the reference, checked and ready; every metric reads a look and returns an Estimate.

    The name comes from sequential tests, which measure a growing set of images several times: each time is a look.
    """

    reference: Reference
    fake: Points  # features [M,D]
    fake_ball_points: Points  # the columns in which neighbours are searched for; `fake` itself if these are all
    metrics: tuple[str, ...]  # names of the metrics to measure
    probabilities: Float64 | None = None  # [M,C]
    pixels: UInt8 | None = None  # [M,C,H,W]
    maps: Float32 | None = None  # [M,D], what the heads look at
    fake_group: Int64 | None = None  # [M], images redrawn together; None: every image is independent
    seed: int = 0
    evidence: bool = False
    strict: bool = False  # balls exclude their surface, as prdc has it
    _kept: dict[Callable[[Look], Any], Any] = field(default_factory=dict)
    _locks: dict[Callable[[Look], Any], Any] = field(default_factory=dict)

    def keep(self, compute: Callable[[Look], T]) -> T:
        """Return `compute(look)`, which is computed only once, so that metrics share its result.

        A thread waits if another thread is computing the same result.
        """
        with self._locks.setdefault(compute, RLock()):
            if compute not in self._kept:
                self._kept[compute] = compute(self)
            value: T = self._kept[compute]
        return value

    @property
    def real(self) -> Points:
        """Features of the reference."""
        return self.reference.points

    @cached_property
    def fake_block(self) -> Int64:
        """Block of every generated row for the jackknife, int64 [M]."""
        return blocks_of(np.arange(len(self.fake)) if self.fake_group is None else self.fake_group, self.seed)

    @cached_property
    def ks(self) -> tuple[int, ...]:
        """The numbers of neighbours to measure at, ascending: those for which the reference has neighbours.

        A sweep also leaves out those for which the generated set has too few images.
        """
        plain = self.reference.ks.needed(self.metrics, sweep=False)
        swept = self.reference.ks.needed(self.metrics, sweep=True) if self.evidence and plain else ()
        asked = {*plain, *(k for k in swept if k < len(self.fake))}
        return () if self.reference.near is None else tuple(k for k in self.reference.near.ks if k in asked)
