"""Density and coverage: how many reference balls hold a generated image, and how many balls hold any.

Naeem et al. 2020, "Reliable Fidelity and Diversity Metrics for Generative Models"; prdc. Balls hold their surface
(`<=`), as for improved precision; prdc's strict `<` is `strict=True`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import sqrt
from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_medgan.metrics import inputs
from pytest_medgan.metrics.balls import Balls
from pytest_medgan.metrics.gram import centre_of, distances_, points, products
from pytest_medgan.metrics.neighbours import neighbours
from pytest_medgan.metrics.uncertainty import jackknife_se, mean_se, rate_se
from pytest_medgan.records import Estimate, Float64

if TYPE_CHECKING:
    from pytest_medgan.metrics.look import Look


def density_coverage(*, real: Any, fake: Any, k: int | Sequence[int] = 5, strict: bool = False) -> tuple[Any, Any]:
    """(density, coverage) of features [N,D] and [M,D]: floats for one k, float64 [K] for a sequence of k.

    k must be smaller than N; a single generated row is enough. MetricInputError otherwise.
    """
    real, fake = inputs.pair(real, fake)
    ks = inputs.neighbour_counts(k, rows=len(real), name="real")
    centre = centre_of(real)
    left, right = points(fake, centre), points(real, centre)
    balls = Balls(right, neighbours(right, ks), left, strict=strict)
    for part, block in products(left, right):
        balls.see(distances_(block, left.norms[part], right.norms), part, owners_are_rows=False)
    density, coverage = densities(balls), coverages(balls)
    if not isinstance(k, Iterable):
        return float(density[0]), float(coverage[0])
    order = [ks.index(one) for one in k]
    return density[order], coverage[order]


def densities(balls: Balls) -> Float64:
    """Balls a probe lies in, over k: float64 [K]."""
    entered = balls.inside[:, :-1].sum(0).cumsum(0).double().cpu().numpy()
    return np.asarray(entered / np.array(balls.near.ks) / len(balls.probes))


def coverages(balls: Balls) -> Float64:
    """Share of balls that hold a probe, float64 [K]."""
    return np.array([float(balls.covered(k).double().mean()) for k in balls.near.ks])


def density_estimate(look: Look) -> Estimate:
    """Density: a mean over generated images; deleting blocks of patients shows what another reference would do."""
    balls, k = look.real_balls, look.reference.ks.density
    counts = balls.counts(k).double().cpu().numpy() / k
    pairs, deletion = int(balls.counts(k).sum()), balls.deletions[k]
    value = pairs / k / len(counts)
    se = mean_se(counts)
    if not counts.any():  # none seen is not certain to be none
        se = rate_se(0, len(counts))
    without = deletion.pairs(pairs) / k / len(counts)
    spread = jackknife_se(value, without, deletion.size.cpu().numpy())
    # both errors hold the noise of single (image, ball) pairs, a variance of value / (k M), so it goes once
    total = sqrt(max(se**2 + spread**2 - value / k / len(counts), se**2, spread**2))
    return Estimate(value, se, total)


def coverage_estimate(look: Look) -> Estimate:
    """Coverage: deleting blocks of generated images, which is conservative; of patients for the total.

    Either jackknife holds what the two sets do to one another, so the larger stands for the total.
    """
    balls, k = look.real_balls, look.reference.ks.density
    covered, deletion = balls.covered(k), balls.deletions[k]
    hits, trials = int(covered.sum()), len(look.real)
    low, high = balls.spans[k]
    sizes = np.bincount(look.fake_block)
    alone = np.bincount(low[low == high].cpu().numpy(), minlength=len(sizes))
    se = jackknife_se(hits / trials, (hits - alone) / trials, sizes)
    if hits in (0, trials) or se == 0:
        se = max(se, rate_se(hits, trials) / np.sqrt(2))
    left = (deletion.size.sum() - deletion.size).double().cpu().numpy()
    spread = jackknife_se(hits / trials, deletion.occupied(covered) / left, deletion.size.cpu().numpy())
    return Estimate(hits / trials, float(se), max(float(se), spread))
