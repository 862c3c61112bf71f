"""Implausible rate: the share of generated images whose anatomy in HU lies outside the range of real images.

This project's own metric. Measures (see `anatomy`): shares of air, lung, fat, soft tissue and bone, the body outline,
noise and its grain. It needs to know which HU black and white stand for, and no network.

Conventions: about 2 percent of real images of new patients lie outside, all measures together (see `plausible`), so the
rate of real images is about 0.02. There are two ranges, one from each half of the patients; an image outside only one
of them counts half. Images that are softer than real ones do not count for that.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pytest_medgan.errors import MetricInputError
from pytest_medgan.metrics import inputs
from pytest_medgan.metrics.anatomy import measure_anatomy
from pytest_medgan.metrics.causes import NotMeasuredError, need
from pytest_medgan.metrics.grey_levels import grey_step
from pytest_medgan.metrics.look import Look
from pytest_medgan.metrics.plausible import FALSE_ALARMS, LEAST_IMAGES, LEAST_PATIENTS, PlausibleRange, fit_range
from pytest_medgan.metrics.uncertainty import combine_se, hits_se
from pytest_medgan.records import Cause, Contribution, Estimate, Float64, Implausibility, Int64


def implausible_rate(*, real: Any, fake: Any, window: tuple[float, float], groups: Any = None) -> float:
    """Return the share of generated images outside the range of real images.

    Args:
        real: uint8 [N,1,H,W], N at least 200.
        fake: Generated images, uint8 [M,1,H,W].
        window: (HU of grey 0, HU of grey 255), ascending.
        groups: The patient of every real image, [N], at least 8 patients; None: every image is a patient of its own.

    Returns:
        The share, in [0,1].

    Raises:
        MetricInputError: An argument is not such an array, the window is empty, or there are too few real images.

    Examples:
        >>> import numpy as np
        >>> images = np.random.default_rng(0).integers(120, 140, (300, 1, 32, 32), dtype=np.uint8)
        >>> fake = images[:40].copy()
        >>> fake[:10, :, 8:24, 8:24] = 255  # bone
        >>> 0.25 <= implausible_rate(real=images, fake=fake, window=(-1000, 400)) < 0.35
        True
    """
    real = inputs.grey_pixels(real, "real")
    fake = inputs.grey_pixels(fake, "fake", like=real.shape[1:])
    grey_step(window)
    plausible = fit_range(measure_anatomy(real, window), np.arange(len(real)) if groups is None else groups)
    if plausible is None:
        raise MetricInputError(
            f"real has {len(real)} images; give at least {LEAST_IMAGES} images of {LEAST_PATIENTS} patients"
        )
    return float(_outside(plausible.margins(measure_anatomy(fake, window))).mean())


def implausible_estimate(look: Look) -> Estimate:
    """Return the rate with its errors: of a rate, and of the thresholds with the reference's patients redrawn.

    The thresholds' error is that of the share of real images beyond them, times how much the rate changes where that
    share changes.
    """
    plausible, margins = _plausible(look), look.keep(implausible_margins)
    hits = _outside(margins)
    se = hits_se(hits, look.fake_group)
    least, most = np.quantile(plausible.real, [1 - 1.5 * FALSE_ALARMS, 1 - 0.5 * FALSE_ALARMS])
    largest = margins.max(2)
    slope = ((largest > least).mean() - (largest > most).mean()) / FALSE_ALARMS
    of_real = slope * hits_se((plausible.real > 0).astype(np.float64), plausible.group)
    return Estimate(float(hits.mean()), se, combine_se(se, of_real))


def implausible_contribution(look: Look) -> Contribution:
    """Return the share of the two ranges outside which each generated image lies."""
    return Contribution(_outside(look.keep(implausible_margins)))


def implausible_margins(look: Look) -> Float64:
    """Return how far outside a look's generated images lie on every side, float64 [FOLDS,M,K]."""
    plausible, window = _plausible(look), need(look.reference.window, Cause.NO_WINDOW)
    return plausible.margins(measure_anatomy(need(look.pixels, Cause.NO_PIXELS), window))


def implausible_images(look: Look) -> Int64:
    """Return (generated image, place of the side in `Implausibility`) of the images outside both ranges, [P,2].

    The side is that on which the image lies furthest outside; the mixture is named where no single measure is outside.
    """
    margins = look.keep(implausible_margins)
    rows = np.flatnonzero(_outside(margins) == 1)
    single = margins[:, rows, :-1].mean(0)
    place = np.where((single > 0).any(1), single.argmax(1), len(Implausibility) - 1)
    return np.stack([rows, place], 1).astype(np.int64)


def _outside(margins: Float64) -> Float64:
    """Return the share of the ranges outside which each image lies, float64 [M]: 0, 1/2 or 1."""
    return np.asarray((margins.max(2) > 0).mean(0))


def _plausible(look: Look) -> PlausibleRange:
    """Return the range of the reference."""
    shape = look.reference.image_shape
    if shape is not None and shape[0] > 1:
        raise NotMeasuredError(Cause.SEVERAL_CHANNELS)
    need(look.reference.window, Cause.NO_WINDOW)
    return need(look.reference.plausible, Cause.NO_RANGE)
