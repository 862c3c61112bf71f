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
from pytest_medgan.metrics.uncertainty import jackknife_se, rate_se
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
    hits, trials = len(look.keep(copies)), len(look.fake)
    se = rate_se(hits, trials)
    return Estimate(hits / trials, se, se)


def copy_contribution(look: Look) -> Contribution:
    """Return whether each generated image is a copy."""
    return Contribution(np.bincount(look.keep(copies)[:, 0], minlength=len(look.fake)).astype(np.float64))


def duplicate_estimate(look: Look) -> Estimate:
    """Return the duplicate rate with the jackknife's error, at least that of a rate.

    Duplicates come in pairs and clusters, so they are not independent.
    """
    trials = len(look.fake)
    hits, lone = _partners(look)
    left = hits.sum() - hits - lone
    value = float(hits.mean())
    se = jackknife_se(value, left / (trials - 1), np.ones(trials, np.int64))
    se = max(se, rate_se(int(hits.sum()), trials))
    return Estimate(value, se, se)


def duplicate_contribution(look: Look) -> Contribution:
    """Return pseudo-values: without one image of a lone pair the other one is no duplicate either."""
    hits, lone = _partners(look)
    return Contribution(np.asarray(hits + lone, np.float64))


def _partners(look: Look) -> tuple[Int64, Int64]:
    """Return whether each image is a duplicate, and how many images are one because of it alone, both int64 [M]."""
    pairs, count = look.keep(duplicates), len(look.fake)
    partners = np.bincount(pairs[:, 0], minlength=count)
    lone = pairs[partners[pairs[:, 0]] == 1]
    return (partners > 0).astype(np.int64), np.bincount(lone[:, 1], minlength=count)


def copies(look: Look) -> Int64:
    """Return (generated, training) pairs of a look, int64 [P,2]."""
    train = need(look.reference.train_pixels, Cause.NO_TRAINING_IMAGES)
    return find_copies(need(look.pixels, Cause.NO_PIXELS), train, COPY_DISTANCE)


def duplicates(look: Look) -> Int64:
    """Return (generated, generated) pairs of a look, int64 [P,2]."""
    distance = need(look.reference.duplicate_distance, Cause.NO_PIXELS)
    return find_duplicates(need(look.pixels, Cause.NO_PIXELS), distance)
