"""The range of real images in measures of anatomy, cross-fitted over patients, for `implausible_rate`.

Patients are dealt to two halves. One half gives for each measure the middle and the distance from it to the 5 and 95
percent points, and the covariance of the shares. An image's distance on each side is measured in units of that one, and
its Mahalanobis distance in units of the 95 percent point. What lies beyond 1 is divided by the mean excess of the real
images beyond 1, so that sides with long tails and with short ones can be compared; how far outside an image lies is the
largest of these. Each real image is measured by the half that it is not in. One threshold for the largest of all is
then set such that, each patient judged by the others, `FALSE_ALARMS` of real images lie outside (see `false_alarms`);
of fewer than 50 patients, one in P for P patients: less cannot be promised where the images of a patient are alike.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from pytest_medgan.metrics import inputs
from pytest_medgan.metrics.anatomy import OUTLINED
from pytest_medgan.metrics.false_alarms import alarm_threshold
from pytest_medgan.records import Float64, Int64

FOLDS = 2
FALSE_ALARMS = 0.02  # share of the images of new patients outside the range, all measures together
LEAST_IMAGES = 200  # with fewer, the share above is set by fewer than four of them
LEAST_PATIENTS = 8
LEAST_SPREAD = (*(0.01,) * OUTLINED, 0.1, 0.1)  # of a share, and of a logarithm: what grey levels cannot tell apart
TAIL = 0.05  # share of real images beyond the distance that is the unit, on each side
PRIOR = 5  # images of average excess that are added to those beyond, since a small reference has few
LEAST_EXCESS = 0.02  # in units of the distance
SIDES = (*((True, True),) * OUTLINED, (False, True), (False, True))  # low and high side: softer images are left alone


@dataclass(frozen=True, eq=False)
class PlausibleRange:
    """Ranges of two halves of the real images. Positive margins lie outside."""

    middle: Float64  # [FOLDS,P]
    low: Float64  # [FOLDS,P], distance from the middle to the lower end
    high: Float64  # [FOLDS,P], and to the upper end
    whitening: Float64  # [FOLDS,OUTLINED,OUTLINED], from deviations of shares to Mahalanobis distances
    excess: Float64  # [FOLDS,K], mean of what real images beyond a distance of 1 lie beyond it
    threshold: float  # in units of the excess, at least 0
    real: Float64  # [N], margin of each real image under the range of the other half
    group: Int64  # [N], the patient's number

    def margins(self, measures: Float64) -> Float64:
        """Return how far outside images with measures [M,P] lie on every side, float64 [FOLDS,M,K].

        Sides stand in the order of `Implausibility`.
        """
        return np.stack([_extremes(self, fold, measures) - self.threshold for fold in range(FOLDS)])


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
    size = FOLDS, np.count_nonzero(SIDES) + 1
    ready = PlausibleRange(middle, low, high, whitening, np.ones(size), 0.0, np.empty(len(measures)), group)
    ready = replace(ready, excess=np.stack([_excess(_distances(ready, fold, halves[fold])) for fold in range(FOLDS)]))
    largest = np.empty(len(measures))
    for fold in range(FOLDS):
        largest[half == fold] = _extremes(ready, fold, measures[half == fold]).max(1)
    threshold = max(alarm_threshold(largest, group, max(FALSE_ALARMS, 1 / (group.max() + 1))), 0.0)
    return replace(ready, threshold=threshold, real=largest - threshold)


def _quantiles(measures: Float64) -> Float64:
    """Return the lower end, the middle and the upper end of every measure, float64 [3,P]; 0 where all are NaN."""
    known = np.where(np.isnan(measures).all(0), 0.0, measures)
    return np.asarray(np.nanquantile(known, (TAIL, 0.5, 1 - TAIL), axis=0))


def _whitening(shares: Float64, middle: Float64) -> Float64:
    """Return the matrix after which deviations of shares have a length of at most 1 up to the 95 percent point."""
    apart = shares - middle[:OUTLINED]
    ridge = np.diag(np.square(LEAST_SPREAD[:OUTLINED]))
    whitening = np.linalg.inv(np.linalg.cholesky(apart.T @ apart / len(apart) + ridge)).T
    return np.asarray(whitening / max(float(np.quantile(np.linalg.norm(apart @ whitening, axis=1), 1 - TAIL)), 1.0))


def _distances(ready: PlausibleRange, fold: int, measures: Float64) -> Float64:
    """Return distances from the middle in units of the ends, float64 [M,K]; an unknown measure is not outside."""
    apart = np.nan_to_num(measures - ready.middle[fold])
    sides = np.stack([-apart / ready.low[fold], apart / ready.high[fold]], 2)
    joint = np.linalg.norm(apart[:, :OUTLINED] @ ready.whitening[fold], axis=1)
    return np.column_stack([sides[:, np.array(SIDES)], joint])


def _excess(distances: Float64) -> Float64:
    """Return the mean excess of the images beyond 1, float64 [K], drawn towards that of all sides."""
    beyond = np.maximum(distances - 1, 0)
    count = (distances > 1).sum(0)
    average = beyond.sum() / max(int(count.sum()), 1)
    return np.asarray(np.maximum((beyond.sum(0) + PRIOR * average) / (count + PRIOR), LEAST_EXCESS))


def _extremes(ready: PlausibleRange, fold: int, measures: Float64) -> Float64:
    """Return what images lie beyond the ends, in units of the mean excess, float64 [M,K]."""
    return np.asarray((_distances(ready, fold, measures) - 1) / ready.excess[fold])
