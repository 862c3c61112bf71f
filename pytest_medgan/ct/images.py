"""One slice in Hounsfield units to one finished image: crop, window, resize, quantise.

The finished image is the same to the last bit on every machine. The crop copies. The window is a handful of IEEE 754
operations a pixel, each rounded once and never fused, followed by rounding to 1/4096 grey level. The resize works on
integers: antialiased bilinear as Pillow's BILINEAR and torch's `antialias=True` define it (a triangle whose support
grows with the reduction, cut off at the edges), with weights in units of 2^-14 that sum to exactly one. One rounding,
half up, makes the grey level. Neither vector width nor the order of sums can change any of it.
"""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache
from math import ceil, floor

import numpy as np

from pytest_medgan.errors import SettingsError
from pytest_medgan.records import Float64, Int64, UInt8

AIR = -1000.0  # HU of air, by the definition of the unit
LOWEST_TISSUE = -1024.0  # below this a 12-bit scanner measures nothing: values there pad the circle of reconstruction
_FRACTION_BITS = 12  # of a grey level, before the resize
WEIGHT_BITS = 14  # of a resize weight; 8 + 12 + 14 + 14 bits stay far below int64


def finish_image(
    hounsfield: Float64, *, corner: tuple[int, int], crop_size: int, size: int, window: tuple[float, float]
) -> UInt8:
    """Return one slice as a finished image.

    Air fills what lies beyond the edge, and stands in for NaN (padding) and for values below -1024 HU.

    Args:
        hounsfield: Float64 [H,W] HU.
        corner: The crop's first row and column (`crop_corner`).
        crop_size: Pixels cut from the slice, a side.
        size: Pixels of the finished image, a side.
        window: The HU of grey 0 and 255.

    Returns:
        uint8 [size,size].

    Raises:
        SettingsError: The crop, size or window makes no image.
    """
    check_geometry(crop_size, size, window)
    return resize(to_grey(crop(hounsfield, *corner, crop_size), window), size)


def upright(image: UInt8, orientation: tuple[float, ...]) -> UInt8:
    """Turn an image so that rows run to the patient's left and columns to the back, whatever plane was stored.

    Without it a prone scan, which scanners store turned by 180 degrees, would be the only one upside down.

    Args:
        image: uint8 [size,size].
        orientation: ImageOrientationPatient of an axial plane.
    """
    along_row, along_column = orientation[:3], orientation[3:]
    if abs(along_row[0]) < abs(along_row[1]):  # rows run front to back
        image, along_row, along_column = image.T, along_column, along_row
    if along_row[0] < 0:
        image = image[:, ::-1]
    if along_column[1] < 0:
        image = image[::-1]
    return np.ascontiguousarray(image)


def check_geometry(crop_size: int, size: int, window: tuple[float, float]) -> None:
    """Raise SettingsError for a crop, size or window that makes no image."""
    for name, value in (("crop_size", crop_size), ("size", size)):
        if not 1 <= value <= 4096:
            raise SettingsError(f"{name} is {value}. Give 1 to 4096 pixels.")
    low, high = window
    if not (np.isfinite(low) and np.isfinite(high) and low < high):
        raise SettingsError(f"window is {low} to {high} HU. Give two finite numbers, the lower first.")


def crop_corner(rows: int, columns: int, centre: tuple[Fraction, Fraction] | None, crop_size: int) -> tuple[int, int]:
    """Return the crop's first row and column; either may be negative or beyond the image.

    Args:
        rows: Of the image.
        columns: Of the image.
        centre: Row and column the crop lies on, pixel centres being whole numbers; None takes the image's middle.
        crop_size: Pixels a side.
    """
    row, column = centre if centre is not None else (Fraction(rows - 1, 2), Fraction(columns - 1, 2))
    reach = Fraction(crop_size - 1, 2)
    return floor(row - reach + Fraction(1, 2)), floor(column - reach + Fraction(1, 2))


def crop(hounsfield: Float64, top: int, left: int, crop_size: int) -> Float64:
    """Cut float64 [H,W] to [crop_size,crop_size] from row `top` and column `left`; air lies beyond the edge."""
    rows, columns = hounsfield.shape
    cut = np.full((crop_size, crop_size), AIR)
    inner_top, inner_left = max(top, 0), max(left, 0)
    bottom, right = min(top + crop_size, rows), min(left + crop_size, columns)
    if inner_top < bottom and inner_left < right:
        inside = hounsfield[inner_top:bottom, inner_left:right]
        cut[inner_top - top : bottom - top, inner_left - left : right - left] = inside
    cut[~(cut >= LOWEST_TISSUE)] = AIR  # written so that NaN is air too
    return cut


def to_grey(hounsfield: Float64, window: tuple[float, float]) -> Int64:
    """Return float64 [..., H, W] HU as int64 grey levels 0..255 in units of 2^-12; the window's ends clip."""
    low, high = window
    clipped = np.minimum(np.maximum(hounsfield, low), high)
    scale = (255 << _FRACTION_BITS) / (high - low)
    return np.rint((clipped - low) * scale).astype(np.int64)


def resize(grey: Int64, size: int) -> UInt8:
    """Return int64 [H,W] grey in units of 2^-12 as uint8 [size,size]: antialiased bilinear, one rounding."""
    if grey.shape == (size, size):
        return ((grey + (1 << (_FRACTION_BITS - 1))) >> _FRACTION_BITS).astype(np.uint8)
    narrow = _weighted(grey, *resize_weights(grey.shape[1], size))  # across columns
    small = _weighted(narrow.T, *resize_weights(grey.shape[0], size)).T
    shift = _FRACTION_BITS + 2 * WEIGHT_BITS
    return np.ascontiguousarray(((small + (1 << (shift - 1))) >> shift).astype(np.uint8))


def _weighted(values: Int64, taps: Int64, weights: Int64) -> Int64:
    """Return weighted sums of neighbouring columns, [H,W] -> [H,out]; `taps` and `weights` are [taps,out]."""
    total: Int64 = values[:, taps[0]] * weights[0]
    for tap, weight in zip(taps[1:], weights[1:], strict=True):
        total += values[:, tap] * weight
    return total


@lru_cache(maxsize=32)
def resize_weights(length: int, size: int) -> tuple[Int64, Int64]:
    """Return which pixels of a line of `length` make each of `size` pixels, and their share: int64 [taps,size] twice.

    Shares are triangle weights in units of 2^-14, worked out in whole fractions. Each column sums to exactly 2^14:
    what rounding leaves over goes to the largest share.
    """
    scale = Fraction(length, size)
    support = max(scale, Fraction(1))
    count = 2 * ceil(support) + 1
    taps = np.zeros((count, size), np.int64)
    weights = np.zeros((count, size), np.int64)
    for pixel in range(size):
        centre = (pixel + Fraction(1, 2)) * scale
        first = max(0, floor(centre - support + Fraction(1, 2)))
        last = min(length, floor(centre + support + Fraction(1, 2)))
        shares = [max(Fraction(0), 1 - abs(at + Fraction(1, 2) - centre) / support) for at in range(first, last)]
        whole = [floor(share / sum(shares) * (1 << WEIGHT_BITS) + Fraction(1, 2)) for share in shares]
        whole[whole.index(max(whole))] += (1 << WEIGHT_BITS) - sum(whole)
        taps[: len(whole), pixel] = range(first, last)
        weights[: len(whole), pixel] = whole
    used = int(np.flatnonzero(weights.any(axis=1)).max()) + 1
    return taps[:used], weights[:used]
