"""Add what the scanner adds to a phantom slice: couch and noise, in whole numbers."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from pytest_medgan.phantom.body import Body
from pytest_medgan.phantom.canvas import SIZE, STEP, Canvas, Tiles, lay, patient_axis
from pytest_medgan.phantom.field import Draws, enlarge, ramp
from pytest_medgan.records import Float64

_BAND = 64  # rows that are worked on at a time, so that they stay in the processor's cache
_SHOULDERS = 165.0  # mm; above this height the longest rays are noisier


def scan(canvas: Canvas, draws: Draws) -> npt.NDArray[np.int16]:
    """Return the painted body in the whole field of view with couch and noise, HU in whole numbers, int16 [512,512]."""
    image = _couch(canvas.body).copy()
    rows, columns = canvas.shape
    part = image[canvas.row : canvas.row + rows, canvas.column : canvas.column + columns]
    tiles = Tiles.where(canvas.below(canvas.outline, -0.8) & ~canvas.above(canvas.outline, -0.8))
    tiles.put(part, tiles.take(canvas.hu))
    tiles = Tiles.where(canvas.below(canvas.outline, 0.8) & canvas.above(canvas.outline, -0.8))
    edge = tiles.take(part)
    lay(edge, ramp(tiles.grow(canvas.outline), 1.6), tiles.take(canvas.hu))
    tiles.put(part, edge)
    whole = np.empty((SIZE, SIZE), np.int16)
    wide = canvas.h > 190.0
    grain, strength = _grain(draws, wide=wide), _strength(canvas.body, max(canvas.h, _SHOULDERS))
    for first in range(0, SIZE, _BAND):
        band = slice(first, first + _BAND)
        values = grain[band] * (1.0 / (1650.0 if wide else 980.0))
        values *= strength[band]
        values += image[band]
        whole[band] = np.rint(values, out=values)
    return np.clip(whole, -1024, 3071, out=whole)


@lru_cache(maxsize=2)
def _strength(body: Body, h: float) -> Float64:
    """Return the noise's standard deviation at one height, float64 [512,512] HU.

    Attenuation makes noise: most in the middle, and across the shoulders along the longest rays.
    """
    axis = patient_axis(body.person.spacing)[: SIZE + 1 : STEP]
    x, y = body.to_standard(axis[None, :], axis[:, None])
    radial = (x * x) / 26000.0 + (y * y) / 14000.0
    strength = body.person.noise * (0.35 + 0.75 / (1.0 + radial * radial * 0.8))
    return enlarge(strength + (h - _SHOULDERS) * 0.14 / (1.0 + y * y / 2500.0), STEP)


def _grain(draws: Draws, *, wide: bool) -> npt.NDArray[np.integer]:
    """Return noise with the grain of a soft kernel, whole numbers [512,512]; their spread depends on `wide` alone."""
    side = SIZE + 6
    words = draws.bits((side * side * 2 + 7) // 8)
    raw = words.astype("<u8").view(np.uint8)[: side * side * 2].astype(np.int16)
    white = raw[: side * side].reshape(side, side) + raw[side * side :].reshape(side, side) - 255
    down = white[:-2] + 2 * white[1:-1] + white[2:]
    across = down[:, :-2] + 2 * down[:, 1:-1] + down[:, 2:]
    # filtered back projection leaves little noise at the longest wavelengths
    broad = white[:-4] + white[1:-3] + white[2:-2] + white[3:-1] + white[4:]
    broad = broad[:, :-4] + broad[:, 1:-3] + broad[:, 2:-2] + broad[:, 3:-1] + broad[:, 4:]
    blurred = across[1:-1, 1:-1] * 2 - broad
    if wide:  # noise of weak rays is smeared along the line of the shoulders
        spread = blurred.astype(np.int32)
        blurred = spread[:, :-2] + spread[:, 1:-1] + spread[:, 2:]
    top, left = (blurred.shape[0] - SIZE) // 2, (blurred.shape[1] - SIZE) // 2
    grain: npt.NDArray[np.integer] = blurred[top : top + SIZE, left : left + SIZE]
    return grain


@lru_cache(maxsize=1)
def _couch(body: Body) -> Float64:
    """Return air and the couch under the patient, float64 [512,512] HU.

    A flat top or a trough of carbon fibre, with a mattress that barely shows.
    """
    person = body.person
    spacing = person.spacing
    axis = patient_axis(spacing)[:SIZE]
    bottom = (112.0 + 0.55 * person.fat) * person.depth + person.place[1] + 4.0
    row0 = int(min(max((bottom - 30.0) / spacing + 255.5, 0.0), SIZE - 1.0))
    x, y = axis[None, :], axis[row0:, None]
    image = np.full((SIZE, SIZE), -1000.0)
    if person.table == 0:
        pad = np.maximum(np.abs(y - bottom - 4.0) - 7.0, np.abs(x) - 205.0)
        plate = np.maximum(np.abs(np.abs(y - bottom - 16.0) - 4.0) - 0.8, np.abs(x) - 215.0)
        trough = np.abs(y - (bottom + 62.0 - x * x * 0.00085)) - 1.6
    else:
        curve = x * x * 0.00075
        pad = np.maximum(np.abs(y - bottom - 2.0 + 0.4 * curve) - 6.0, np.abs(x) - 190.0)
        plate = np.abs(y - (bottom + 22.0 - curve)) - 1.2
        trough = np.abs(y - (bottom + 58.0 - 1.15 * curve)) - 1.2
    edge = np.abs(x) - 190.0
    for shape, value in ((pad, -955.0), (plate, -560.0), (np.maximum(trough, edge), -240.0)):
        lay(image[row0:], ramp(shape, 1.4), value)
    return image
