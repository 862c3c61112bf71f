"""Baseline and candidate on common latents: how well their difference is known when they are compared in pairs.

Two models that should draw the same images (a refactoring, a quantisation, another runtime) err together on the same
latents, so the error of their difference is that of the differences image by image, the reference held fixed. That
needs the accepted model beside the candidate. The difference itself is the measured mean less the row's either way:
what is drawn again only tells how well that is known.

Sample groups are not paired instead where that model is missing: they are three, and the smaller of two errors is too
small where one of them is known that badly.
"""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass

import numpy as np

from pytest_medgan.catalogue import Metric
from pytest_medgan.gate.uncertainty import Error
from pytest_medgan.records import Contribution, Limit, LimitValue, Paired

EXCHANGED = 9.0  # images; the square of the critical value that a look asks for, as in a score interval (Wilson 1927)


@dataclass(frozen=True)
class Pairing:
    """The error of a paired difference, NaN where there is none, and in words how it came about."""

    error: Error
    how: str


def pair(metric: Metric, limit: Limit, n: int, *, beside: Paired | None, unpaired: Error) -> Pairing:
    """Image by image wherever the accepted model is beside the candidate and both have a value an image."""
    if beside is None:
        return Pairing(Error(math.nan), "since paired_with names no model to compare with image by image")
    if beside.model is not None and limit.model is not None and beside.model != limit.model:
        return Pairing(Error(math.nan), f"since paired_with names another model than row {limit.row!r} was measured on")
    found = by_image(metric, beside, limit.values[n], n, unpaired.se)
    return Pairing(found, "since it has no value of its own an image" if math.isnan(found.se) else "image by image")


def by_image(metric: Metric, beside: Paired, stored: LimitValue, n: int, unpaired: float) -> Error:
    """Of the mean difference image by image, `n` a sample group; NaN where the two do not pair.

    What the accepted model now measures otherwise than its row says adds to the error. So do a few images more than
    were seen to differ: one in several hundred may be quite another and in no sample. As many are added as differ as
    much as images of unrelated latents do; of a share, as many that are in it in one model alone.
    """
    ours, theirs = beside.ours.get(metric.name, ()), beside.theirs.get(metric.name, ())
    if not ours or [len(one.units) for one in ours] != [len(one.units) for one in theirs]:
        return Error(math.nan)
    images = n * len(ours)
    seen = math.sqrt(math.fsum(_variance(a, b) for a, b in zip(ours, theirs, strict=True))) / len(ours)
    moved = statistics.fmean(beside.values[metric.name]) - stored.value
    floor = math.hypot(unpaired * math.sqrt(EXCHANGED / images), _share(metric, images))
    return Error(math.hypot(seen, moved, floor), float(sum(len(one.units) - 1 for one in ours)))


def _variance(ours: Contribution, theirs: Contribution) -> float:
    """Of one sample group's mean difference."""
    gap = ours.units - theirs.units
    if len(gap) < 2:
        return math.nan
    found = float(np.var(gap, ddof=1)) / len(gap) * ours.share
    if ours.runs is not None and theirs.runs is not None:
        found += float(np.var(ours.runs - theirs.runs, ddof=1)) / len(ours.runs)
    return found


def _share(metric: Metric, images: int) -> float:
    """The least error of a difference of shares: those that agree in every image are not known to agree for good."""
    return math.sqrt(EXCHANGED) / images if (metric.low, metric.high) == (0.0, 1.0) else 0.0
