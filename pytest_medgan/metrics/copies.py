"""Copy rate and duplicate rate: generated images that are, pixel by pixel, a training image or one another.

This project's own. An image is a copy if its root mean square difference from some training image is at most
1 percent of the grey range (14 HU in the default window, below a scanner's noise). It is a duplicate if it equals
another generated image, or lies nearer to it than real images lie to one another: half the distance below which only
1 percent of the reference images have a neighbour.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_medgan.metrics import inputs
from pytest_medgan.metrics.pixel_pairs import near_pairs, nearest_difference
from pytest_medgan.metrics.uncertainty import jackknife_se, rate_se
from pytest_medgan.records import Estimate, Float64, Int64, UInt8

if TYPE_CHECKING:
    from pytest_medgan.metrics.look import Look

COPY_DISTANCE = 2.55  # grey levels


def copy_rate(*, fake: Any, train: Any, distance: float = COPY_DISTANCE) -> float:
    """Share of generated images uint8 [M,1,H,W] within `distance` grey levels of a training image [T,1,H,W].

    MetricInputError for other arrays or a negative distance.
    """
    fake = inputs.pixels(fake, "fake")
    train = inputs.pixels(train, "train", like=fake.shape[2:])
    return len(copies(fake, train, inputs.number(distance, "distance", least=0))) / len(fake)


def duplicate_rate(*, fake: Any, distance: float | None = None, real: Any = None) -> float:
    """Share of images uint8 [M,1,H,W] that another of them equals or lies within `distance` grey levels of.

    Without `distance` it is set from the reference images `real` [N,1,H,W]; without these only equal images count.
    MetricInputError for other arrays or a negative distance.
    """
    fake = inputs.pixels(fake, "fake")
    if distance is None:
        distance = 0.0 if real is None else duplicate_distance(inputs.pixels(real, "real", like=fake.shape[2:]))
    return len(np.unique(duplicates(fake, inputs.number(distance, "distance", least=0))[:, 0])) / len(fake)


def copies(fake: UInt8, train: UInt8, distance: float) -> Int64:
    """Pairs int64 [P,2] (generated, training), one a copied image."""
    return near_pairs(fake, train, distance, most=1)[0]


def duplicates(fake: UInt8, distance: float) -> Int64:
    """Pairs int64 [P,2] of generated images, at most two an image, which tell a lone pair from a cluster."""
    if len(fake) < 2:
        return np.empty((0, 2), np.int64)
    return near_pairs(fake, None, distance, most=2)[0]


def duplicate_distance(real: UInt8) -> float:
    """Grey levels below which two generated images are nearer than real ones are; equal real images are left out."""
    if len(real) < 2:
        return 0.0
    gaps: Float64 = nearest_difference(real)
    gaps = gaps[gaps > 0]
    return 0.5 * float(np.quantile(gaps, 0.01)) if len(gaps) else 0.0


def copy_estimate(look: Look) -> Estimate:
    """A rate; another training set of as many patients is not redrawn, since the one used is what is copied from."""
    hits, trials = len(look.copies), len(look.fake)
    se = rate_se(hits, trials)
    return Estimate(hits / trials, se, se)


def duplicate_estimate(look: Look) -> Estimate:
    """A rate whose hits come in pairs and clusters: the jackknife by image, and at least what a rate has."""
    pairs, trials = look.duplicates, len(look.fake)
    partners = np.bincount(pairs[:, 0], minlength=trials)
    hits = partners > 0
    lone = pairs[partners[pairs[:, 0]] == 1]  # an image with a single partner stops being a duplicate without it
    left = hits.sum() - hits - np.bincount(lone[:, 1], minlength=trials)
    value = float(hits.mean())
    se = jackknife_se(value, left / (trials - 1), np.ones(trials, np.int64))
    se = max(se, rate_se(int(hits.sum()), trials))
    return Estimate(value, se, se)
