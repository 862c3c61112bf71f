"""One generated set and a prepared reference, with the pairwise passes that several metrics share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
import torch

from pytest_medgan.metrics.balls import Balls
from pytest_medgan.metrics.causes import need
from pytest_medgan.metrics.deletion import kept_neighbours
from pytest_medgan.metrics.kernel_sums import KernelSums
from pytest_medgan.metrics.nearest_real import NearestReal
from pytest_medgan.metrics.neighbours import Neighbours
from pytest_medgan.metrics.pairwise import Points, products, to_distances_
from pytest_medgan.metrics.reference import Reference, own_pass
from pytest_medgan.metrics.uncertainty import blocks_of
from pytest_medgan.records import Cause, Float64, Int64, UInt8

T = TypeVar("T")

REAL_BALLS = frozenset({"improved_precision", "density", "coverage"})


@dataclass(frozen=True, eq=False)
class Cross:
    """What the pass over (generated, reference) products gathered."""

    real_balls: Balls | None  # generated images in the balls of reference images
    fake_balls: Balls | None  # reference images in the balls of generated images
    kernel: KernelSums | None  # rows generated, columns reference
    nearest: NearestReal | None  # with evidence

    @property
    def has_balls(self) -> bool:
        """Whether anything needs distances."""
        return self.real_balls is not None or self.fake_balls is not None

    def add_distances(self, squared: torch.Tensor, part: slice) -> None:
        """Add squared distances from the generated rows `part` to all reference rows."""
        if self.real_balls is not None:
            self.real_balls.add_block(squared, part, owners_are_rows=False)
        if self.fake_balls is not None:
            self.fake_balls.add_block(squared, part, owners_are_rows=True)
        if self.nearest is not None:
            self.nearest.add_block(squared, part)


@dataclass(frozen=True, eq=False)
class Look:
    """One generated set, ready to be measured. A metric reads it and returns an Estimate."""

    reference: Reference
    fake: Points  # features [M,D]
    fake_ball_points: Points  # their first columns, as in the reference; `fake` itself where that is all
    metrics: tuple[str, ...]  # asked for and prepared
    probabilities: Float64 | None = None  # [M,C]
    pixels: UInt8 | None = None  # [M,1,H,W]
    fake_group: Int64 | None = None  # [M], images redrawn together; None: every image is independent
    seed: int = 0
    evidence: bool = False
    strict: bool = False  # balls exclude their surface, as prdc has it
    _kept: dict[Callable[[Look], Any], Any] = field(default_factory=dict)

    def keep(self, compute: Callable[[Look], T]) -> T:
        """Return what `compute(look)` returned the first time: how a metric shares a pass of its own."""
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
        """The k of this look, ascending: those the reference has neighbours for.

        A sweep also ends where the generated set has too few neighbours.
        """
        plain = self.reference.ks.needed(self.metrics, sweep=False)
        swept = self.reference.ks.needed(self.metrics, sweep=True) if self.evidence and plain else ()
        asked = {*plain, *(k for k in swept if k < len(self.fake))}
        return () if self.reference.near is None else tuple(k for k in self.reference.near.ks if k in asked)

    @property
    def fake_kernel(self) -> KernelSums:
        """Kernel sums of the generated set with itself."""
        return need(self._own[1], Cause.NOT_PREPARED)

    @property
    def cross_kernel(self) -> KernelSums:
        """Kernel sums of the generated set with the reference."""
        return need(self.cross.kernel, Cause.NOT_PREPARED)

    def real_balls(self, k: int) -> Balls:
        """Return the generated images in the balls of reference images, which hold this k."""
        balls = self.cross.real_balls
        return need(balls if balls is not None and k in balls.near.ks else None, Cause.TOO_FEW_REAL_IMAGES)

    def fake_balls(self, k: int) -> Balls:
        """Return the reference images in the balls of generated images, which hold this k."""
        balls = self.cross.fake_balls
        return need(balls if balls is not None and k in balls.near.ks else None, Cause.TOO_FEW_IMAGES)

    @cached_property
    def _own(self) -> tuple[Neighbours | None, KernelSums | None]:
        """The pass over the generated set's own products."""
        asked = (*self.ks, self.reference.ks.improved) if "improved_recall" in self.metrics else ()
        ks = tuple(sorted({k for k in asked if k < len(self.fake)}))
        sums = KernelSums(self.fake, self.fake, self.reference.centre) if "kid" in self.metrics else None
        keep = kept_neighbours(self.reference.ks.improved)
        return own_pass(self.fake, self.fake_ball_points, sums, ks, keep), sums

    @cached_property
    def cross(self) -> Cross:
        """The pass over the products of generated and reference features: two where balls use fewer columns."""
        real_balls, fake_balls = self._make_real_balls(), self._make_fake_balls()
        kernel = KernelSums(self.fake, self.real, self.reference.centre) if "kid" in self.metrics else None
        nearest = None
        if self.evidence and real_balls is not None:
            nearest = NearestReal(self._realism_radii(), len(self.fake))
        found = Cross(real_balls, fake_balls, kernel, nearest)
        one_pass = self.fake_ball_points is self.fake
        if kernel is not None and not one_pass:
            for part, block in products(self.fake, self.real):
                kernel.add_block(part, block)
        if found.has_balls or (kernel is not None and one_pass):
            for part, block in products(self.fake_ball_points, self.reference.ball_points):
                if kernel is not None and one_pass:
                    kernel.add_block(part, block)
                if found.has_balls:
                    norms = self.fake_ball_points.norms[part], self.reference.ball_points.norms
                    found.add_distances(to_distances_(block, *norms), part)
        return found

    def _realism_radii(self) -> torch.Tensor:
        """Return the exact squared radii of the real balls, float64 [N]."""
        near = need(self.reference.near, Cause.TOO_FEW_REAL_IMAGES)
        improved = self.reference.ks.improved
        column = near.ks.index(improved if improved in self.ks else self.ks[0])
        rows = torch.arange(len(self.real), device=near.radii.device)
        return near.exact_radii(self.reference.ball_points, rows, torch.full_like(rows, column))

    def _make_real_balls(self) -> Balls | None:
        """Return the empty balls of the reference, with what its errors need."""
        near, ks = self.reference.near, self.reference.ks
        if near is None or not self.ks or not REAL_BALLS & set(self.metrics):
            return None
        balls = Balls(self.reference.ball_points, near.select(self.ks), self.fake_ball_points, strict=self.strict)
        if "improved_precision" in self.metrics and ks.improved in self.ks:
            balls.track_owner_deletion(ks.improved, self.reference.block)
        if {"density", "coverage"} & set(self.metrics) and ks.density in self.ks:
            balls.track_owner_deletion(ks.density, self.reference.block)
        if "coverage" in self.metrics and ks.density in self.ks:
            balls.track_probe_deletion(ks.density, self.fake_block)
        return balls

    def _make_fake_balls(self) -> Balls | None:
        """Return the empty balls of the generated set, with what its errors need."""
        near, improved = self._own[0], self.reference.ks.improved
        if near is None or improved not in near.ks:
            return None
        balls = Balls(self.fake_ball_points, near, self.reference.ball_points, strict=self.strict)
        balls.track_owner_deletion(improved, self.fake_block)
        return balls
