"""Copy rate: the share of generated images that repeat a training image, pixel by pixel.

This project's own metric.

Convention: an image is a copy if its root mean square difference from some training image is at most 1 percent of the
grey range (14 HU in the default window, below a scanner's noise).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pytest_medgan.metrics import inputs
from pytest_medgan.metrics.causes import need
from pytest_medgan.metrics.look import Look
from pytest_medgan.metrics.pixel_pairs import near_pairs
from pytest_medgan.metrics.uncertainty import hits_se
from pytest_medgan.records import Cause, Contribution, Estimate, Int64, UInt8

COPY_DISTANCE = 2.55  # grey levels


def copy_rate(*, fake: Any, train: Any, distance: float = COPY_DISTANCE) -> float:
    """Return the share of generated images that are close to a training image.

    Args:
        fake: Generated images, uint8 [M,C,H,W].
        train: Training images, uint8 [T,C,H,W].
        distance: Largest root mean square difference of a copy, in grey levels, at least 0.

    Returns:
        The share, in [0,1].

    Raises:
        MetricInputError: An argument is not such an array, or the distance is negative.

    Examples:
        >>> import numpy as np
        >>> images = np.arange(2 * 16, dtype=np.uint8).reshape(2, 1, 4, 4)
        >>> copy_rate(fake=images, train=images[1:] + 1)
        0.5
    """
    fake = inputs.pixels(fake, "fake")
    train = inputs.pixels(train, "train", like=fake.shape[1:])
    return len(find_copies(fake, train, inputs.number(distance, "distance", least=0))) / len(fake)


def find_copies(fake: UInt8, train: UInt8, distance: float) -> Int64:
    """Return one pair (generated, training) for each copied image, int64 [P,2]."""
    return near_pairs(fake, train, distance, most=1)


def copy_estimate(look: Look) -> Estimate:
    """Return the copy rate; `se` and `se_total` are equal.

    The training set is fixed: copies are copies of the images that the model was trained on.
    """
    hits = copy_contribution(look).units
    se = hits_se(hits, look.fake_group)
    return Estimate(float(hits.mean()), se, se)


def copy_contribution(look: Look) -> Contribution:
    """Return for each generated image 1 if it is a copy, otherwise 0."""
    return Contribution(np.bincount(look.keep(copies)[:, 0], minlength=len(look.fake)).astype(np.float64))


def copies(look: Look) -> Int64:
    """Return (generated, training) pairs of a look, int64 [P,2]."""
    train = need(look.reference.train_pixels, Cause.NO_TRAINING_IMAGES)
    return find_copies(need(look.pixels, Cause.NO_PIXELS), train, COPY_DISTANCE)
