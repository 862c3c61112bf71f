"""Effects of faults on metrics, in standard deviations of the unchanged model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from benchmarks.feature_spaces.spaces import Features
from pytest_medgan.metrics import density_coverage, frechet_distance, improved_precision_recall, kernel_distance

Values = NDArray[np.float64]

METRICS = ("fid", "kid", "improved_precision", "improved_recall", "density", "coverage")
WORSE = np.array([1.0, 1.0, -1.0, -1.0, -1.0, -1.0])  # the direction in which each becomes worse
CAUGHT = 5.0  # standard deviations in the best metric


def measured(real: Features, fake: Features, ball_dimensions: int | None) -> Values:
    """The six METRICS of one group."""
    near, far = real[:, :ball_dimensions], fake[:, :ball_dimensions]
    fid, kid = frechet_distance(real=real, fake=fake), kernel_distance(real=real, fake=fake)
    balls = (*improved_precision_recall(real=near, fake=far), *density_coverage(real=near, fake=far))
    return np.array([fid, kid, *balls], dtype=np.float64)


def effects(unchanged: Sequence[Values], faulty: Mapping[str, Sequence[Values]]) -> dict[str, Values]:
    """Per fault and metric: (mean with the fault - mean without) / standard deviation without; positive is worse.

    A metric that does not vary between groups of the unchanged model has no effect (0).
    """
    plain = np.array(unchanged)
    mean, sd = plain.mean(0), plain.std(0, ddof=1)
    sd = np.where(sd > 0, sd, np.inf)
    return {name: WORSE * (np.array(groups).mean(0) - mean) / sd for name, groups in faulty.items()}


def summary(found: Mapping[str, Values]) -> tuple[int, float, float]:
    """Return faults caught, median of their best effects, and the least effect in FID and KID (below 0: better)."""
    table = np.array(list(found.values()))
    best = table.max(1)
    return int((best > CAUGHT).sum()), float(np.median(best)), float(table[:, :2].min())
