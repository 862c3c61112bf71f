"""Duplicate rate: the share of generated images that repeat one another, pixel by pixel.

This project's own metric.

Convention: an image is a duplicate if it equals another generated image, or is closer to one than real images are to
each other: half the distance below which only 1 percent of the reference images have a neighbour.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pytest_medgan.metrics import inputs
from pytest_medgan.metrics.causes import need
from pytest_medgan.metrics.look import Look
from pytest_medgan.metrics.pixel_pairs import duplicate_distance, near_pairs
from pytest_medgan.metrics.uncertainty import jackknife_se, largest, rate_se
from pytest_medgan.records import Cause, Contribution, Estimate, Int64, UInt8


def duplicate_rate(*, fake: Any, distance: float | None = None, real: Any = None) -> float:
    """Return the share of generated images that are close to another generated image.

    Args:
        fake: Generated images, uint8 [M,C,H,W].
        distance: Largest root mean square difference of a duplicate, in grey levels, at least 0. None takes it from
            `real`, or counts only equal images where these are not given.
        real: Reference images, uint8 [N,C,H,W].

    Returns:
        The share, in [0,1].

    Raises:
        MetricInputError: An argument is not such an array, or the distance is negative.

    Examples:
        >>> import numpy as np
        >>> images = np.arange(3 * 16, dtype=np.uint8).reshape(3, 1, 4, 4)
        >>> duplicate_rate(fake=np.concatenate([images, images[:1]]))
        0.5
    """
    fake = inputs.pixels(fake, "fake")
    if distance is None:
        distance = 0.0 if real is None else duplicate_distance(inputs.pixels(real, "real", like=fake.shape[1:]))
    pairs = find_duplicates(fake, inputs.number(distance, "distance", least=0))
    return len(np.unique(pairs[:, 0])) / len(fake)


def find_duplicates(fake: UInt8, distance: float) -> Int64:
    """Return pairs of generated images, int64 [P,2], at most two for each: enough to tell a pair from a cluster."""
    if len(fake) < 2:
        return np.empty((0, 2), np.int64)
    return near_pairs(fake, None, distance, most=2)


def duplicate_estimate(look: Look) -> Estimate:
    """Return the duplicate rate; `se` and `se_total` are equal.

    Duplicates come in pairs and clusters, so they are not independent: the error is the larger of a jackknife's and
    that of a rate.
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
    """Return the jackknife's pseudo-values: if one image of a pair is deleted, the other is not a duplicate either."""
    hits, lost = _duplicates_by(np.arange(len(look.fake)), look)
    return Contribution(np.asarray(hits + lost, np.float64))


def _duplicates_by(group: Int64, look: Look) -> tuple[Int64, Int64]:
    """Return whether each image is a duplicate, int64 [M], and how many cease to be one without each group, int64 [G].

    The latter are images outside the group all of whose partners lie in it.
    """
    pairs, count = look.keep(duplicates), len(look.fake)
    image, partner = pairs[:, 0], group[pairs[:, 1]]
    least, most = np.full(count, len(group)), np.full(count, -1)
    np.minimum.at(least, image, partner)
    np.maximum.at(most, image, partner)
    dependent = (least == most) & (least != group)
    return (most >= 0).astype(np.int64), np.bincount(least[dependent], minlength=int(group.max()) + 1)


def duplicates(look: Look) -> Int64:
    """Return (generated, generated) pairs of a look, int64 [P,2]."""
    distance = need(look.reference.duplicate_distance, Cause.NO_PIXELS)
    return find_duplicates(need(look.pixels, Cause.NO_PIXELS), distance)
