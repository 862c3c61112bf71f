"""Density and coverage: how many reference balls hold a generated image, and how many balls hold any.

Paper: Naeem et al. 2020, "Reliable Fidelity and Diversity Metrics for Generative Models". Reference code: prdc.

Conventions: balls include their surface (`<=`), as for improved precision; `strict=True` gives prdc's `<`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import sqrt
from typing import Any

import numpy as np

from pytest_medgan.metrics import inputs
from pytest_medgan.metrics.balls import Balls
from pytest_medgan.metrics.look import Look
from pytest_medgan.metrics.neighbours import find_neighbours
from pytest_medgan.metrics.pairwise import mean_of, points, products, to_distances_
from pytest_medgan.metrics.passes import real_balls
from pytest_medgan.metrics.uncertainty import jackknife_se, largest, mean_se, pseudo_values, rate_se
from pytest_medgan.records import Contribution, Estimate, Float64


def density_coverage(*, real: Any, fake: Any, k: int | Sequence[int] = 5, strict: bool = False) -> tuple[Any, Any]:
    """Return density and coverage.

    Args:
        real: Features [N,D], array or tensor of numbers.
        fake: Generated features [M,D]; one row is enough.
        k: The radius of a ball is the distance to the k-th neighbour; smaller than N. A sequence is measured in one
            pass.
        strict: Exclude the surface of the balls, as prdc does.

    Returns:
        (density, coverage): floats for one k, float64 [K] in the order given for a sequence of k.

    Raises:
        MetricInputError: An argument has another shape or value, or there are too few rows for k.

    References:
        Naeem et al. 2020, "Reliable Fidelity and Diversity Metrics for Generative Models"; prdc.

    Examples:
        >>> density_coverage(real=[[0.0], [1.0], [2.0], [9.0]], fake=[[0.5], [1.5]], k=1)
        (2.0, 0.75)
    """
    real, fake = inputs.pair(real, fake)
    ks = inputs.neighbour_counts(k, rows=len(real), name="real")
    centre = mean_of(real)
    left, right = points(fake, centre), points(real, centre)
    balls = Balls(right, find_neighbours(right, ks), left, strict=strict)
    for part, block in products(left, right):
        balls.add_block(to_distances_(block, left.norms[part], right.norms), part, owners_are_rows=False)
    density, coverage = densities(balls), coverages(balls)
    if not isinstance(k, Iterable):
        return float(density[0]), float(coverage[0])
    order = [ks.index(each) for each in k]
    return density[order], coverage[order]


def densities(balls: Balls) -> Float64:
    """Return the mean number of balls that hold a probe, over k, float64 [K]."""
    return np.array([float(balls.counts(k).sum()) / k / len(balls.probes) for k in balls.near.ks])


def coverages(balls: Balls) -> Float64:
    """Return the share of balls that hold a probe, float64 [K]."""
    return np.array([float(balls.covered(k).double().mean()) for k in balls.near.ks])


def density_estimate(look: Look) -> Estimate:
    """Return density with its standard errors.

    `se` is the error of a mean over generated images, with the reference fixed. `se_total` adds the error of the
    reference, by a jackknife over blocks of patients.
    """
    k = look.reference.ks.density
    balls = real_balls(look, k)
    counts = balls.counts(k).double().cpu().numpy() / k
    pairs, deletion = int(balls.counts(k).sum()), balls.deletions[k]
    value = pairs / k / len(counts)
    se = mean_se(counts, look.fake_group)
    if not counts.any():  # an observed density of 0 is not certain either
        se = rate_se(0, len(counts))
    without = deletion.pairs_without(pairs) / k / len(counts)
    spread = jackknife_se(value, without, deletion.size.cpu().numpy())
    # both errors contain the noise of single (image, ball) pairs, of variance value / (k M): subtract it once
    total = sqrt(largest(se**2 + spread**2 - value / k / len(counts), se**2, spread**2))
    return Estimate(value, se, total)


def density_contribution(look: Look) -> Contribution:
    """Return for each generated image the number of balls that contain it, divided by k."""
    k = look.reference.ks.density
    return Contribution(real_balls(look, k).counts(k).double().cpu().numpy() / k)


def coverage_estimate(look: Look) -> Estimate:
    """Return coverage with its standard errors.

    `se` comes from a jackknife over blocks of generated images and overstates the error. `se_total` is the larger of
    `se` and a jackknife over blocks of patients: both contain the interaction of the two sets, so they are not added.
    """
    k = look.reference.ks.density
    balls = real_balls(look, k)
    covered, deletion = balls.covered(k), balls.deletions[k]
    hits, trials = int(covered.sum()), len(look.real)
    se = jackknife_se(hits / trials, _coverage_without(look), np.bincount(look.fake_block))
    if hits in (0, trials) or se == 0:
        se = max(se, rate_se(hits, trials) / np.sqrt(2))
    left = (deletion.size.sum() - deletion.size).clamp_min(1).double().cpu().numpy()
    spread = jackknife_se(hits / trials, deletion.covered_without(covered) / left, deletion.size.cpu().numpy())
    return Estimate(hits / trials, float(se), largest(float(se), spread))


def coverage_contribution(look: Look) -> Contribution:
    """Return the jackknife's pseudo-values of blocks of generated images; both models use the same blocks."""
    k = look.reference.ks.density
    whole = float(real_balls(look, k).covered(k).double().mean())
    return Contribution(pseudo_values(whole, _coverage_without(look)))


def _coverage_without(look: Look) -> Float64:
    """Return the coverage without each block of generated images, float64 [G]."""
    k = look.reference.ks.density
    balls = real_balls(look, k)
    low, high = balls.spans[k]
    lost = np.bincount(low[low == high].cpu().numpy(), minlength=int(look.fake_block.max()) + 1)
    return np.asarray((int(balls.covered(k).sum()) - lost) / len(look.real))
