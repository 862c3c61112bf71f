"""The threshold beyond which a stated share of real images of new patients lies.

The images of a patient are alike, so a threshold that cuts off 2 percent of known images cuts off more of a new
patient's: with P patients whose images are all alike, about 2 percent plus 1/(P + 1). Here each patient's images are
judged by those of all other patients, and the threshold is chosen such that the stated share of them lies beyond.
"""

from __future__ import annotations

import numpy as np

from pytest_medgan.records import Float64, Int64


def alarm_threshold(scores: Float64, group: Int64, share: float) -> float:
    """Return the score above which at most `share` of the images of a new patient are expected.

    An image counts where at most k images of other patients have its score or more. Of all k for which at most
    `share` of the given images count, the largest is chosen, and 0 where there is none: the threshold is then the
    largest score, and what can be promised is about one image in P + 1 for P patients whose images are alike.

    Args:
        scores: Of real images, larger is further outside, float64 [N].
        group: The patient of every image, int64 [N], numbered from 0.
        share: Share of images that may lie above the threshold, in [0,1).

    References:
        Conformal prediction with patients as the unit: Dunn, Wasserman and Ramdas 2023, "Distribution-Free Prediction
        Sets for Two-Layer Hierarchical Models", J Am Stat Assoc 118:2491. The choice of k is this project's own.
    """
    others = _not_below(scores, scores)
    for patient in range(int(group.max()) + 1):
        rows = np.flatnonzero(group == patient)
        others[rows] -= _not_below(scores[rows], scores[rows])
    allowed = int(share * len(scores) + 1e-9)
    exceeding = max(int(np.sort(others)[allowed]) - 1, 0)
    return float(np.sort(scores)[::-1][exceeding])


def _not_below(scores: Float64, limits: Float64) -> Int64:
    """Return for every limit how many scores are not below it."""
    return np.asarray(len(scores) - np.searchsorted(np.sort(scores), limits, side="left"))
