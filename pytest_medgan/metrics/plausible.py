"""The range of real images in measures of anatomy, cross-fitted over patients, for `implausible_rate`.

Patients are dealt to two halves. One half gives for each measure the middle and the distance from it to the 2.5 and
97.5 percent points, and the covariance of the shares. How far outside an image lies is its largest distance from the
middle in these units, over all measures, and its Mahalanobis distance in units of the 97.5 percent point. The other
half sets one threshold for the largest of all, so `FALSE_ALARMS` of real images lie outside, all measures together.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pytest_medgan.metrics import inputs
from pytest_medgan.metrics.anatomy import OUTLINED
from pytest_medgan.records import Float64, Int64

FOLDS = 2
FALSE_ALARMS = 0.02  # share of real images outside the range, all measures together
LEAST_IMAGES = 200  # with fewer, the share above is set by fewer than four of them
LEAST_PATIENTS = 8
LEAST_SPREAD = (*(0.01,) * OUTLINED, 0.1, 0.1)  # of a share, and of a logarithm: what grey levels cannot tell apart
SIDES = (*((True, True),) * OUTLINED, (False, True), (False, True))  # low and high side: softer images are left alone


@dataclass(frozen=True, eq=False)
class PlausibleRange:
    """Ranges of two halves of the real images. Positive margins lie outside."""

    middle: Float64  # [FOLDS,P]
    low: Float64  # [FOLDS,P], distance from the middle to the lower end
    high: Float64  # [FOLDS,P], and to the upper end
    whitening: Float64  # [FOLDS,OUTLINED,OUTLINED], from deviations of shares to Mahalanobis distances
    threshold: Float64  # [FOLDS], in units of these distances
    real: Float64  # [N], margin of each real image under the range of the other half
    group: Int64  # [N], the patient's number

    def margins(self, measures: Float64) -> Float64:
        """Return how far outside images with measures [M,P] lie on every side, float64 [FOLDS,M,K].

        Sides stand in the order of `Implausibility`.
        """
        return np.stack([_extremes(self, fold, measures) - self.threshold[fold] for fold in range(FOLDS)])


def fit_range(measures: Float64, groups: object, *, seed: int = 0) -> PlausibleRange | None:
    """Fit the range of real images.

    Args:
        measures: Of real images, [N,P].
        groups: The patient of every image, [N].
        seed: Of the halves.

    Returns:
        The range; None where there are fewer than LEAST_IMAGES images or LEAST_PATIENTS patients.
    """
    group = inputs.group_numbers(groups, len(measures), "groups")
    if len(measures) < LEAST_IMAGES or group.max() + 1 < LEAST_PATIENTS:
        return None
    half = np.random.default_rng(seed).permutation(np.arange(group.max() + 1) % FOLDS)[group]
    halves = [measures[half != fold] for fold in range(FOLDS)]
    points = np.stack([_quantiles(one) for one in halves])
    middle = points[:, 1]
    low, high = (np.maximum(abs(points[:, end] - middle), LEAST_SPREAD) for end in (0, 2))
    whitening = np.stack([_whitening(one[:, :OUTLINED], own) for one, own in zip(halves, middle, strict=True)])
    ready = PlausibleRange(middle, low, high, whitening, np.zeros(FOLDS), np.empty(len(measures)), group)
    real = np.empty(len(measures))
    threshold = np.empty(FOLDS)
    for fold in range(FOLDS):
        largest = _extremes(ready, fold, measures[half == fold]).max(1)
        threshold[fold] = np.quantile(largest, 1 - FALSE_ALARMS)
        real[half == fold] = largest - threshold[fold]
    return PlausibleRange(middle, low, high, whitening, threshold, real, group)


def _quantiles(measures: Float64) -> Float64:
    """Return the lower end, the middle and the upper end of every measure, float64 [3,P]; 0 where all are NaN."""
    known = np.where(np.isnan(measures).all(0), 0.0, measures)
    return np.asarray(np.nanquantile(known, (0.025, 0.5, 0.975), axis=0))


def _whitening(shares: Float64, middle: Float64) -> Float64:
    """Return the matrix after which deviations of shares have a length of 1 at the 97.5 percent point."""
    apart = shares - middle[:OUTLINED]
    ridge = np.diag(np.square(LEAST_SPREAD[:OUTLINED]))
    whitening = np.linalg.inv(np.linalg.cholesky(apart.T @ apart / len(apart) + ridge)).T
    return np.asarray(whitening / max(float(np.quantile(np.linalg.norm(apart @ whitening, axis=1), 0.975)), 1e-6))


def _extremes(ready: PlausibleRange, fold: int, measures: Float64) -> Float64:
    """Return distances from the middle in units of the ends, float64 [M,K]; an unknown measure is not outside."""
    apart = np.nan_to_num(measures - ready.middle[fold])
    sides = np.stack([-apart / ready.low[fold], apart / ready.high[fold]], 2)
    joint = np.linalg.norm(apart[:, :OUTLINED] @ ready.whitening[fold], axis=1)
    return np.column_stack([sides[:, np.array(SIDES)], joint])
