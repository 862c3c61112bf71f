"""Real and generated rows in shared clusters, and the precision and recall of their histograms."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np

from pytest_medgan.metrics.kmeans import cluster
from pytest_medgan.metrics.pairwise import Points
from pytest_medgan.metrics.prd_curve import EPSILON, curve, f_beta, f_pair, slopes
from pytest_medgan.metrics.uncertainty import random_half
from pytest_medgan.records import Float64, Int64

HALVES = 50  # random halves: a standard error is then known to 10 percent


class Clustered:
    """Both sets, cut to one size, in the clusters of every run of k-means."""

    def __init__(self, real: Points, fake: Points, clusters: int, runs: int, seed: int) -> None:
        size = min(len(real), len(fake))
        rng = np.random.default_rng(seed)
        self.rows_real, self.rows_fake = _sample(len(real), size, rng), _sample(len(fake), size, rng)
        sides = ((real.rows, self.rows_real), (fake.rows, self.rows_fake))
        labels = cluster(sides, clusters, runs, seed).numpy()
        self.real, self.fake = labels[:, :size], labels[:, size:]  # int64 [runs,n]
        self.clusters, self.size = clusters, size

    @cached_property
    def curve(self) -> Float64:
        """Mean curve of the runs, float64 [angles,2]."""
        return np.asarray(self._whole.mean(0))

    def best(self, beta: float) -> tuple[int, Float64]:
        """Return the angle where F_beta of the mean curve is largest, and each run's F_beta there, float64 [runs]."""
        curves = self._whole
        precision, recall = curves.mean(0).T
        angle = int(f_beta(precision, recall, beta).argmax())
        return angle, f_beta(curves[:, angle, 0], curves[:, angle, 1], beta)

    def influence(self, beta: float) -> Float64:
        """Return the influence of every generated row on the largest F_beta of the mean curve, float64 [n]."""
        angle, each = self.best(beta)
        slope = slopes()[angle]
        # along the curve precision = slope recall, so F is a constant times precision
        gain = each.mean() / max(self.curve[angle, 0], EPSILON)
        found = np.zeros(self.size)
        for real, fake in zip(self.real, self.fake, strict=True):
            scaled, other = self._histogram(real) * slope, self._histogram(fake)
            found += ((scaled > other) + 0.5 * (scaled == other))[fake]
        return np.asarray(gain * found / len(self.real))

    def spread_of_halves(self, group: Int64, fake_group: Int64 | None = None) -> tuple[float, float]:
        """Return the standard errors of precision and recall in these clusters if both sets are drawn again.

        They are the spreads over random halves of both sets (Shao and Wu 1989), in which the real rows of a `group` [n]
        stay together, and the generated ones of a `fake_group` [n]. The influence function would overstate them where
        both histograms are nearly equal, since it follows the histogram that is smaller by chance.

        nan if there is only one group.
        """
        real = np.unique(group, return_inverse=True)[1]
        fake = np.arange(self.size) if fake_group is None else np.unique(fake_group, return_inverse=True)[1]
        if not real.any() or not fake.any():
            return float("nan"), float("nan")
        rng = np.random.default_rng(0)
        return self._spread([(random_half(real, rng), random_half(fake, rng)) for _ in range(HALVES)])

    def spread_by_group(self, fake_group: Int64) -> tuple[float, float]:
        """Return the standard errors of precision and recall in these clusters if new groups of rows are generated.

        They are the spreads over random halves of the generated rows, in which those of a `fake_group` [n] stay
        together. New groups reach clusters that the others did not, which the influence of a row cannot show: F is
        not smooth where a cluster is empty, and the spread over halves is right there too (Shao and Wu 1989).

        nan if there is only one group.
        """
        fake = np.unique(fake_group, return_inverse=True)[1]
        if not fake.any():
            return float("nan"), float("nan")
        rng = np.random.default_rng(0)
        return self._spread([(slice(None), random_half(fake, rng)) for _ in range(HALVES)])

    def _spread(self, parts: Sequence[tuple[Any, Any]]) -> tuple[float, float]:
        """Return the standard deviations of precision and recall over some rows of both sets, (real, fake)."""
        curves = (self._curves(real, fake).mean(0) for real, fake in parts)
        precision, recall = np.std([f_pair(mean) for mean in curves], axis=0, ddof=1)
        return float(precision), float(recall)

    @cached_property
    def _whole(self) -> Float64:
        """Curve of every run, float64 [runs,angles,2]."""
        return self._curves()

    def _curves(self, real: Any = slice(None), fake: Any = slice(None)) -> Float64:
        """Return the curve of every run, float64 [runs,angles,2], of all rows or of some rows of either set."""
        pairs = zip(self.real[:, real], self.fake[:, fake], strict=True)
        return np.stack([curve(real=self._histogram(r), fake=self._histogram(f)) for r, f in pairs])

    def _histogram(self, labels: Int64) -> Float64:
        """Return the share of rows in every cluster, float64 [clusters]."""
        return np.bincount(labels, minlength=self.clusters) / len(labels)


def _sample(rows: int, size: int, rng: np.random.Generator) -> Int64:
    """Return `size` of the rows in ascending order, chosen at random where that is not all."""
    return np.arange(rows) if rows == size else np.sort(rng.permutation(rows)[:size])
