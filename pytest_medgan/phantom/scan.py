"""The scanner's share of a phantom slice: the couch, the grain and place of the noise, whole numbers."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pytest_medgan.phantom.canvas import SIZE, STEP, Canvas, patient_axis
from pytest_medgan.phantom.field import Draws, enlarge, ramp
from pytest_medgan.records import Float64


def scan(canvas: Canvas, draws: Draws) -> npt.NDArray[np.int16]:
    """int16 [512,512] in HU: the painted body in the whole field of view, with couch and noise, in whole numbers."""
    person = canvas.body.person
    image = np.full((SIZE, SIZE), -1000.0)
    _paint_couch(image, canvas)
    rows, columns = canvas.shape
    part = slice(canvas.row, canvas.row + rows), slice(canvas.column, canvas.column + columns)
    skin = canvas.grow(canvas.outline)
    image[part] += ramp(skin, 1.6) * (canvas.hu - image[part])
    # attenuation makes noise: most in the middle, and across the shoulders along the longest rays
    axis = patient_axis(person.spacing)[: SIZE + 1 : STEP]
    x, y = canvas.body.to_standard(axis[None, :], axis[:, None])
    radial = (x * x) / 26000.0 + (y * y) / 14000.0
    strength = person.noise * (0.35 + 0.75 / (1.0 + radial * radial * 0.8))
    strength = strength + max(0.0, canvas.h - 165.0) * 0.14 / (1.0 + y * y / 2500.0)
    grain = _noise(draws, wide=canvas.h > 190.0)
    image += enlarge(strength, STEP) * grain
    image = np.minimum(np.maximum(np.rint(image), -1024.0), 3071.0)
    whole: npt.NDArray[np.int16] = image.astype(np.int16)
    return whole


def _noise(draws: Draws, *, wide: bool) -> Float64:
    """Noise with the grain of a soft kernel, standard deviation near 1, [512,512]."""
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
    if wide:  # starved rays smear along the line of the shoulders
        spread = blurred.astype(np.int32)
        blurred = spread[:, :-2] + spread[:, 1:-1] + spread[:, 2:]
    top, left = (blurred.shape[0] - SIZE) // 2, (blurred.shape[1] - SIZE) // 2
    window = blurred[top : top + SIZE, left : left + SIZE]
    noise: Float64 = window.astype(np.float64) * (1.0 / (1650.0 if wide else 980.0))
    return noise


def _paint_couch(image: Float64, canvas: Canvas) -> None:
    """A flat top or a trough of carbon fibre under the patient, with a mattress that barely shows."""
    person = canvas.body.person
    spacing = person.spacing
    axis = patient_axis(spacing)[:SIZE]
    bottom = (112.0 + 0.55 * person.fat) * person.depth + person.place[1] + 4.0
    row0 = int(min(max((bottom - 30.0) / spacing + 255.5, 0.0), SIZE - 1.0))
    x, y = axis[None, :], axis[row0:, None]
    part = image[row0:]
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
        part += ramp(shape, 1.4) * (value - part)
