"""Improved precision and recall: how much of one set lies in the other's manifold of k-nearest-neighbour balls.

Kynkaanniemi et al. 2019, "Improved Precision and Recall Metric for Assessing Generative Models"; StyleGAN's
precision_recall.py. Balls hold their surface (`<=`, equation 6); `strict=True` leaves it out, as prdc does. The
neighbour of a row is never the row itself, though it may be its duplicate.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_medgan.metrics import inputs
from pytest_medgan.metrics.balls import Balls
from pytest_medgan.metrics.gram import centre_of, distances_, points, products
from pytest_medgan.metrics.neighbours import neighbours
from pytest_medgan.metrics.uncertainty import both, jackknife_noise, jackknife_se, less, mean_se, rate_se
from pytest_medgan.records import Estimate, Float64

if TYPE_CHECKING:
    from pytest_medgan.metrics.look import Look


def improved_precision_recall(
    *, real: Any, fake: Any, k: int | Sequence[int] = 3, strict: bool = False
) -> tuple[Any, Any]:
    """(precision, recall) of features [N,D] and [M,D]: floats for one k, float64 [K] for a sequence of k.

    k must be smaller than both N and M. MetricInputError otherwise.
    """
    real, fake = inputs.pair(real, fake)
    ks = inputs.neighbour_counts(k, rows=len(real), name="real")
    inputs.neighbour_counts(k, rows=len(fake), name="fake")
    centre = centre_of(real)
    left, right = points(fake, centre), points(real, centre)
    precise = Balls(right, neighbours(right, ks), left, strict=strict)
    recalled = Balls(left, neighbours(left, ks), right, strict=strict)
    for part, block in products(left, right):
        squared = distances_(block, left.norms[part], right.norms)
        precise.see(squared, part, owners_are_rows=False)
        recalled.see(squared, part, owners_are_rows=True)
    precision, recall = member_rates(precise), member_rates(recalled)
    if not isinstance(k, Iterable):
        return float(precision[0]), float(recall[0])
    order = [ks.index(one) for one in k]
    return precision[order], recall[order]


def member_rates(balls: Balls) -> Float64:
    """Share of probes inside at least one ball, float64 [K]."""
    return np.array([float(balls.members(k).double().mean()) for k in balls.near.ks])


def precision_estimate(look: Look) -> Estimate:
    """Precision: a rate for a fixed reference; deleting blocks of patients shows what another reference would do.

    The change that a deletion makes is itself seen on few generated images, whose noise the rate's own error already
    holds; it is taken from the jackknife's spread.
    """
    balls, k = look.real_balls, look.reference.ks.improved
    hits, trials = int(balls.members(k).sum()), len(look.fake)
    deletion, se = balls.deletions[k], rate_se(hits, trials)
    without, sizes = deletion.members() / trials, deletion.size.cpu().numpy()
    spread = jackknife_se(hits / trials, without, sizes)
    noise = (deletion.changed() / trials - (without - hits / trials) ** 2) / trials
    return Estimate(hits / trials, se, both(se, less(spread, jackknife_noise(noise, sizes))))


def recall_estimate(look: Look) -> Estimate:
    """Recall: deleting blocks of generated images, which is conservative; patients redrawn for the total."""
    balls, k = look.fake_balls, look.reference.ks.improved
    members = balls.members(k).double().cpu().numpy()
    hits, trials = int(members.sum()), len(look.real)
    deletion = balls.deletions[k]
    se = jackknife_se(hits / trials, deletion.members() / trials, deletion.size.cpu().numpy())
    se = max(se, rate_se(hits, trials) / np.sqrt(2)) if hits in (0, trials) else se
    redrawn = max(mean_se(members, look.reference.group), rate_se(hits, trials) if hits in (0, trials) else 0.0)
    return Estimate(hits / trials, float(se), both(float(se), redrawn))
