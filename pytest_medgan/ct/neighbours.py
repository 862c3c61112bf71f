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
from scipy.ndimage import binary_opening

from pytest_medgan.ct.pixels import read_hounsfield
from pytest_medgan.ct.slices import Header
from pytest_medgan.errors import DataError
from pytest_medgan.records import Bool, Float64

_LAST_ROWS = 16
_SHIFT = 25.0  # HU; neighbours 12.5 mm apart differ there by up to 11 in the series looked at
_OTHER_PADDING = 8  # pixels: the circle of reconstruction is the same throughout a series, a shifted rest leaves it
_BLOCK = 5  # pixels a side of such a part where single pixels of air fall on the padding value by their noise


@lru_cache(maxsize=4)
def decoded(root: Path, header: Header) -> Float64:
    """Return a whole slice, float64 [H,W] HU; neighbours share the decoding."""
    return read_hounsfield(root, header)


def check_neighbours(root: Path, header: Header, neighbours: Sequence[Header]) -> None:
    """Check a slice against its neighbours.

    Raises:
        DataError: It differs so much from all of them that its pixels or rescale tags must be damaged.
    """
    values = decoded(root, header)
    if neighbours and all(_shifted(values, decoded(root, other)) for other in neighbours):
        raise DataError(
            "A CT slice differs so much from its neighbours that its pixels or rescale tags must be damaged. Copy the "
            "file again, or leave its series out.",
            file=header.file,
        )


def _shifted(values: Float64, neighbour: Float64) -> bool:
    """Whether the last rows of two slices differ by a constant, or their padding has another shape."""
    padded, usual = np.isnan(values), np.isnan(neighbour)
    other = padded != usual
    if _is_scattered(padded) and _is_scattered(usual):
        other = binary_opening(other, np.ones((_BLOCK, _BLOCK)))
    if np.count_nonzero(other) > _OTHER_PADDING:
        return True
    both = ~(padded | usual)[-_LAST_ROWS:]
    if both.sum() < 64:
        return False
    difference = (values[-_LAST_ROWS:] - neighbour[-_LAST_ROWS:])[both]
    shift = abs(float(np.median(difference)))
    spread = float(np.median(np.abs(difference - np.median(difference))))
    return shift > max(_SHIFT, 2 * spread)  # a shift by damage is as narrow as noise, another tissue is not


def _is_scattered(padded: Bool) -> bool:
    """Return whether single pixels of a slice hold the padding value, as noisy air at the lowest value does."""
    middle = padded[:, 1:-1]
    return bool((middle & ~padded[:, :-2] & ~padded[:, 2:]).sum() > _OTHER_PADDING)
