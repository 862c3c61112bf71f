"""Precision and recall of distributions (PRD): histograms over shared clusters, compared at every trade-off.

Sajjadi et al. 2018, "Assessing Generative Models via Precision and Recall"; precision-recall-distributions. Both sets
are clustered together; the histograms give a curve of 1,001 points a run, averaged over the runs; precision is the
largest F_1/8 on it and recall the largest F_8. The original leaves its k-means unseeded; ours is seeded. The two sets
must be of one size: of the larger a seeded sample is taken.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from pytest_medgan.errors import MetricInputError
from pytest_medgan.metrics import inputs
from pytest_medgan.metrics.gram import Points, centre_of, points
from pytest_medgan.metrics.kmeans import cluster
from pytest_medgan.metrics.prd_curve import ANGLES, BETA, EPSILON, curve, f_beta, f_pair
from pytest_medgan.metrics.uncertainty import both, mean_se
from pytest_medgan.records import Estimate, Float64, Int64

if TYPE_CHECKING:
    from pytest_medgan.metrics.look import Look

CLUSTERS, RUNS = 20, 10


def precision_recall_distribution(
    *, real: Any, fake: Any, clusters: int = CLUSTERS, beta: float = BETA, runs: int = RUNS, seed: int = 0
) -> tuple[float, float]:
    """(precision, recall) of features [N,D] and [M,D], N, M at least half of `clusters`. MetricInputError otherwise."""
    real, fake = inputs.pair(real, fake, least=2)
    if min(len(real), len(fake)) * 2 < clusters or clusters < 1 or runs < 1 or not beta > 0:
        raise MetricInputError(
            f"real {inputs.shape_of(real)} and fake {inputs.shape_of(fake)} are too few for clusters={clusters}, "
            f"runs={runs}, beta={beta}; each must be positive, and clusters at most twice the smaller set"
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
        union = real.rows.new_empty(2 * size, real.rows.shape[1])  # filled in place: at 50,000 rows a copy is 0.4 GB
        for rows, chosen, part in (
            (real.rows, self.rows_real, union[:size]),
            (fake.rows, self.rows_fake, union[size:]),
        ):
            torch.index_select(rows, 0, torch.as_tensor(chosen, device=rows.device), out=part)
        labels = cluster(union, clusters, runs, seed).cpu().numpy()
        self.real, self.fake = labels[:, :size], labels[:, size:]  # int64 [runs,n]
        self.clusters, self.size = clusters, size

    def _histogram(self, labels: Int64) -> Float64:
        return np.bincount(labels, minlength=self.clusters) / self.size

    def curves(self) -> Float64:
        """float64 [runs,angles,2]"""
        pairs = zip(self.real, self.fake, strict=True)
        return np.stack([curve(real=self._histogram(r), fake=self._histogram(f)) for r, f in pairs])

    def curve(self) -> Float64:
        """float64 [angles,2], the mean over the runs"""
        return np.asarray(self.curves().mean(0))

    def influence(self, beta: float) -> tuple[Float64, Float64]:
        """Influence of every real and every generated row [n] on the largest F_beta of the mean curve."""
        slope = np.tan(np.linspace(EPSILON, np.pi / 2 - EPSILON, ANGLES))
        precision, recall = self.curve().T
        best = int(f_beta(precision, recall, beta).argmax())
        # along the curve precision = slope recall, so F is a constant times precision
        gain = f_beta(precision[best], recall[best], beta) / max(precision[best], EPSILON)
        of_real, of_fake = np.zeros(self.size), np.zeros(self.size)
        for real, fake in zip(self.real, self.fake, strict=True):
            scaled, other = self._histogram(real) * slope[best], self._histogram(fake)
            tied = 0.5 * (scaled == other)
            of_real += slope[best] * ((scaled < other) + tied)[real]
            of_fake += ((scaled > other) + tied)[fake]
        return gain * of_real / len(self.real), gain * of_fake / len(self.real)


def _sample(rows: int, size: int, rng: np.random.Generator) -> Int64:
    return np.arange(rows) if rows == size else np.sort(rng.permutation(rows)[:size])


def _estimate(look: Look, beta: float) -> Estimate:
    clustered = look.clustered
    of_real, of_fake = clustered.influence(beta)
    each = [f_pair(one, BETA)[beta > 1] for one in clustered.curves()]
    runs = float(np.std(each, ddof=1) / np.sqrt(len(each)))  # another set would be clustered another way
    value = f_pair(clustered.curve(), BETA)[beta > 1]
    se = both(mean_se(of_fake), runs)
    return Estimate(value, se, both(se, mean_se(of_real, look.reference.group[clustered.rows_real])))


def prd_precision_estimate(look: Look) -> Estimate:
    """Precision, the largest F_1/8."""
    return _estimate(look, 1 / BETA)


def prd_recall_estimate(look: Look) -> Estimate:
    """Recall, the largest F_8."""
    return _estimate(look, BETA)
