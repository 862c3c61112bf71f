"""Anomaly rate: the share of generated images that look like real images with a known fault.

This project's own metric. Heads are trained on real images against the same images altered (upside-down, halves of two
images joined, centre erased and so on; see `alterations`), once per reference and feature space (see `heads`). Small
wrong subpopulations hardly move FID; a head that knows what to look for sees them.

Conventions: an image counts where any head exceeds its threshold; 2 percent of held-out real images do, all heads
together, so the rate of real images is about 0.02. There are two sets of heads, one for each half of the patients; an
image that only one set flags counts half. The heads are trained on images blurred by any amount up to 1.4 pixels of
128, so how sharp a generator draws does not decide. Faults that no head was trained on are mostly not seen.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from pytest_medgan.errors import MetricInputError
from pytest_medgan.metrics import inputs
from pytest_medgan.metrics.causes import need
from pytest_medgan.metrics.heads import FALSE_ALARMS, LEAST_IMAGES, LEAST_PATIENTS, Heads, fit_heads
from pytest_medgan.metrics.look import Look
from pytest_medgan.metrics.uncertainty import combine_se, hits_se, mean_se
from pytest_medgan.records import Alteration, Cause, Contribution, Estimate, Float64, Int64


def anomaly_rate(*, real: Any, altered: Mapping[Alteration, Any], fake: Any, groups: Any = None) -> float:
    """Return the share of generated images that any head takes for an altered real image.

    Args:
        real: Features of real images, softened [N,D], N at least 200; see `altered_images`.
        altered: Features of the same images, altered, by alteration [N,D] in the same order.
        fake: Features of generated images [M,D].
        groups: The patient of every real image, [N], at least 8 patients; None: every image is a patient of its own.

    Returns:
        The share, in [0,1].

    Raises:
        MetricInputError: An argument has another shape, there are too few real images, or no head finds anything.

    Examples:
        >>> import numpy as np
        >>> rng = np.random.default_rng(0)
        >>> real, fake = rng.standard_normal((400, 2)), rng.standard_normal((100, 2))
        >>> fake[:30, 0] += 8
        >>> altered = {Alteration.STREAKS: rng.standard_normal((400, 2)) + [8, 0]}
        >>> 0.3 <= anomaly_rate(real=real, altered=altered, fake=fake) < 0.4
        True
    """
    real = inputs.features(real, "real").cpu().numpy()
    fake = inputs.features(fake, "fake", width=real.shape[1]).cpu().numpy()
    ready = {
        name: inputs.features(rows, f"altered[{name}]", width=real.shape[1]).cpu().numpy()
        for name, rows in altered.items()
    }
    if wrong := [name for name, rows in ready.items() if len(rows) != len(real)]:
        raise MetricInputError(
            f"altered[{wrong[0]}] has {len(ready[wrong[0]])} rows but real has {len(real)}; give the same images"
        )
    heads = fit_heads(real, ready, np.arange(len(real)) if groups is None else groups)
    if heads is None:
        raise MetricInputError(
            f"real has {len(real)} rows; give at least {LEAST_IMAGES} images of {LEAST_PATIENTS} patients, and "
            "alterations that features can tell"
        )
    return float(flagged_shares(heads, fake).mean())


def flagged_shares(heads: Heads, features: Any) -> Float64:
    """Return for every image the share of the sets of heads that flag it, float64 [M]: 0, 1/2 or 1."""
    return np.asarray((heads.margins(features).max(2) > 0).mean(0))


def anomaly_estimate(look: Look) -> Estimate:
    """Return the rate with its errors: of a rate, and of the thresholds with the reference's patients redrawn.

    The thresholds' error is that of the share of real images beyond them, times how much the rate changes where that
    share changes.
    """
    heads, hits = _heads(look), look.keep(flags)
    se = hits_se(hits, look.fake_group)
    least, most = np.quantile(heads.real, [1 - 1.5 * FALSE_ALARMS, 1 - 0.5 * FALSE_ALARMS])
    largest = look.keep(margins).max(2)
    slope = ((largest > least).mean() - (largest > most).mean()) / FALSE_ALARMS
    of_real = slope * mean_se((heads.real > 0).astype(np.float64), heads.group)
    return Estimate(float(hits.mean()), se, combine_se(se, of_real))


def anomaly_contribution(look: Look) -> Contribution:
    """Return the share of the sets of heads that flag each generated image."""
    return Contribution(look.keep(flags))


def flags(look: Look) -> Float64:
    """Return the share of the sets of heads that flag each generated image of a look."""
    return np.asarray((look.keep(margins).max(2) > 0).mean(0))


def margins(look: Look) -> Float64:
    """Return the margins of a look's generated images, float64 [FOLDS,M,H]."""
    return _heads(look).margins(need(look.maps, Cause.NO_HEADS))


def anomalies(look: Look) -> Int64:
    """Return (generated image, place of the alteration in `Alteration`) of the images that both sets flag, [P,2].

    The alteration is that of the head with the largest margin.
    """
    found = look.keep(margins)
    rows = np.flatnonzero((found.max(2) > 0).all(0))
    order = list(Alteration)
    places = np.array([order.index(name) for name in _heads(look).alterations], np.int64)
    return np.stack([rows, places[found.mean(0)[rows].argmax(1)]], 1).astype(np.int64)


def _heads(look: Look) -> Heads:
    """Return the heads of the reference."""
    return need(look.reference.heads, Cause.NO_HEADS)
