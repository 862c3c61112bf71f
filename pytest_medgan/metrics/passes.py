"""The pairwise passes of a look that several metrics share, each made when first needed."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from pytest_medgan.metrics.balls import Balls
from pytest_medgan.metrics.causes import need
from pytest_medgan.metrics.deletion import kept_neighbours
from pytest_medgan.metrics.kernel_sums import KernelSide, KernelSums
from pytest_medgan.metrics.look import Look
from pytest_medgan.metrics.nearest_real import NearestReal
from pytest_medgan.metrics.neighbours import Neighbours
from pytest_medgan.metrics.pairwise import products, to_distances_
from pytest_medgan.metrics.reference import own_pass
from pytest_medgan.records import Cause

REAL_BALLS = frozenset({"improved_precision", "density", "coverage"})


@dataclass(frozen=True, eq=False)
class Own:
    """What the pass over the generated set's own products gathered."""

    near: Neighbours | None  # for the balls of generated images
    kernel: KernelSums | None


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


def own(look: Look) -> Own:
    """Return the pass over the generated set's own products; ask for it by `look.keep(own)`."""
    asked = (*look.ks, look.reference.ks.improved) if "improved_recall" in look.metrics else ()
    ks = tuple(sorted({k for k in asked if k < len(look.fake)}))
    side = look.keep(_kernel_side)
    sums = None if side is None else KernelSums(side, side)
    keep = kept_neighbours(look.reference.ks.improved)
    return Own(own_pass(look.fake, look.fake_ball_points, sums, ks, keep), sums)


def cross(look: Look) -> Cross:
    """Return the pass over the products of generated and reference features; ask for it by `look.keep(cross)`.

    There are two passes where balls use fewer columns.
    """
    real_balls, fake_balls = _make_real_balls(look), _make_fake_balls(look)
    nearest = None
    if look.evidence and real_balls is not None:
        nearest = NearestReal(_realism_radii(look), len(look.fake))
    side, real_side = look.keep(_kernel_side), look.reference.kernel_side
    kernel = None if side is None or real_side is None else KernelSums(side, real_side)
    found = Cross(real_balls, fake_balls, kernel, nearest)
    one_pass = look.fake_ball_points is look.fake
    if kernel is not None and not one_pass:
        for part, block in products(look.fake, look.real):
            kernel.add_block(part, block)
    if found.has_balls or (kernel is not None and one_pass):
        for part, block in products(look.fake_ball_points, look.reference.ball_points):
            if kernel is not None and one_pass:
                kernel.add_block(part, block)
            if found.has_balls:
                norms = look.fake_ball_points.norms[part], look.reference.ball_points.norms
                found.add_distances(to_distances_(block, *norms), part)
    return found


def fake_kernel(look: Look) -> KernelSums:
    """Return the kernel sums of the generated set with itself."""
    return need(look.keep(own).kernel, Cause.NOT_PREPARED)


def cross_kernel(look: Look) -> KernelSums:
    """Return the kernel sums of the generated set with the reference."""
    return need(look.keep(cross).kernel, Cause.NOT_PREPARED)


def real_balls(look: Look, k: int) -> Balls:
    """Return the generated images in the balls of reference images, which hold this k."""
    balls = look.keep(cross).real_balls
    return need(balls if balls is not None and k in balls.near.ks else None, Cause.TOO_FEW_REAL_IMAGES)


def fake_balls(look: Look, k: int) -> Balls:
    """Return the reference images in the balls of generated images, which hold this k."""
    balls = look.keep(cross).fake_balls
    return need(balls if balls is not None and k in balls.near.ks else None, Cause.TOO_FEW_IMAGES)


def _kernel_side(look: Look) -> KernelSide | None:
    """Return the generated features as rows of kernels, where KID is asked for."""
    return KernelSide(look.fake) if "kid" in look.metrics else None


def _realism_radii(look: Look) -> torch.Tensor:
    """Return the exact squared radii of the real balls, float64 [N]."""
    near = need(look.reference.near, Cause.TOO_FEW_REAL_IMAGES)
    improved = look.reference.ks.improved
    column = near.ks.index(improved if improved in look.ks else look.ks[0])
    rows = torch.arange(len(look.real), device=near.radii.device)
    return near.exact_radii(look.reference.ball_points, rows, torch.full_like(rows, column))


def _make_real_balls(look: Look) -> Balls | None:
    """Return the empty balls of the reference, with what its errors need."""
    near, ks = look.reference.near, look.reference.ks
    if near is None or not look.ks or not REAL_BALLS & set(look.metrics):
        return None
    balls = Balls(look.reference.ball_points, near.select(look.ks), look.fake_ball_points, strict=look.strict)
    if "improved_precision" in look.metrics and ks.improved in look.ks:
        balls.track_owner_deletion(ks.improved, look.reference.block)
    if {"density", "coverage"} & set(look.metrics) and ks.density in look.ks:
        balls.track_owner_deletion(ks.density, look.reference.block)
    if "coverage" in look.metrics and ks.density in look.ks:
        balls.track_probe_deletion(ks.density, look.fake_block)
    return balls


def _make_fake_balls(look: Look) -> Balls | None:
    """Return the empty balls of the generated set, with what its errors need."""
    near, improved = look.keep(own).near, look.reference.ks.improved
    if near is None or improved not in near.ks:
        return None
    balls = Balls(look.fake_ball_points, near, look.reference.ball_points, strict=look.strict)
    balls.track_owner_deletion(improved, look.fake_block)
    return balls
