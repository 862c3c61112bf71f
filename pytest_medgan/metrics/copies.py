"""Copy rate and duplicate rate: generated images that repeat a training image or one another, pixel by pixel.

This project's own metrics.

Conventions: an image is a copy if its root mean square difference from some training image is at most 1 percent of the
grey range (14 HU in the default window, below a scanner's noise). It is a duplicate if it equals another generated
image, or is closer to one than real images are to each other: half the distance below which only 1 percent of the
reference images have a neighbour.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pytest_medgan.metrics import inputs
from pytest_medgan.metrics.causes import need
from pytest_medgan.metrics.look import Look
from pytest_medgan.metrics.pixel_pairs import duplicate_distance, near_pairs
from pytest_medgan.metrics.uncertainty import hits_se, jackknife_se, largest, rate_se
from pytest_medgan.records import Cause, Contribution, Estimate, Int64, UInt8

COPY_DISTANCE = 2.55  # grey levels


def copy_rate(*, fake: Any, train: Any, distance: float = COPY_DISTANCE) -> float:
    """Return the share of generated images that are close to a training image.

    Args:
        fake: Generated images, uint8 [M,1,H,W].
        train: Training images, uint8 [T,1,H,W].
        distance: Largest root mean square difference of a copy, in grey levels, at least 0.

    Returns:
        The share, in [0,1].

    Raises:
        MetricInputError: An argument is no such array, or the distance is negative.

    Examples:
        >>> import numpy as np
        >>> images = np.arange(2 * 16, dtype=np.uint8).reshape(2, 1, 4, 4)
        >>> copy_rate(fake=images, train=images[1:] + 1)
        0.5
    """
    fake = inputs.pixels(fake, "fake")
    train = inputs.pixels(train, "train", like=fake.shape[2:])
    return len(find_copies(fake, train, inputs.number(distance, "distance", least=0))) / len(fake)


def duplicate_rate(*, fake: Any, distance: float | None = None, real: Any = None) -> float:
    """Return the share of generated images that are close to another of them.

    Args:
        fake: Generated images, uint8 [M,1,H,W].
        distance: Largest root mean square difference of a duplicate, in grey levels, at least 0. None takes it from
            `real`, or counts only equal images where these are not given.
        real: Reference images, uint8 [N,1,H,W].

    Returns:
        The share, in [0,1].

    Raises:
        MetricInputError: An argument is no such array, or the distance is negative.

    Examples:
        >>> import numpy as np
        >>> images = np.arange(3 * 16, dtype=np.uint8).reshape(3, 1, 4, 4)
        >>> duplicate_rate(fake=np.concatenate([images, images[:1]]))
        0.5
    """
    fake = inputs.pixels(fake, "fake")
    if distance is None:
        distance = 0.0 if real is None else duplicate_distance(inputs.pixels(real, "real", like=fake.shape[2:]))
    pairs = find_duplicates(fake, inputs.number(distance, "distance", least=0))
    return len(np.unique(pairs[:, 0])) / len(fake)


def find_copies(fake: UInt8, train: UInt8, distance: float) -> Int64:
    """Return one pair (generated, training) for each copied image, int64 [P,2]."""
    return near_pairs(fake, train, distance, most=1)


def find_duplicates(fake: UInt8, distance: float) -> Int64:
    """Return pairs of generated images, int64 [P,2], at most two for each: enough to tell a pair from a cluster."""
    if len(fake) < 2:
        return np.empty((0, 2), np.int64)
    return near_pairs(fake, None, distance, most=2)


def copy_estimate(look: Look) -> Estimate:
    """Return the copy rate with its error.

    No other training set is drawn for the total error: the one that was used is what is copied from.
    """
    hits = copy_contribution(look).units
    se = hits_se(hits, look.fake_group)
    return Estimate(float(hits.mean()), se, se)


def copy_contribution(look: Look) -> Contribution:
    """Return whether each generated image is a copy."""
    return Contribution(np.bincount(look.keep(copies)[:, 0], minlength=len(look.fake)).astype(np.float64))


def duplicate_estimate(look: Look) -> Estimate:
    """Return the duplicate rate with the jackknife's error, at least that of a rate.

    Duplicates come in pairs and clusters, so they are not independent.
    """
    trials = len(look.fake)
    group = np.arange(trials) if look.fake_group is None else look.fake_group
    hits, lost = _duplicates_by(group, look)
    sizes = np.bincount(group)
    left = hits.sum() - np.bincount(group, hits, len(sizes)) - lost
    value = float(hits.mean())
    se = jackknife_se(value, left / np.maximum(trials - sizes, 1), sizes)
    se = largest(se, rate_se(int(hits.sum()), trials))
    return Estimate(value, se, se)


def duplicate_contribution(look: Look) -> Contribution:
    """Return pseudo-values: without one image of a lone pair the other one is no duplicate either."""
    hits, lost = _duplicates_by(np.arange(len(look.fake)), look)
    return Contribution(np.asarray(hits + lost, np.float64))


def _duplicates_by(group: Int64, look: Look) -> tuple[Int64, Int64]:
    """Return whether each image is a duplicate, int64 [M], and how many images of others are one by each group alone.

    The latter is int64 [G]: duplicates outside a group all of whose partners lie in it.
    """
    pairs, count = look.keep(duplicates), len(look.fake)
    image, partner = pairs[:, 0], group[pairs[:, 1]]
    least, most = np.full(count, len(group)), np.full(count, -1)
    np.minimum.at(least, image, partner)
    np.maximum.at(most, image, partner)
    alone = (least == most) & (least != group)
    return (most >= 0).astype(np.int64), np.bincount(least[alone], minlength=int(group.max()) + 1)


def copies(look: Look) -> Int64:
    """Return (generated, training) pairs of a look, int64 [P,2]."""
    train = need(look.reference.train_pixels, Cause.NO_TRAINING_IMAGES)
    return find_copies(need(look.pixels, Cause.NO_PIXELS), train, COPY_DISTANCE)


def duplicates(look: Look) -> Int64:
    """Return (generated, generated) pairs of a look, int64 [P,2]."""
    distance = need(look.reference.duplicate_distance, Cause.NO_PIXELS)
    return find_duplicates(need(look.pixels, Cause.NO_PIXELS), distance)
