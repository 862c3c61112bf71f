"""Tubes on a canvas: great vessels, airways, fine branches, spicules.

A tube covers few pixels, so distances are computed for pairs of one piece and one pixel near it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pytest_medgan.phantom.canvas import STEP, TILE, Canvas, Tiles
from pytest_medgan.phantom.field import ramp
from pytest_medgan.phantom.tubes import Tubes
from pytest_medgan.records import Bool, Float64, Int64

FAR = 1e3  # mm; a distance beyond every reach
_SOFT = 1.3  # mm over which the edge of a branch fades


@dataclass(frozen=True, eq=False)
class Pairs:
    """Pieces of tubes and the pixels (or coarse nodes) near each of them, K pairs."""

    piece: Int64  # [K]
    row: Int64  # [K]
    column: Int64  # [K]


def tube_distance(x: Float64, y: Float64, h: float, tubes: Tubes, piece: Int64, *, slab: float = 0.0) -> Float64:
    """Return the signed distance of points to one piece each, mm.

    Args:
        x: Standard coordinates, [K].
        y: Standard coordinates, [K].
        h: Height of the slice, mm.
        tubes: The pieces.
        piece: Which of them, [K].
        slab: Half of the slice's thickness: a piece within it is seen along its length.

    Returns:
        Float64 [K], negative inside.
    """
    ex, ey, eh, square, growth = tubes.edges
    ex, ey, eh = ex[piece], ey[piece], eh[piece]
    dx: Float64 = x - tubes.start[piece, 0]
    dy, dh = y - tubes.start[piece, 1], h - tubes.start[piece, 2]
    t = dx * ex
    t += dy * ey
    t += dh * eh
    t /= square[piece]
    np.maximum(t, 0.0, out=t)
    np.minimum(t, 1.0, out=t)
    dx -= t * ex
    dy -= t * ey
    dh -= t * eh
    np.abs(dh, out=dh)
    dh -= slab
    np.maximum(dh, 0.0, out=dh)
    dx *= dx
    dy *= dy
    dh *= dh
    dx += dy
    dx += dh
    np.sqrt(dx, out=dx)
    t *= growth[piece]
    t += tubes.radius[piece, 0]
    dx -= t
    return dx


def pairs_near(canvas: Canvas, tubes: Tubes, index: Int64, reach: float, *, slab: float = 0.0, step: int = 1) -> Pairs:
    """Return every pixel whose distance to a piece may be below `reach` mm, paired with that piece.

    Args:
        canvas: The slice.
        tubes: The pieces.
        index: Which of them to look at, [P].
        reach: Distance from the surface, mm.
        slab: As for `tube_distance`.
        step: 1 for pixels, STEP for coarse nodes.
    """
    start, edge = tubes.start[index], tubes.end[index] - tubes.start[index]
    wide = np.maximum(tubes.radius[index, 0], tubes.radius[index, 1]) + reach
    # only the part of a piece's axis that lies near the height of the slice can be near its pixels
    steep = np.where(np.abs(edge[:, 2]) > 1e-6, edge[:, 2], np.inf)
    middle, half = (canvas.h - start[:, 2]) / steep, np.abs((wide + slab) / steep)
    level = np.isinf(steep)
    first = np.where(level, 0.0, np.minimum(np.maximum(middle - half, 0.0), 1.0))
    last = np.where(level, 1.0, np.minimum(np.maximum(middle + half, 0.0), 1.0))
    ends = [canvas.pixel(start[:, 0] + t * edge[:, 0], start[:, 1] + t * edge[:, 1]) for t in (first, last)]
    person = canvas.body.person
    margin = wide * (1.05 * max(person.width, person.depth) / person.spacing)  # some more, for the tilt
    spans = []
    for axis, extent in ((0, canvas.hu.shape[0]), (1, canvas.hu.shape[1])):
        low = np.ceil((np.minimum(ends[0][axis], ends[1][axis]) - margin) / step)
        high = np.floor((np.maximum(ends[0][axis], ends[1][axis]) + margin) / step)
        most = (extent - 1 if step == 1 else extent) // step
        spans.append((np.maximum(low, 0).astype(np.int64), np.minimum(high, most).astype(np.int64)))
    (top, bottom), (left, right) = spans
    tall, broad = np.maximum(bottom - top + 1, 0), np.maximum(right - left + 1, 0)
    counts = tall * broad
    owner = np.repeat(np.arange(len(index)), counts)
    place = np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts)
    row, column = np.divmod(place, broad[owner])
    return Pairs(index[owner], row + top[owner], column + left[owner])


def pixel_distance(canvas: Canvas, tubes: Tubes, pairs: Pairs, *, slab: float = 0.0) -> Float64:
    """Return the distance of each pair's pixel to its piece, float64 [K] mm."""
    x, y = canvas.body.to_standard(canvas.axis[canvas.column + pairs.column], canvas.axis[canvas.row + pairs.row])
    return tube_distance(x, y, canvas.h, tubes, pairs.piece, slab=slab)


def nearest_pixels(
    canvas: Canvas, tubes: Tubes, index: Int64, reach: float, *, slab: float = 0.0
) -> tuple[Int64, Float64]:
    """Return the pixels near any of the pieces `index` [P], and their distance to the nearest one.

    Returns:
        Positions in the flat canvas, int64 [K], and mm, float64 [K].
    """
    pairs = pairs_near(canvas, tubes, index, reach, slab=slab)
    nearest = np.full(canvas.hu.size, FAR)
    pixels = pairs.row * canvas.hu.shape[1] + pairs.column
    np.minimum.at(nearest, pixels, pixel_distance(canvas, tubes, pairs, slab=slab))
    pixels = np.flatnonzero(nearest < reach)
    return pixels, nearest[pixels]


def paint_tubes(canvas: Canvas, tubes: Tubes, value: float, wider: float = 0.0, softness: float = 1.0) -> None:
    """Paint great vessels and airways; `wider` mm are added to the radius."""
    pairs = pairs_near(canvas, tubes, tubes.crossing(canvas.h, 1.0 + wider), wider + 0.5 * softness)
    distance = pixel_distance(canvas, tubes, pairs)
    distance -= wider
    # where several pieces cover a pixel, each lets through its own share of what lies beneath
    through = np.ones(canvas.shape)
    pixels = pairs.row * canvas.shape[1] + pairs.column
    np.multiply.at(through.reshape(-1), pixels, 1.0 - ramp(distance, softness))
    hu = canvas.hu.reshape(-1)
    hu[pixels] = value + (hu[pixels] - value) * through.reshape(-1)[pixels]


def coarse_distance(canvas: Canvas, tubes: Tubes, reach: float) -> Float64:
    """Return the distance to the tubes on the coarse nodes, [m,n]; far beyond `reach` mm where it is larger."""
    pairs = pairs_near(canvas, tubes, tubes.crossing(canvas.h, 4.0), reach, step=STEP)
    x, y = canvas.x[pairs.row, pairs.column], canvas.y[pairs.row, pairs.column]
    distance = tube_distance(x, y, canvas.h, tubes, pairs.piece)
    nearest = np.full(canvas.x.shape, FAR)
    np.minimum.at(nearest.reshape(-1), pairs.row * canvas.x.shape[1] + pairs.column, distance)
    return nearest


def cover_by_branches(canvas: Canvas, tubes: Tubes, wider: tuple[float, ...] = (0.0,)) -> tuple[Tiles, list[Float64]]:
    """Cover pixels with many thin pieces; thin ones cover less of a thick slice.

    Args:
        canvas: The slice.
        tubes: The pieces.
        wider: mm added to every radius, ascending; one layer each.

    Returns:
        The tiles that any piece touches, and per layer how much of each pixel of the canvas is covered,
        [rows,columns] in 0..1.
    """
    slab = 0.3 * canvas.thickness
    pairs = pairs_near(canvas, tubes, tubes.crossing(canvas.h, slab + wider[-1]), wider[-1] + 0.5 * _SOFT, slab=slab)
    distance = pixel_distance(canvas, tubes, pairs, slab=slab)
    radius = 0.5 * (tubes.radius[:, 0] + tubes.radius[:, 1])
    layers = []
    for more in wider:
        strength = np.minimum(0.30 + 0.50 * (radius + more), 1.0)
        met = np.zeros(len(radius))
        met[tubes.crossing(canvas.h, slab + more)] = 1.0
        layer = np.zeros(canvas.shape)
        cover = ramp(distance - more, _SOFT) * (strength * met)[pairs.piece] * _in_window(canvas, tubes, pairs, more)
        np.maximum.at(layer.reshape(-1), pairs.row * canvas.shape[1] + pairs.column, cover)
        layers.append(layer)
    touched = np.zeros((canvas.shape[0] // TILE, canvas.shape[1] // TILE), bool)
    touched[pairs.row // TILE, pairs.column // TILE] = True
    return Tiles.where(touched), layers


def _in_window(canvas: Canvas, tubes: Tubes, pairs: Pairs, wider: float) -> Bool:
    """Return which pixels lie in the window round the middle of their piece, [K].

    The window has 16 pixels a side, for long and thick pieces 36: the tip of a short one that widens much is cut off.
    """
    middle, span = 0.5 * (tubes.start + tubes.end), tubes.end - tubes.start
    half = 0.5 * np.sqrt(span[:, 0] * span[:, 0] + span[:, 1] * span[:, 1])
    radius = 0.5 * (tubes.radius[:, 0] + tubes.radius[:, 1]) + wider
    side = np.where(half + radius + 1.0 > 6.0, 36, 16)[pairs.piece]
    rows, columns = canvas.pixel(middle[pairs.piece, 0], middle[pairs.piece, 1])
    inside = np.ones(len(side), bool)
    for pixel, centre in ((pairs.row, rows), (pairs.column, columns)):
        first = centre.astype(np.int64) - side // 2 + 1
        inside &= (pixel >= first) & (pixel < first + side)
    return inside
