"""Damage that only the neighbouring slices reveal.

A lossless JPEG stores differences: one flipped bit shifts every later pixel by a constant, and no checksum shows it. A
damaged rescale shifts all pixels. What lies at the end of a slice, below the patient, hardly differs from one slice to
the next.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
from scipy.ndimage import binary_erosion

from pytest_medgan.ct.pixels import read_hounsfield
from pytest_medgan.ct.slices import Header
from pytest_medgan.errors import DataError
from pytest_medgan.records import Float64

_LAST_ROWS = 16
_SHIFT = 25.0  # HU; neighbours 12.5 mm apart differ there by up to 11 in the series looked at
# Padding of another shape is a block of so many pixels a side: the circle of reconstruction is the same throughout a
# series, and a shifted rest leaves it. Single pixels of air may fall on the padding value by their noise.
_OTHER_PADDING = 5


@lru_cache(maxsize=4)
def decoded(root: Path, header: Header) -> Float64:
    """Return a whole slice, float64 [H,W] HU; neighbours share the decoding."""
    return read_hounsfield(root, header)


def check_neighbours(root: Path, header: Header, neighbours: Sequence[Header]) -> None:
    """Check a slice against its neighbours.

    Raises:
        DataError: It differs from all of them as only damaged pixels or rescale tags do.
    """
    values = decoded(root, header)
    if neighbours and all(_shifted(values, decoded(root, other)) for other in neighbours):
        raise DataError(
            "A CT slice differs from its neighbours as only damaged pixels or rescale tags do. Copy the file again, or "
            "leave its series out.",
            file=header.file,
        )


def _shifted(values: Float64, other: Float64) -> bool:
    """Whether the last rows of two slices differ by a constant, or their padding has another shape."""
    padded, usual = np.isnan(values), np.isnan(other)
    if binary_erosion(padded != usual, np.ones((_OTHER_PADDING, _OTHER_PADDING))).any():
        return True
    both = ~(padded | usual)[-_LAST_ROWS:]
    if both.sum() < 64:
        return False
    difference = (values[-_LAST_ROWS:] - other[-_LAST_ROWS:])[both]
    shift = abs(float(np.median(difference)))
    spread = float(np.median(np.abs(difference - np.median(difference))))
    return shift > max(_SHIFT, 2 * spread)  # a shift by damage is as narrow as noise, another tissue is not
