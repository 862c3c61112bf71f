"""Intensity distance: Wasserstein-1 between the grey-level distributions, in HU where the window is known.

Deep features hardly see a small shift of all grey levels, and a radiologist's window does. The distance between two
distributions on the 256 grey levels is the area between their cumulative histograms.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_medgan.errors import MetricInputError
from pytest_medgan.metrics import inputs
from pytest_medgan.metrics.uncertainty import both, mean_se
from pytest_medgan.records import Estimate, Float64, Int64, UInt8

if TYPE_CHECKING:
    from pytest_medgan.metrics.look import Look

GREYS = 256


def intensity_distance(*, real: Any, fake: Any, window: tuple[float, float] | None = None) -> float:
    """Distance between images uint8 [N,1,H,W] and [M,1,H,W]: grey levels, or HU with `window` = (HU of 0, HU of 255).

    MetricInputError for other arrays or an empty window.
    """
    real, fake = inputs.pixels(real, "real"), inputs.pixels(fake, "fake")
    step = grey_step(window)
    gap = cumulative(histograms(fake)).mean(0) - cumulative(histograms(real)).mean(0)
    return float(step * abs(gap).sum())


def grey_step(window: tuple[float, float] | None) -> float:
    """HU a grey level spans; 1 without a window."""
    if window is None:
        return 1.0
    try:
        low, high = window
        step = inputs.number(high - low, "window", above=0) / (GREYS - 1)
    except (TypeError, ValueError):
        raise MetricInputError(f"window is {window!r}; give (HU of grey 0, HU of grey 255), ascending") from None
    return step


def histograms(images: UInt8) -> Int64:
    """Grey levels of every image, int64 [N,256]."""
    found = np.empty((len(images), GREYS), np.int64)
    for row, image in enumerate(images):
        found[row] = np.bincount(image.reshape(-1), minlength=GREYS)
    return found


def cumulative(counts: Int64) -> Float64:
    """Share of an image's pixels at or below every grey level but the last, float64 [N,255]."""
    return np.asarray(counts.cumsum(1)[:, :-1] / counts.sum(1, keepdims=True))


def intensity_estimate(look: Look) -> Estimate:
    """The distance; an image's influence is its own area on the side where its set lies."""
    fake, real = look.fake_histograms, look.reference.of_histograms
    step = grey_step(look.reference.window)
    below_fake, below_real = cumulative(fake), cumulative(real)
    gap = below_fake.mean(0) - below_real.mean(0)
    side = step * np.sign(gap)
    se = mean_se(below_fake @ side)
    return Estimate(float(step * abs(gap).sum()), se, both(se, mean_se(below_real @ side, look.reference.group)))
