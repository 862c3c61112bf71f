"""Grey-level histograms of images, and what a grey level stands for."""

from __future__ import annotations

import numpy as np

from pytest_medgan.errors import MetricInputError
from pytest_medgan.metrics import inputs
from pytest_medgan.records import Float64, Int64, UInt8

GREYS = 256


def grey_step(window: tuple[float, float] | None) -> float:
    """Return the HU per grey level; 1 without a window.

    Raises:
        MetricInputError: The window is not (HU of grey 0, HU of grey 255), ascending.
    """
    if window is None:
        return 1.0
    try:
        low, high = window
        step = inputs.number(high - low, "window", above=0) / (GREYS - 1)
    except (TypeError, ValueError):
        raise MetricInputError(f"window is {window!r}; give (HU of grey 0, HU of grey 255), ascending") from None
    return step


def histograms(images: UInt8) -> Int64:
    """Return the grey-level counts of every image uint8 [N,1,H,W], int64 [N,256]."""
    found = np.empty((len(images), GREYS), np.int64)
    for row, image in enumerate(images):
        found[row] = np.bincount(image.reshape(-1), minlength=GREYS)
    return found


def cumulative_shares(counts: Int64) -> Float64:
    """Return the share of an image's pixels at or below every grey level but the last, float64 [N,255]."""
    return np.asarray(counts.cumsum(1)[:, :-1] / counts.sum(1, keepdims=True))
