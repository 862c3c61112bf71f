"""Precision and recall of distributions (PRD): histograms over shared clusters, compared at every trade-off.

Paper: Sajjadi et al. 2018, "Assessing Generative Models via Precision and Recall". Reference code:
precision-recall-distributions, prd_score.py.

Conventions: both sets are clustered together. The histograms of a run give a curve of 1,001 points, and the curves of
ten runs are averaged. Precision is the largest F_1/8 on the mean curve, recall the largest F_8. The reference code
leaves its k-means unseeded; it is seeded here. Both sets must have the same size, so a seeded sample is taken of the
larger one.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pytest_medgan.errors import MetricInputError
from pytest_medgan.metrics import inputs
from pytest_medgan.metrics.causes import NotMeasuredError
from pytest_medgan.metrics.look import Look
from pytest_medgan.metrics.pairwise import mean_of, points
from pytest_medgan.metrics.prd_clusters import Clustered
from pytest_medgan.metrics.prd_curve import BETA, f_pair
from pytest_medgan.metrics.uncertainty import combine_se, largest, mean_se
from pytest_medgan.records import Cause, Contribution, Estimate, Int64

CLUSTERS, RUNS = 20, 10


def precision_recall_distribution(
    *, real: Any, fake: Any, clusters: int = CLUSTERS, beta: float = BETA, runs: int = RUNS, seed: int = 0
) -> tuple[float, float]:
    """Return precision and recall of two distributions of features.

    Args:
        real: Features [N,D], array or tensor of numbers.
        fake: Generated features [M,D].
        clusters: Clusters of both sets together, at most twice the rows of the smaller set.
        beta: Weight of recall against precision, above 0.
        runs: Runs of k-means whose curves are averaged.
        seed: Seed of k-means and of the sample taken from the larger set, at least 0.

    Returns:
        (precision, recall), both in [0,1].

    Raises:
        MetricInputError: An argument has another shape or value, or there are too few rows.

    References:
        Sajjadi et al. 2018, "Assessing Generative Models via Precision and Recall"; precision-recall-distributions.

    Examples:
        >>> import numpy as np
        >>> one_mode, two_modes = np.zeros((40, 2)), np.repeat([[0.0, 0.0], [9.0, 9.0]], 20, axis=0)
        >>> precision, recall = precision_recall_distribution(real=two_modes, fake=one_mode, clusters=2)
        >>> round(precision, 2), round(recall, 2)
        (0.98, 0.5)
    """
    real, fake = inputs.pair(real, fake, least=2)
    clusters, runs = inputs.whole(clusters, "clusters"), inputs.whole(runs, "runs")
    beta, seed = inputs.number(beta, "beta", above=0), inputs.whole(seed, "seed", least=0)
    if min(len(real), len(fake)) * 2 < clusters:
        raise MetricInputError(
            f"real {inputs.shape_of(real)} and fake {inputs.shape_of(fake)} have too few rows for clusters={clusters}; "
            "give at most twice the number of rows of the smaller set"
        )
    centre = mean_of(real)
    sample = Clustered(points(real, centre), points(fake, centre), clusters, runs, seed)
    return f_pair(sample.curve, beta)


def prd_precision_estimate(look: Look) -> Estimate:
    """Return precision, the largest F_1/8, with its errors."""
    return _estimate(look, 1 / BETA)


def prd_recall_estimate(look: Look) -> Estimate:
    """Return recall, the largest F_8, with its errors."""
    return _estimate(look, BETA)


def prd_precision_contribution(look: Look) -> Contribution:
    """Return the influence of every generated image on precision."""
    return _contribution(look, 1 / BETA)


def prd_recall_contribution(look: Look) -> Contribution:
    """Return the influence of every generated image on recall."""
    return _contribution(look, BETA)


def clustered(look: Look) -> Clustered:
    """Return both sets of a look, assigned to the clusters of the PRD."""
    if 2 * len(look.fake) < CLUSTERS:
        raise NotMeasuredError(Cause.TOO_FEW_IMAGES)
    if 2 * len(look.real) < CLUSTERS:
        raise NotMeasuredError(Cause.TOO_FEW_REAL_IMAGES)
    return Clustered(look.real, look.fake, CLUSTERS, RUNS, look.seed)


def _estimate(look: Look, beta: float) -> Estimate:
    """Return the largest F_beta with its errors."""
    sample = look.keep(clustered)
    value, (_, each) = f_pair(sample.curve, BETA)[beta > 1], sample.best(beta)
    # k-means adds an error, since another set gives other clusters; every run is read at the best angle of the mean
    # curve, because the largest F of each run would vary too little
    runs = float(np.std(each, ddof=1) / np.sqrt(len(each)))
    drawn = look.keep(_spreads_by_group)
    se = combine_se(mean_se(sample.influence(beta)) if drawn is None else drawn[beta > 1], runs)
    total = combine_se(look.keep(_spreads)[beta > 1], runs)
    return Estimate(value, se, largest(total, se))


def _spreads_by_group(look: Look) -> tuple[float, float] | None:
    """Return the standard errors of precision and recall over new groups of images; None where images are single."""
    group = _fake_group(look)
    return None if group is None else look.keep(clustered).spread_by_group(group)


def _spreads(look: Look) -> tuple[float, float]:
    """Return the standard errors of precision and recall over new draws of both sets."""
    sample = look.keep(clustered)
    return sample.spread_of_halves(look.reference.group[sample.rows_real], _fake_group(look))


def _fake_group(look: Look) -> Int64 | None:
    """Return the group of every generated row in the clusters; None where no two of them share one."""
    if look.fake_group is None:
        return None
    group = look.fake_group[look.keep(clustered).rows_fake]
    return group if len(np.unique(group)) < len(group) else None


def _contribution(look: Look, beta: float) -> Contribution:
    """Return the influence of every generated image, and the value of each run of k-means."""
    sample = look.keep(clustered)
    return Contribution(sample.influence(beta), sample.best(beta)[1])
