"""Whether the values of a slice can be Hounsfield units of a thorax: wrong but well-formed tags show here."""

from __future__ import annotations

import numpy as np

from pytest_medgan.errors import DataError
from pytest_medgan.records import Float64

_LOWEST, _HIGHEST = -4096.0, 4000.0  # HU between which the pixels of a scan lie, padding included, metal apart
_AIR = (-1100.0, -300.0)  # HU of air and lung
_TISSUE = (-250.0, 250.0)  # HU of fat, muscle, blood
_LEAST = 1e-3  # share of the pixels


def check_scale(hounsfield: Float64, file: str) -> None:
    """Check the values of a slice or of a part of it, float64 [H,W] HU, NaN for padding.

    Raises:
        DataError: Most of them lie where no scanner measures.
    """
    measured = hounsfield[np.isfinite(hounsfield)]
    if np.count_nonzero((measured < _LOWEST) | (measured > _HIGHEST)) > measured.size / 2:
        raise DataError(
            f"RescaleSlope and RescaleIntercept of a CT slice give {measured.min():.4g} to {measured.max():.4g} HU. "
            "Correct the tags, or leave the series out.",
            file=file,
        )


def check_thorax(hounsfield: Float64, file: str) -> None:
    """Check a whole slice, float64 [H,W] HU, NaN for padding.

    Raises:
        DataError: It holds neither air nor soft tissue.
    """
    check_scale(hounsfield, file)
    measured = hounsfield[np.isfinite(hounsfield)]
    seen = max(np.count_nonzero((measured > low) & (measured < high)) for low, high in (_AIR, _TISSUE))
    if seen < _LEAST * measured.size:
        raise DataError(
            "A CT slice holds neither air nor soft tissue, so RescaleSlope or RescaleIntercept is wrong. Correct the "
            "tags, or leave the series out.",
            file=file,
        )
