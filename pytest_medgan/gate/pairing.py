"""Baseline and candidate on common latents: how far apart they are when compared image by image.

Two models that should draw the same images (a refactoring, a quantisation, another runtime) err together on the same
latents, so their difference is known by the spread of the differences image by image, with the reference held fixed.
That needs the accepted model drawn again with the candidate. The difference is then between what both give now, not
from the row. Sample groups are not paired where that model is missing: they are three, and the smaller of two errors is
too small where one of them is known that badly.
"""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass

import numpy as np

from pytest_medgan.catalogue import Metric
from pytest_medgan.gate.difference import Difference
from pytest_medgan.gate.uncertainty import Error
from pytest_medgan.records import Contribution, Paired, Score

EXCHANGED = 9.0  # images; the square of the critical value that a look asks for, as in a score interval (Wilson 1927)
HELPS = 0.8  # the share of the unpaired error that the paired one must stay below to be used


@dataclass(frozen=True)
class Pairing:
    """A paired difference, None where there is none or it does not help, and in words how it came about."""

    seen: Difference | None
    words: str


def pair(
    metric: Metric, measured: Score, n_fake: int, *, beside: Paired | None, accepted: str | None, unpaired: Difference
) -> Pairing:
    """Compare image by image where the accepted model was drawn with the candidate and both have a value per image.

    Args:
        metric: The metric.
        measured: The candidate's score.
        n_fake: Images per sample group.
        beside: The accepted model's images from the same latents; None where it was not named.
        accepted: The identity of the model that the row was measured on; None where the row does not know it.
        unpaired: The difference from the row, which is used where pairing does not help.
    """
    if beside is None:
        return Pairing(None, "pairing does not help, since paired_with names no model to compare with image by image")
    if beside.model is not None and accepted is not None and beside.model != accepted:
        return Pairing(None, "pairing does not help, since paired_with names another model than the row's")
    found = by_image(metric, measured, beside, n_fake, unpaired.error.se)
    if found is None:
        return Pairing(None, "pairing does not help, since it has no value per image")
    errors = f"error {found.error.se:.3g}, unpaired {unpaired.error.se:.3g}"
    if found.error.se < HELPS * unpaired.error.se:
        return Pairing(found, f"paired image by image: {errors}")
    return Pairing(None, f"pairing does not help: {errors}")


def by_image(metric: Metric, measured: Score, beside: Paired, n_fake: int, unpaired: float) -> Difference | None:
    """Return the mean difference image by image; None where the two do not pair.

    A few images more than were seen to differ add to the error: one in several hundred may be quite another and in no
    sample. As many are added as differ as much as images of unrelated latents do; of a share, as many that are in it in
    one model alone.
    """
    ours, theirs = beside.ours.get(metric.name, ()), beside.theirs.get(metric.name, ())
    if not ours or [len(one.units) for one in ours] != [len(one.units) for one in theirs]:
        return None
    images = n_fake * len(ours)
    spread = math.sqrt(math.fsum(_variance(a, b) for a, b in zip(ours, theirs, strict=True))) / len(ours)
    if math.isnan(spread):
        return None
    floor = math.hypot(unpaired * math.sqrt(EXCHANGED / images), _least_share(metric, images))
    error = Error(math.hypot(spread, floor), float(sum(len(one.units) - 1 for one in ours)))
    sign = -1.0 if metric.higher_is_better else 1.0
    return Difference(sign * (measured.mean - statistics.fmean(beside.values[metric.name])), error)


def _variance(ours: Contribution, theirs: Contribution) -> float:
    """Return the variance of one sample group's mean difference."""
    gap = ours.units - theirs.units
    if len(gap) < 2:
        return math.nan
    found = float(np.var(gap, ddof=1)) / len(gap) * ours.share
    if ours.runs is not None and theirs.runs is not None:
        found += float(np.var(ours.runs - theirs.runs, ddof=1)) / len(ours.runs)
    return found


def _least_share(metric: Metric, images: int) -> float:
    """Return the least error of a difference of shares: agreement in every image seen is not agreement in all."""
    return math.sqrt(EXCHANGED) / images if (metric.low, metric.high) == (0.0, 1.0) else 0.0
