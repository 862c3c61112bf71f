"""Precision and recall of distributions (PRD): histograms over shared clusters, compared at every trade-off.

Sajjadi et al. 2018, "Assessing Generative Models via Precision and Recall"; precision-recall-distributions. Both sets
are clustered together; the histograms give a curve of 1,001 points a run, averaged over the runs; precision is the
largest F_1/8 on it and recall the largest F_8. The original leaves its k-means unseeded; ours is seeded. The two sets
must be of one size: of the larger a seeded sample is taken.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_medgan.errors import MetricInputError
from pytest_medgan.metrics import inputs
from pytest_medgan.metrics.gram import Points, centre_of, points
from pytest_medgan.metrics.kmeans import cluster
from pytest_medgan.metrics.prd_curve import ANGLES, BETA, EPSILON, curve, f_beta, f_pair
from pytest_medgan.metrics.uncertainty import both, mean_se, random_half
from pytest_medgan.records import Estimate, Float64, Int64

if TYPE_CHECKING:
    from pytest_medgan.metrics.look import Look

CLUSTERS, RUNS = 20, 10
HALVES = 50  # random halves: a standard error is then known to 10 percent


def precision_recall_distribution(
    *, real: Any, fake: Any, clusters: int = CLUSTERS, beta: float = BETA, runs: int = RUNS, seed: int = 0
) -> tuple[float, float]:
    """(precision, recall) of features [N,D] and [M,D], N, M at least half of `clusters`. MetricInputError otherwise."""
    real, fake = inputs.pair(real, fake, least=2)
    clusters, runs = inputs.whole(clusters, "clusters"), inputs.whole(runs, "runs")
    beta, seed = inputs.number(beta, "beta", above=0), inputs.whole(seed, "seed", least=0)
    if min(len(real), len(fake)) * 2 < clusters:
        raise MetricInputError(
            f"real {inputs.shape_of(real)} and fake {inputs.shape_of(fake)} are too few for clusters={clusters}; "
            "give at most twice the smaller set"
        )
    centre = centre_of(real)
    sample = Clustered(points(real, centre), points(fake, centre), clusters, runs, seed)
    return f_pair(sample.curve(), beta)


class Clustered:
    """Both sets, cut to one size, in the clusters of every run."""

    def __init__(self, real: Points, fake: Points, clusters: int, runs: int, seed: int) -> None:
        size = min(len(real), len(fake))
        rng = np.random.default_rng(seed)
        self.rows_real, self.rows_fake = _sample(len(real), size, rng), _sample(len(fake), size, rng)
        sides = ((real.rows, self.rows_real), (fake.rows, self.rows_fake))
        labels = cluster(sides, clusters, runs, seed).numpy()
        self.real, self.fake = labels[:, :size], labels[:, size:]  # int64 [runs,n]
        self.clusters, self.size = clusters, size

    def _histogram(self, labels: Int64) -> Float64:
        return np.bincount(labels, minlength=self.clusters) / len(labels)

    def curves(self, real: Any = slice(None), fake: Any = slice(None)) -> Float64:
        """float64 [runs,angles,2], of all rows or of some of either set"""
        pairs = zip(self.real[:, real], self.fake[:, fake], strict=True)
        return np.stack([curve(real=self._histogram(r), fake=self._histogram(f)) for r, f in pairs])

    def curve(self) -> Float64:
        """float64 [angles,2], the mean over the runs"""
        return np.asarray(self.curves().mean(0))

    def best(self, beta: float) -> tuple[int, Float64]:
        """The angle where F_beta of the mean curve is largest, and each run's F_beta there [runs], whose mean it is."""
        curves = self.curves()
        precision, recall = curves.mean(0).T
        angle = int(f_beta(precision, recall, beta).argmax())
        return angle, f_beta(curves[:, angle, 0], curves[:, angle, 1], beta)

    def influence(self, beta: float) -> Float64:
        """Influence of every generated row [n] on the largest F_beta of the mean curve."""
        angle, each = self.best(beta)
        slope = np.tan(np.linspace(EPSILON, np.pi / 2 - EPSILON, ANGLES))[angle]
        # along the curve precision = slope recall, so F is a constant times precision
        gain = each.mean() / max(self.curve()[angle, 0], EPSILON)
        found = np.zeros(self.size)
        for real, fake in zip(self.real, self.fake, strict=True):
            scaled, other = self._histogram(real) * slope, self._histogram(fake)
            found += ((scaled > other) + 0.5 * (scaled == other))[fake]
        return np.asarray(gain * found / len(self.real))

    def delete_half(self, beta: float, group: Int64) -> float:
        """Standard error of the largest F_beta in these clusters where both sets are drawn anew, a `group` [n] of the
        real set together: the spread over random halves (Shao and Wu 1989). Influence overstates it where the two
        histograms are nearly equal, since it follows the one that noise made the lesser."""
        if group.min() == group.max():
            return float("nan")
        rng, rows = np.random.default_rng(0), np.arange(self.size)
        halves = (self.curves(random_half(group, rng), random_half(rows, rng)).mean(0) for _ in range(HALVES))
        return float(np.std([f_pair(half)[beta > 1] for half in halves], ddof=1))


def _sample(rows: int, size: int, rng: np.random.Generator) -> Int64:
    return np.arange(rows) if rows == size else np.sort(rng.permutation(rows)[:size])


def _estimate(look: Look, beta: float) -> Estimate:
    clustered = look.clustered
    value, (_, each) = f_pair(clustered.curve(), BETA)[beta > 1], clustered.best(beta)
    # another set would be clustered another way; each run's own largest F would vary less than its share of the mean
    runs = float(np.std(each, ddof=1) / np.sqrt(len(each)))
    se = both(mean_se(clustered.influence(beta)), runs)
    total = both(clustered.delete_half(beta, look.reference.group[clustered.rows_real]), runs)
    return Estimate(value, se, max(total, se))


def prd_precision_estimate(look: Look) -> Estimate:
    """Precision, the largest F_1/8."""
    return _estimate(look, 1 / BETA)


def prd_recall_estimate(look: Look) -> Estimate:
    """Recall, the largest F_8."""
    return _estimate(look, BETA)
