"""Inception score: exp of the mean divergence of each image's class probabilities from their average.

Paper: Salimans et al. 2016, "Improved Techniques for Training GANs". Reference code: improved-gan's inception_score,
torch-fidelity.

Conventions: the mean over `splits` parts of the images, which are shuffled first (torch-fidelity does so with a seed
of its own). With C classes the score lies in [1, C].
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import rel_entr

from pytest_medgan.metrics import inputs
from pytest_medgan.metrics.causes import need
from pytest_medgan.metrics.look import Look
from pytest_medgan.metrics.uncertainty import mean_se
from pytest_medgan.records import Cause, Contribution, Estimate, Float64, Int64

SPLITS = 10


def inception_score(*, probabilities: Any, splits: int = SPLITS, seed: int = 0) -> float:
    """Return the inception score of generated images.

    Args:
        probabilities: Class probabilities [M,C], array or tensor, rows sum to 1 within 1e-3.
        splits: Parts whose scores are averaged; fewer images than splits make one part each.
        seed: Seed of the shuffle, at least 0.

    Returns:
        The score, in [1, C].

    Raises:
        MetricInputError: An argument has another shape or value.

    References:
        Salimans et al. 2016, "Improved Techniques for Training GANs"; improved-gan; torch-fidelity.

    Examples:
        >>> round(inception_score(probabilities=[[1.0, 0.0], [0.0, 1.0]], splits=1), 6)
        2.0
    """
    given = inputs.probabilities(probabilities)
    splits, seed = inputs.whole(splits, "splits"), inputs.whole(seed, "seed", least=0)
    return float(np.mean([score for _, score, _ in _parts(given, splits, seed)]))


def inception_estimate(look: Look) -> Estimate:
    """Return the score; no reference is used, so `se` and `se_total` are equal."""
    probabilities = need(look.probabilities, Cause.NO_PROBABILITIES)
    se = mean_se(influence(probabilities, look.seed), look.fake_group)
    return Estimate(inception_score(probabilities=probabilities, seed=look.seed), se, se)


def inception_contribution(look: Look) -> Contribution:
    """Return the influence of every generated image."""
    return Contribution(influence(need(look.probabilities, Cause.NO_PROBABILITIES), look.seed))


def influence(probabilities: Float64, seed: int, splits: int = SPLITS) -> Float64:
    """Return the influence of every image on the score, float64 [M]: its part's score times its divergence.

    One degree of freedom is lost to each part's average.
    """
    parts = _parts(probabilities, splits, seed)
    found = np.empty(len(probabilities))
    for rows, score, divergence in parts:
        found[rows] = score * (divergence - divergence.mean())
    return np.asarray(found * (len(found) / max(1, len(found) - len(parts))) ** 0.5)


def _parts(given: Float64, splits: int, seed: int) -> list[tuple[Int64, float, Float64]]:
    """Return rows, score and the divergence of every row from the part's average, for every part."""
    order = np.random.default_rng(seed).permutation(len(given))
    parts = []
    for rows in np.array_split(order, min(splits, len(given))):
        divergence = rel_entr(given[rows], given[rows].mean(0)).sum(1)  # 0 log 0 is 0
        parts.append((rows, float(np.exp(divergence.mean())), divergence))
    return parts
