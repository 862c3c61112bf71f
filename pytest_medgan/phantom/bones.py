"""Bones of the phantom: spine, ribs that appear at some heights only, breastbone, shoulder blades, collar bones."""

from __future__ import annotations

from math import sqrt

import numpy as np

from pytest_medgan.phantom.canvas import Canvas, Tiles, lay
from pytest_medgan.phantom.field import Profile, ellipsoid, ramp
from pytest_medgan.phantom.tube_painting import nearest_pixels, paint_tubes
from pytest_medgan.phantom.tubes import Tubes
from pytest_medgan.records import Float64

_LEVEL = 25.0  # mm from vertebra to vertebra, and from rib to rib
_DISC = 5.0
# how far a rib has descended along its way from the spine (0) to the breastbone (1), mm
_DESCENT = Profile((0.0, 0.0), (0.2, 14.0), (0.5, 60.0), (0.8, 96.0), (1.0, 84.0))
_CAGE_SIDE = Profile((60, 140), (120, 132), (160, 116), (195, 90), (222, 60))
_CAGE_BEHIND = Profile((60, 93), (120, 87), (160, 76), (195, 68), (222, 62))
_FRONT = Profile((40, -97), (120, -93), (160, -76), (200, -46), (222, -24))

Segment = tuple[float, float, float, float, float]  # x0, y0, x1, y1, radius


def _paint_bars(canvas: Canvas, bars: list[Segment], cortex: float, marrow: float, depth: float) -> None:
    """Paint rounded bars that lie in the slice's plane as one bone."""
    h = canvas.h
    tubes = Tubes(
        np.asarray([(x, y, h) for x, y, _, _, _ in bars]),
        np.asarray([(x, y, h) for _, _, x, y, _ in bars]),
        np.asarray([(radius, radius) for _, _, _, _, radius in bars]),
    )
    pixels, distance = nearest_pixels(canvas, tubes, np.arange(len(bars)), 0.7)
    hu = canvas.hu.reshape(-1)
    part = hu[pixels]
    lay(part, ramp(distance, 1.4), _shell(distance, cortex, marrow, depth))
    hu[pixels] = part


def _shell(distance: Float64, cortex: float, marrow: Float64 | float, depth: float) -> Float64:
    """Return the HU of a bone: dense outside, spongy inside."""
    return marrow + (cortex - marrow) * ramp(-depth - distance, 2.0)


def paint_spine(canvas: Canvas) -> None:
    """Paint a vertebra or a disc, the canal with its cord, and the arch and processes of the level."""
    body, bone = canvas.body, canvas.body.person.bone
    back = body.spine_back(canvas.h)
    box = canvas.box(-22.0, 22.0, back - 18.0, back + 33.0)
    x, y = canvas.coordinates(box)
    if not x.size:
        return
    phase = (canvas.h + body.person.ribs + 200.0) % _LEVEL
    disc = phase < _DISC
    waist = abs(phase - 15.0) * 0.12  # a vertebra is widest at its ends
    column = ellipsoid((x, y - back), (17.6 + waist, 14.6 + 0.5 * waist))
    canal = ellipsoid((x, y - back - 21.5), (11.0, 8.6))
    column = np.maximum(column, -canal - 1.0)
    grain = canvas.grow(canvas.sheet("fine"), box) * 60.0
    spongy = 150.0 * bone + grain
    inner = np.full_like(spongy, 80.0) if disc else _shell(column, 430.0 * bone, spongy, 1.4)
    spin = max(0.0, 1.0 - abs(phase - 8.0) / 10.0)
    arch: list[Segment] = []
    for side in (-1.0, 1.0):
        if phase > 8.0:
            arch.append((side * 11.0, back + 9.0, side * 13.5, back + 21.0, 4.2))
            arch.append((side * 14.0, back + 21.0, side * 36.0, back + 29.0, 4.6 - abs(phase - 16.0) * 0.28))
        arch.append((side * 13.0, back + 23.0, side * 3.0, back + 36.0, 3.6))
    arch.append((0.0, back + 35.0, 0.0, back + 42.0 + 20.0 * spin, 2.6 + 1.4 * spin))
    canvas.paint_box(box, ramp(column, 1.4), inner)
    _paint_bars(canvas, arch, 460.0 * bone, 190.0 * bone, 1.3)
    canvas.paint_box(box, ramp(canal, 1.4), -20.0)
    canvas.paint_box(box, ramp(ellipsoid((x, y - back - 21.5), (7.6, 6.2)), 1.4), 38.0)


def paint_ribs(canvas: Canvas) -> None:
    """Paint the ribs where the slice cuts them."""
    if canvas.h >= 225.0:
        return
    body, bone, cage, around = canvas.body, canvas.body.person.bone, canvas.cage(), _position_round_chest(canvas)
    tiles = Tiles.where(canvas.above(cage, -0.5) & canvas.below(cage, 10.5) & canvas.above(around, 0.07))
    cage, around, hu = tiles.grow(cage), tiles.grow(around), tiles.take(canvas.hu)
    at = np.nonzero((cage > -0.5) & (cage < 10.5) & (around > 0.07))
    depth, way = cage[at] - 4.8, around[at]
    climb = canvas.h - body.person.ribs + _DESCENT(way) + 600.0
    level = climb - _LEVEL * np.floor(climb / _LEVEL) - 0.5 * _LEVEL
    distance = (np.sqrt(depth * depth / 19.0 + level * level / 40.0) - 1.0) * 4.4
    cortex, marrow = 520.0 * bone, 190.0 * bone
    gristle = np.minimum(np.maximum((way - 0.80) * 40.0, 0.0), 1.0)
    value = _shell(distance, cortex, marrow, 1.0)
    value = value + gristle * (95.0 - value)
    cover = ramp(distance, 1.5) * np.minimum(np.maximum((0.955 - way) * 40.0, 0.0), 1.0)
    hu[at] += cover * (value - hu[at])
    tiles.put(canvas.hu, hu)


def _position_round_chest(canvas: Canvas) -> Float64:
    """Return the position round the chest, on coarse nodes: 0 at the spine, 0.5 at the side, 1 at the breastbone."""
    wide, deep = _CAGE_SIDE(canvas.h), _CAGE_BEHIND(canvas.h)
    u, v = np.abs(canvas.bent_x) / wide, canvas.bent_y / deep
    share = u / (u + np.abs(v) + 1e-6)
    return np.where(v > 0.0, 0.5 * share, 1.0 - 0.5 * share)


def paint_breastbone(canvas: Canvas) -> None:
    """Paint the manubrium above, the body below, and the cartilage at both sides."""
    h = canvas.h
    if not 46.0 < h < 204.0:
        return
    bone = canvas.body.person.bone
    half = 23.0 if h > 168.0 else 12.0 + (h - 46.0) * 0.05
    front = _FRONT(h) - 5.0
    plate = [(-half, front + 1.0, 0.0, front - 1.0, 5.4), (0.0, front - 1.0, half, front + 1.0, 5.4)]
    _paint_bars(canvas, plate, 330.0 * bone, 130.0 * bone, 1.2)


def paint_shoulders(canvas: Canvas) -> None:
    """Paint shoulder blades, collar bones and the heads of the humeri."""
    h, bone = canvas.h, canvas.body.person.bone
    clavicle = Tubes(
        np.asarray([[-22.0, -34.0, 196.0], [22.0, -34.0, 196.0]]),
        np.asarray([[-128.0, -2.0, 232.0], [128.0, -2.0, 232.0]]),
        np.asarray([[8.0, 6.0], [8.0, 6.0]]),
    )
    paint_tubes(canvas, clavicle, 430.0 * bone)
    paint_tubes(canvas, clavicle, 200.0 * bone, extra_radius=-2.6)
    for side in (-1.0, 1.0):
        parts = _scapula(h, side)
        if h > 226.0:
            parts.append((side * 148.0, 20.0, side * 150.0, 21.0, min(22.0, 8.0 + (h - 226.0))))
        if parts:
            _paint_bars(canvas, parts, 470.0 * bone, 190.0 * bone, 1.5)


def _scapula(h: float, side: float) -> list[Segment]:
    """Return a shoulder blade: it follows the chest wall, thickens to the neck above and carries its spine."""
    if not 96.0 < h < 236.0:
        return []
    wide, deep = _CAGE_SIDE(max(h, 110.0)) + 19.0, _CAGE_BEHIND(max(h, 110.0)) + 18.0
    growth = min((h - 96.0) / 60.0, 1.0)

    def on_wall(x: float) -> float:
        share = min(x / wide, 0.97)
        return deep * sqrt(1.0 - share * share)

    inner, outer = 92.0 - 22.0 * growth, 100.0 + 24.0 * growth
    middle = 0.5 * (inner + outer)
    parts = [
        (side * inner, on_wall(inner), side * middle, on_wall(middle), 2.3),
        (side * middle, on_wall(middle), side * outer, on_wall(outer) + 6.0 * growth, 2.9),
    ]
    if h > 150.0:
        parts.append(
            (side * outer, on_wall(outer) + 4.0, side * (outer + 8.0), on_wall(outer) - 8.0, 4.0 + (h - 150.0) * 0.06)
        )
    if h > 186.0:
        parts.append((side * middle, on_wall(middle), side * (outer + 10.0), on_wall(middle) + 18.0, 3.2))
    return parts
