"""Improved precision and recall: the share of one set inside the other set's k-nearest-neighbour balls.

Paper: Kynkaanniemi et al. 2019, "Improved Precision and Recall Metric for Assessing Generative Models". Reference
code: StyleGAN's precision_recall.py.

Conventions: balls include their surface (`<=`, equation 6); `strict=True` excludes it, as prdc does. A row is
never its own neighbour, but a duplicate of the row may be.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from pytest_medgan.metrics import inputs
from pytest_medgan.metrics.balls import Balls
from pytest_medgan.metrics.look import Look
from pytest_medgan.metrics.neighbours import find_neighbours
from pytest_medgan.metrics.pairwise import mean_of, points, products, to_distances_
from pytest_medgan.metrics.passes import fake_balls, real_balls
from pytest_medgan.metrics.uncertainty import (
    combine_se,
    hits_se,
    jackknife_noise,
    jackknife_se,
    mean_se,
    pseudo_values,
    rate_se,
    remove_variance,
)
from pytest_medgan.records import Contribution, Estimate, Float64


def improved_precision_recall(
    *, real: Any, fake: Any, k: int | Sequence[int] = 3, strict: bool = False
) -> tuple[Any, Any]:
    """Return improved precision and recall.

    Args:
        real: Features [N,D], array or tensor of numbers.
        fake: Generated features [M,D].
        k: The radius of a ball is the distance to the k-th neighbour; smaller than N and M. A sequence is measured in
            one pass.
        strict: Exclude the surface of the balls, as prdc does.

    Returns:
        (precision, recall): floats for one k, float64 [K] in the order given for a sequence of k.

    Raises:
        MetricInputError: An argument has another shape or value, or there are too few rows for k.

    References:
        Kynkaanniemi et al. 2019, "Improved Precision and Recall Metric for Assessing Generative Models"; StyleGAN.

    Examples:
        >>> improved_precision_recall(real=[[0.0], [1.0], [2.0]], fake=[[0.5], [1.5], [9.0]], k=1)
        (0.6666666666666666, 1.0)
    """
    real, fake = inputs.pair(real, fake)
    ks = inputs.neighbour_counts(k, rows=len(real), name="real")
    inputs.neighbour_counts(k, rows=len(fake), name="fake")
    centre = mean_of(real)
    left, right = points(fake, centre), points(real, centre)
    precise = Balls(right, find_neighbours(right, ks), left, strict=strict)
    recalled = Balls(left, find_neighbours(left, ks), right, strict=strict)
    for part, block in products(left, right):
        squared = to_distances_(block, left.norms[part], right.norms)
        precise.add_block(squared, part, owners_are_rows=False)
        recalled.add_block(squared, part, owners_are_rows=True)
    precision, recall = member_rates(precise), member_rates(recalled)
    if not isinstance(k, Iterable):
        return float(precision[0]), float(recall[0])
    order = [ks.index(each) for each in k]
    return precision[order], recall[order]


def member_rates(balls: Balls) -> Float64:
    """Return the share of probes inside at least one ball, float64 [K]."""
    return np.array([float(balls.members(k).double().mean()) for k in balls.near.ks])


def precision_estimate(look: Look) -> Estimate:
    """Return improved precision with its standard errors.

    `se` is the error of a rate, with the reference fixed. `se_total` adds the error of the reference, by a jackknife
    over blocks of patients. The jackknife evaluates each deletion on the same generated images, so its spread contains
    noise that `se` already covers; this noise is subtracted.
    """
    k = look.reference.ks.improved
    balls = real_balls(look, k)
    members, deletion = balls.members(k).double().cpu().numpy(), balls.deletions[k]
    hits, trials, se = int(members.sum()), len(look.fake), hits_se(members, look.fake_group)
    without, sizes = deletion.members_without() / trials, deletion.size.cpu().numpy()
    spread = jackknife_se(hits / trials, without, sizes)
    noise = (deletion.changed_members() / trials - (without - hits / trials) ** 2) / trials
    return Estimate(hits / trials, se, combine_se(se, remove_variance(spread, jackknife_noise(noise, sizes))))


def precision_contribution(look: Look) -> Contribution:
    """Return for each generated image 1 if it lies in a ball of a real image, otherwise 0."""
    k = look.reference.ks.improved
    return Contribution(real_balls(look, k).members(k).double().cpu().numpy())


def recall_estimate(look: Look) -> Estimate:
    """Return improved recall with its standard errors.

    `se` comes from a jackknife over blocks of generated images and overstates the error. `se_total` adds the error of
    drawing other patients for the reference.
    """
    k = look.reference.ks.improved
    balls = fake_balls(look, k)
    members = balls.members(k).double().cpu().numpy()
    hits, trials = int(members.sum()), len(look.real)
    deletion = balls.deletions[k]
    se = jackknife_se(hits / trials, deletion.members_without() / trials, deletion.size.cpu().numpy())
    se = max(se, rate_se(hits, trials) / np.sqrt(2)) if hits in (0, trials) else se
    redrawn = max(mean_se(members, look.reference.group), rate_se(hits, trials) if hits in (0, trials) else 0.0)
    return Estimate(hits / trials, float(se), combine_se(float(se), redrawn))


def recall_contribution(look: Look) -> Contribution:
    """Return the jackknife's pseudo-values of blocks of generated images; both models use the same blocks."""
    k = look.reference.ks.improved
    balls = fake_balls(look, k)
    whole = float(balls.members(k).double().mean())
    return Contribution(pseudo_values(whole, balls.deletions[k].members_without() / len(look.real)))
