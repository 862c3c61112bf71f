"""Cut a volume of grey levels in slices, axial ones or those of three planes, or take it whole.

Slices of three planes are taken from a cube, whose voxels are as long as they are wide. Rows of a coronal or sagittal
slice run from the head to the feet; its columns run to the patient's left or back.
"""

from __future__ import annotations

from fractions import Fraction
from math import floor

import numpy as np

from pytest_medgan.records import UInt8

AXIAL, THREE, WHOLE = "axial", "three", "volume"  # what the data option planes= takes
PLANES = (AXIAL, THREE, WHOLE)


def choose_slices(count: int, wanted: int | None, middle: Fraction) -> range:
    """Return `wanted` of `count` slices in a row, centred on `middle` where the volume allows it; None takes all."""
    if wanted is None or wanted >= count:
        return range(count)
    first = floor(middle - Fraction(wanted - 1, 2) + Fraction(1, 2))
    first = min(max(first, 0), count - wanted)
    return range(first, first + wanted)


def count_slices(shape: tuple[int, int, int], planes: str, slices: int | None) -> int:
    """Return how many slices `cut_planes` takes of a volume of a shape [D,H,W]."""
    each = min(shape[0], slices or shape[0])
    return each if planes == AXIAL else 3 * each


def cut_planes(volume: UInt8, planes: str, slices: int | None) -> UInt8:
    """Return slices of a volume.

    Args:
        volume: uint8 [D,H,W]: planes from the feet up, rows to the back, columns to the left; a cube, but for AXIAL.
        planes: A word of PLANES.
        slices: How many around the middle in each direction; None takes all.

    Returns:
        uint8 [S,rows,columns], axial ones first, then coronal and sagittal ones; of the whole volume [1,1,D,H,W].

    Examples:
        >>> cut_planes(np.zeros((8, 8, 8), np.uint8), "three", 4).shape
        (12, 8, 8)
    """
    if planes == WHOLE:
        return volume[None, None]
    depth = len(volume)
    chosen = choose_slices(depth, slices, Fraction(depth - 1, 2))
    rows = slice(chosen.start, chosen.stop)
    if planes == AXIAL:
        return volume[rows]
    upright = volume[::-1]
    return np.concatenate(
        [volume[rows], upright[:, rows].transpose(1, 0, 2), upright[:, :, rows].transpose(2, 0, 1)], axis=0
    )
