"""Inception Score: exp of the mean divergence of each image's class probabilities from their average.

Salimans et al. 2016, "Improved Techniques for Training GANs"; improved-gan's inception_score, torch-fidelity. The mean
over `splits` parts of the images, which are put in a random order first (torch-fidelity does so with a seed of
its own). With C classes it lies in [1, C]; the paper this project follows has two.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_medgan.metrics import inputs
from pytest_medgan.metrics.uncertainty import mean_se
from pytest_medgan.records import Estimate, Float64

if TYPE_CHECKING:
    from pytest_medgan.metrics.look import Look

SPLITS = 10


def inception_score(*, probabilities: Any, splits: int = SPLITS, seed: int = 0) -> float:
    """Score of class probabilities [N,C] whose rows sum to 1; fewer images than splits make one split each.

    MetricInputError for shapes, negative values or rows that do not sum to 1.
    """
    given = inputs.probabilities(probabilities)
    splits, seed = inputs.whole(splits, "splits"), inputs.whole(seed, "seed", least=0)
    return float(np.mean([score for score, _ in _parts(given, splits, seed)]))


def _parts(given: Float64, splits: int, seed: int) -> list[tuple[float, Float64]]:
    """(score, divergence of every image from the part's average) of every part."""
    order = np.random.default_rng(seed).permutation(len(given))
    parts = []
    for index in np.array_split(order, min(splits, len(given))):
        divergence = _divergence(given[index], given[index].mean(0))
        parts.append((float(np.exp(divergence.mean())), divergence))
    return parts


def _divergence(rows: Float64, average: Float64) -> Float64:
    """Kullback-Leibler divergence of every row from the average; 0 log 0 is 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(rows > 0, rows * np.log(rows / average), 0.0)
    return np.asarray(terms.sum(1))


def inception_estimate(look: Look) -> Estimate:
    """The score; its influence function is the score times the divergence. No reference takes part."""
    if look.probabilities is None:
        raise LookupError("no probabilities were given")
    se = mean_se(influence(look.probabilities, look.seed))
    return Estimate(inception_score(probabilities=look.probabilities, seed=look.seed), se, se)


def influence(probabilities: Float64, seed: int) -> Float64:
    """Of every image on the score, float64 [N], in the order in which the parts take them."""
    parts = _parts(probabilities, SPLITS, seed)
    shares = np.concatenate([score * (divergence - divergence.mean()) for score, divergence in parts])
    return np.asarray(shares * (len(shares) / max(1, len(shares) - len(parts))) ** 0.5)  # a degree of freedom a part
