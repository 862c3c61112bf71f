"""The tumour on a canvas: ball, spicules in the lung, a faint halo, a core of lower density."""

from __future__ import annotations

import numpy as np

from pytest_medgan.phantom.canvas import Canvas
from pytest_medgan.phantom.field import ramp
from pytest_medgan.phantom.tube_painting import nearest_pixels
from pytest_medgan.phantom.tumour import Tumour
from pytest_medgan.records import Float64


def paint_tumour(canvas: Canvas, tumour: Tumour, blood: float, lung: Float64) -> None:
    """Paint the tumour where the slice meets it.

    Args:
        canvas: The slice.
        tumour: In the standard frame.
        blood: HU of blood, which depends on the amount of contrast medium.
        lung: How much of each pixel is lung, [rows,columns] in 0..1.
    """
    h = canvas.h
    if abs(h - tumour.centre[2]) > 2.2 * tumour.radius + 14.0:
        return
    reach = 1.9 * tumour.radius + 16.0
    cx, cy, _ = tumour.centre
    box = canvas.box(cx - reach, cx + reach, cy - reach, cy + reach)
    x, y = canvas.coordinates(box)
    if not x.size:
        return
    hu = canvas.hu[box]
    grain = canvas.grow(canvas.sheet("fine"), box)
    at = np.nonzero(tumour.bound(x, y, h) < 12.5)  # beyond, neither ball nor halo covers a pixel
    x, y, grain = x[at], y[at], grain[at]
    ball = tumour.distance(x, y, h) + 1.2 * grain
    hu[at] += 0.30 * ramp(ball - 2.5 + 4.0 * grain, 9.0) * lung[box][at] * (-350.0 - hu[at])
    slab = 0.3 * canvas.thickness
    pixels, spikes = nearest_pixels(canvas, tumour.spikes, tumour.spikes.crossing(h, slab), 0.8, slab=slab)
    whole = canvas.hu.reshape(-1)
    whole[pixels] += 0.75 * ramp(spikes, 1.6) * lung.reshape(-1)[pixels] * (10.0 - whole[pixels])
    flesh = 42.0 + 0.16 * (blood - 40.0) + 12.0 * grain
    core = ramp(ball + 0.55 * tumour.radius + 5.0 * grain, 6.0) * tumour.necrosis
    hu[at] += ramp(ball, 1.8) * (flesh - 26.0 * core - hu[at])
    if tumour.cavity:
        hollow = tumour.distance(x + 3.0, y - 2.0, h) + (1.0 - tumour.cavity) * tumour.radius + 4.0 * grain
        hollow = np.maximum(hollow, ball + 3.5)  # a wall of 3.5 mm remains
        hu[at] += ramp(hollow, 2.2) * (-900.0 - hu[at])
