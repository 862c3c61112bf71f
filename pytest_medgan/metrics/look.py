"""One generated set against a prepared reference: the pairwise passes that metrics share, made when first needed."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch

from pytest_medgan.metrics.authenticity import Nearest, nearest_training
from pytest_medgan.metrics.balls import Balls
from pytest_medgan.metrics.copies import COPY_DISTANCE, copies, duplicates
from pytest_medgan.metrics.deletion import depth
from pytest_medgan.metrics.gram import Points, distances_, products
from pytest_medgan.metrics.intensity import histograms
from pytest_medgan.metrics.kernel_sums import KernelSums
from pytest_medgan.metrics.neighbours import Neighbours, neighbours
from pytest_medgan.metrics.prd import CLUSTERS, RUNS, Clustered
from pytest_medgan.metrics.reference import Reference
from pytest_medgan.metrics.uncertainty import blocks_of
from pytest_medgan.records import Float64, Int64, UInt8

REAL_BALLS = frozenset({"improved_precision", "density", "coverage"})


@dataclass(frozen=True, eq=False)
class Cross:
    """What the pass over (generated, reference) products gathered."""

    real_balls: Balls | None  # generated images in the balls of reference images
    fake_balls: Balls | None  # reference images in the balls of generated images
    kernel: KernelSums | None  # rows generated, columns reference
    nearest: torch.Tensor | None  # int64 [M], the nearest reference image
    nearest_distance: torch.Tensor | None  # float32 [M]
    realism: torch.Tensor | None  # float32 [M], largest radius over distance


@dataclass(frozen=True, eq=False)
class Look:
    """One generated set, ready to be measured; metrics read it and hand back an Estimate."""

    reference: Reference
    fake: Points
    metrics: tuple[str, ...]  # asked for and measurable
    probabilities: Float64 | None = None  # [M,C]
    pixels: UInt8 | None = None  # [M,1,H,W]
    seed: int = 0
    evidence: bool = False
    strict: bool = False  # balls leave out their surface, as prdc has it

    @property
    def real(self) -> Points:
        return self.reference.points

    @cached_property
    def fake_block(self) -> Int64:
        """Blocks of generated rows [M] for the jackknife."""
        return blocks_of(torch.arange(len(self.fake)).numpy(), self.seed)

    @cached_property
    def ks(self) -> tuple[int, ...]:
        """The k of this look, ascending; a sweep stops where the generated set runs out of neighbours."""
        plain = self.reference.ks.of(self.metrics, sweep=False)
        swept = self.reference.ks.of(self.metrics, sweep=True) if self.evidence and plain else ()
        return tuple(sorted({*plain, *(k for k in swept if k < len(self.fake))}))

    @cached_property
    def _own(self) -> tuple[Neighbours | None, KernelSums | None]:
        """The pass over the generated set's own products."""
        balls = "improved_recall" in self.metrics
        sums = KernelSums(self.fake, self.fake, self.reference.centre) if "kid" in self.metrics else None
        if not balls and sums is None:
            return None, None
        ks = tuple(k for k in self.ks if k < len(self.fake)) if balls else (1,)
        watch = None if sums is None else sums.see_own
        return neighbours(self.fake, ks, keep=depth(self.reference.ks.improved) if balls else 0, watch=watch), sums

    @property
    def fake_kernel(self) -> KernelSums:
        sums = self._own[1]
        if sums is None:
            raise LookupError("kid was not asked for")
        return sums

    @property
    def cross_kernel(self) -> KernelSums:
        if self.cross.kernel is None:
            raise LookupError("kid was not asked for")
        return self.cross.kernel

    @property
    def real_balls(self) -> Balls:
        if self.cross.real_balls is None:
            raise LookupError("no metric with reference balls was asked for")
        return self.cross.real_balls

    @property
    def fake_balls(self) -> Balls:
        if self.cross.fake_balls is None:
            raise LookupError("improved_recall was not asked for")
        return self.cross.fake_balls

    @cached_property
    def clustered(self) -> Clustered:
        """Both sets in the clusters of the PRD."""
        return Clustered(self.real, self.fake, CLUSTERS, RUNS, self.seed)

    @cached_property
    def nearest_training(self) -> Nearest:
        train, own = self.reference.train, self.reference.train_near
        if train is None or own is None:
            raise LookupError("no training features were given")
        return nearest_training(self.fake, train, own)

    @cached_property
    def copies(self) -> Int64:
        """(generated, training) pairs int64 [P,2]."""
        if self.pixels is None or self.reference.train_pixels is None:
            raise LookupError("no pixels were given")
        return copies(self.pixels, self.reference.train_pixels, COPY_DISTANCE)

    @cached_property
    def duplicates(self) -> Int64:
        """(generated, generated) pairs int64 [P,2]."""
        if self.pixels is None or self.reference.duplicate_distance is None:
            raise LookupError("no pixels were given")
        return duplicates(self.pixels, self.reference.duplicate_distance)

    @cached_property
    def fake_histograms(self) -> Int64:
        """Grey levels int64 [M,256]."""
        if self.pixels is None:
            raise LookupError("no pixels were given")
        return histograms(self.pixels)

    @cached_property
    def cross(self) -> Cross:
        real_balls, fake_balls = self._real_balls(), self._fake_balls()
        kernel = KernelSums(self.fake, self.real, self.reference.centre) if "kid" in self.metrics else None
        nearest = None
        if self.evidence and real_balls is not None:
            nearest = _Nearest(self._realism_radii(), self.fake)
        if real_balls is not None or fake_balls is not None or kernel is not None:
            for part, block in products(self.fake, self.real):
                if kernel is not None:
                    kernel.see(part, block)
                if real_balls is None and fake_balls is None:
                    continue
                squared = distances_(block, self.fake.norms[part], self.real.norms)
                if real_balls is not None:
                    real_balls.see(squared, part, owners_are_rows=False)
                if fake_balls is not None:
                    fake_balls.see(squared, part, owners_are_rows=True)
                if nearest is not None:
                    nearest.see(squared, part)
        if nearest is None:
            return Cross(real_balls, fake_balls, kernel, None, None, None)
        return Cross(real_balls, fake_balls, kernel, nearest.index, nearest.distance, nearest.realism)

    def _realism_radii(self) -> torch.Tensor:
        near, ks = self.reference.near, self.ks
        if near is None:
            raise LookupError("no metric with reference balls was prepared")
        column = near.ks.index(self.reference.ks.improved if self.reference.ks.improved in ks else ks[0])
        rows = torch.arange(len(self.real), device=near.radii.device)
        return near.exactly(self.real, rows, torch.full_like(rows, column))

    def _real_balls(self) -> Balls | None:
        near, ks = self.reference.near, self.reference.ks
        if near is None or not REAL_BALLS & set(self.metrics):
            return None
        balls = Balls(self.real, near.at(self.ks), self.fake, strict=self.strict)
        if "improved_precision" in self.metrics:
            balls.without_owners(ks.improved, self.reference.block)
        if {"density", "coverage"} & set(self.metrics):
            balls.without_owners(ks.density, self.reference.block)
        if "coverage" in self.metrics:
            balls.without_probes(ks.density, self.fake_block)
        return balls

    def _fake_balls(self) -> Balls | None:
        near = self._own[0]
        if near is None or "improved_recall" not in self.metrics:
            return None
        balls = Balls(self.fake, near, self.real, strict=self.strict)
        balls.without_owners(self.reference.ks.improved, self.fake_block)
        return balls


class _Nearest:
    """The nearest reference image of every generated one, and its realism (Kynkaanniemi et al. 2019, equation 9)."""

    def __init__(self, radii: torch.Tensor, fake: Points) -> None:
        self._radii = radii.float()
        self.index = torch.zeros(len(fake), dtype=torch.int64, device=radii.device)
        self.distance = torch.zeros(len(fake), dtype=torch.float32, device=radii.device)
        self.realism = torch.zeros(len(fake), dtype=torch.float32, device=radii.device)

    def see(self, squared: torch.Tensor, part: slice) -> None:
        least, self.index[part] = squared.min(1)
        self.distance[part] = least.sqrt()
        self.realism[part] = (self._radii / squared).amax(1).sqrt()
