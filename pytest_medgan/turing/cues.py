"""Find simple differences between two sets of images that would reveal the answer in a reader study.

A reader can learn, within twenty images, to use a cue such as blur or a grey level that never occurs. If one
simple statistic of an image separates the sets, the study tests that statistic and not realism.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from pytest_medgan.records import Float64, UInt8
from pytest_medgan.turing.statistics import rating_area

CLEAR_AREA = 0.8  # area under the curve above which a statistic separates the sets
STANDARD_ERRORS = 3.0  # the area must exceed 0.5 by this many standard errors


@dataclass(frozen=True)
class Cue:
    """A statistic that separates real from generated images."""

    name: str  # "sharpness", ...
    area: float  # under the curve, 0.5 to 1
    higher_in: str  # "real" or "generated": where the statistic is higher


def find_cues(*, real: UInt8, fake: UInt8, clear: float = CLEAR_AREA) -> tuple[Cue, ...]:
    """Find simple statistics of an image that separate two sets.

    Args:
        real: uint8 [N,1,H,W], real images.
        fake: uint8 [M,1,H,W], generated images.
        clear: Area under the curve above which a statistic separates the sets, 0.5 to 1. With few images the area must
            also exceed 0.5 by `STANDARD_ERRORS` standard errors.

    Returns:
        The separating statistics, the clearest first.
    """
    n, m = len(real), len(fake)
    is_fake = np.arange(n + m) >= n
    by_chance = math.sqrt((n + m + 1) / (12 * n * m))  # standard error of the area where nothing separates the sets
    least = max(clear, 0.5 + STANDARD_ERRORS * by_chance)
    found = []
    for name, statistic in STATISTICS.items():
        values = np.concatenate([statistic(real[:, 0]), statistic(fake[:, 0])])
        area = rating_area(values, is_fake)
        if max(area, 1 - area) > least:
            found.append(Cue(name, max(area, 1 - area), "generated" if area > 0.5 else "real"))
    return tuple(sorted(found, key=lambda cue: -cue.area))


def cue_warning(cue: Cue) -> str:
    """Return a warning of one line.

    Args:
        cue: A statistic that separates the sets.

    Returns:
        Text without a line break.
    """
    return (
        f"The {cue.name} alone separates real from generated images (area under the curve {cue.area:.2f}; it is higher "
        f"in {cue.higher_in} images). Readers may use it to answer. Prepare both sets in the same way, or report this "
        "with the results."
    )


def _brightness(images: UInt8) -> Float64:
    """Return the mean grey level of each image: uint8 [N,H,W] -> float64 [N]."""
    return np.asarray(images.mean((1, 2), dtype=np.float64))


def _contrast(images: UInt8) -> Float64:
    """Return the standard deviation of the grey levels of each image."""
    return np.asarray(images.std((1, 2), dtype=np.float64))


def _sharpness(images: UInt8) -> Float64:
    """Return the variance of the Laplacian of each image."""
    return np.asarray(_laplacian(images).var((1, 2), dtype=np.float64))


def _noise(images: UInt8) -> Float64:
    """Return the median absolute Laplacian of each image, which edges hardly change (after Immerkaer 1996)."""
    flat = np.abs(_laplacian(images)).reshape(len(images), -1)
    return np.median(flat, axis=1).astype(np.float64)


def _grey_levels(images: UInt8) -> Float64:
    """Return the number of different grey levels of each image."""
    return np.array([len(np.unique(image)) for image in images], np.float64)


def _end_levels(images: UInt8) -> Float64:
    """Return the share of pixels at grey 0 or 255 of each image."""
    return np.asarray(((images == 0) | (images == 255)).mean((1, 2), dtype=np.float64))


def _laplacian(images: UInt8) -> Float64:
    """Return the four-neighbour Laplacian without the border: [N,H,W] -> [N,H-2,W-2]."""
    x = images.astype(np.float64)
    return x[:, :-2, 1:-1] + x[:, 2:, 1:-1] + x[:, 1:-1, :-2] + x[:, 1:-1, 2:] - 4 * x[:, 1:-1, 1:-1]


STATISTICS: Mapping[str, Callable[[UInt8], Float64]] = MappingProxyType(
    {
        "mean grey level": _brightness,
        "contrast": _contrast,
        "sharpness": _sharpness,
        "noise": _noise,
        "number of grey levels": _grey_levels,
        "share of black and white pixels": _end_levels,
    }
)
