"""Histograms of images, of each channel its own, and what a grey level stands for."""

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
    """Return how often each level occurs in every channel of images uint8 [N,C,H,W], int64 [N,C,256]."""
    found = np.empty((*images.shape[:2], GREYS), np.int64)
    for counts, image in zip(found, images, strict=True):
        for row, channel in zip(counts, image, strict=True):
            row[:] = np.bincount(channel.reshape(-1), minlength=GREYS)
    return found


def cumulative_shares(counts: Int64) -> Float64:
    """Return the share of a channel's pixels at or below every level but the last, float64 [N,C*255]."""
    shares = counts.cumsum(2)[..., :-1] / counts.sum(2, keepdims=True)
    return np.asarray(shares.reshape(len(shares), -1))
