"""The precision and recall curve of two histograms, and the pair of numbers read from it (Sajjadi et al. 2018)."""

from __future__ import annotations

from typing import Any

import numpy as np

from pytest_medgan.errors import MetricInputError
from pytest_medgan.records import Float64

BETA, ANGLES = 8.0, 1001
EPSILON = 1e-10


def curve(*, real: Any, fake: Any, angles: int = ANGLES) -> Float64:
    """Return the curve of two histograms.

    Args:
        real: float [K], sums to 1.
        fake: float [K], sums to 1.
        angles: Points on the curve, at least 3.

    Returns:
        float64 [angles,2], columns precision and recall.

    Raises:
        MetricInputError: There are too few angles, or a histogram does not sum to 1.

    Examples:
        >>> curve(real=[1.0, 0.0], fake=[0.5, 0.5], angles=3).round(3).tolist()
        [[0.0, 1.0], [0.5, 0.5], [0.5, 0.0]]
    """
    real, fake = np.asarray(real, np.float64), np.asarray(fake, np.float64)
    if angles < 3:
        raise MetricInputError(f"angles is {angles}; give at least 3")
    slope = slopes(angles)
    precision = np.minimum(real * slope[:, None], fake).sum(1)
    found = np.stack([precision, precision / slope], 1)
    if found.max() > 1.001:
        raise MetricInputError(f"the histograms reach {found.max():.4f} on the curve; give histograms that sum to 1")
    return np.asarray(found.clip(0, 1))


def slopes(angles: int = ANGLES) -> Float64:
    """Return precision over recall at every point of a curve, float64 [angles]."""
    return np.asarray(np.tan(np.linspace(EPSILON, np.pi / 2 - EPSILON, angles)))


def f_beta(precision: Any, recall: Any, beta: float = 1.0) -> Float64:
    """Return F_beta of precision and recall in [0,1], elementwise; 0 where both are 0."""
    precision, recall = np.asarray(precision, np.float64), np.asarray(recall, np.float64)
    return np.asarray((1 + beta**2) * precision * recall / (beta**2 * precision + recall + EPSILON))


def f_pair(points_on_curve: Float64, beta: float = BETA) -> tuple[float, float]:
    """Return precision (the largest F_1/beta) and recall (the largest F_beta) of a curve [angles,2]."""
    precision, recall = points_on_curve.T
    return float(f_beta(precision, recall, 1 / beta).max()), float(f_beta(precision, recall, beta).max())
