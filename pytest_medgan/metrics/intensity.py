"""Intensity distance: Wasserstein-1 between the grey-level distributions, in HU where the window is known.

Deep features hardly react to a small shift of all grey levels; a radiologist's window does. This project's own metric.

Convention: the distance between two distributions on the 256 grey levels is the area between their cumulative
histograms, each image weighing the same. Of images in colour it is the mean of the three channels' distances.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pytest_medgan.metrics import inputs
from pytest_medgan.metrics.causes import need
from pytest_medgan.metrics.grey_levels import cumulative_shares, grey_step, histograms
from pytest_medgan.metrics.look import Look
from pytest_medgan.metrics.uncertainty import combine_se, mean_se
from pytest_medgan.records import Cause, Contribution, Estimate, Float64, Int64


def intensity_distance(*, real: Any, fake: Any, window: tuple[float, float] | None = None) -> float:
    """Return the distance between the grey-level distributions of two sets of images.

    Args:
        real: uint8 [N,C,H,W], C 1 or 3.
        fake: Generated images, uint8 [M,C,H,W].
        window: (HU of grey 0, HU of grey 255), ascending; None measures in grey levels.

    Returns:
        The distance in HU, or in grey levels without a window.

    Raises:
        MetricInputError: An argument is not such an array, or the window is empty.

    Examples:
        >>> import numpy as np
        >>> images = np.full((2, 1, 4, 4), 100, np.uint8)
        >>> intensity_distance(real=images, fake=images + 3)
        3.0
        >>> round(intensity_distance(real=images, fake=images + 3, window=(-1000, 400)), 2)
        16.47
    """
    real, fake = inputs.pixels(real, "real"), inputs.pixels(fake, "fake")
    if real.shape[1] != fake.shape[1]:
        inputs.pixels(fake, "fake", like=(real.shape[1], *fake.shape[2:]))
    step = grey_step(window) / real.shape[1]
    gap = cumulative_shares(histograms(fake)).mean(0) - cumulative_shares(histograms(real)).mean(0)
    return float(step * abs(gap).sum())


def intensity_estimate(look: Look) -> Estimate:
    """Return the distance with its standard errors, from the influence of each image.

    The influence of an image is the area under its own cumulative histogram, with the sign of the sets' difference.
    """
    below_real = cumulative_shares(need(look.reference.histograms, Cause.NO_PIXELS))
    below_fake = cumulative_shares(look.keep(fake_histograms))
    step, gap = _step(look), below_fake.mean(0) - below_real.mean(0)
    side = step * np.sign(gap)
    se = mean_se(below_fake @ side, look.fake_group)
    return Estimate(float(step * abs(gap).sum()), se, combine_se(se, mean_se(below_real @ side, look.reference.group)))


def intensity_contribution(look: Look) -> Contribution:
    """Return the influence of every generated image."""
    below: Float64 = cumulative_shares(look.keep(fake_histograms))
    side = np.sign(below.mean(0) - cumulative_shares(need(look.reference.histograms, Cause.NO_PIXELS)).mean(0))
    return Contribution(below @ (_step(look) * side))


def _step(look: Look) -> float:
    """Return the HU per level, divided among the channels."""
    channels = int(need(look.reference.histograms, Cause.NO_PIXELS).shape[1])
    return grey_step(look.reference.window) / channels


def fake_histograms(look: Look) -> Int64:
    """Return the level counts of every generated image, int64 [M,C,256]."""
    return histograms(need(look.pixels, Cause.NO_PIXELS))
