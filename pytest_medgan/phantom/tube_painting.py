"""Paint tubes on a canvas: great vessels, airways, fine branches, spicules.

A tube covers few pixels, so distances are computed only for pairs of a piece and a pixel near it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pytest_medgan.phantom.canvas import STEP, TILE, Canvas, Tiles
from pytest_medgan.phantom.field import ramp
from pytest_medgan.phantom.tubes import Tubes
from pytest_medgan.records import Bool, Float64, Int64

FAR = 1e3  # mm; stands for any distance that is not computed
_EDGE_WIDTH = 1.3  # mm over which the cover at the edge of a branch falls from 1 to 0


@dataclass(frozen=True, eq=False)
class Pairs:
    """Pieces of tubes and the pixels (or coarse nodes) near each of them, K pairs."""

    piece: Int64  # [K]
    row: Int64  # [K]
    column: Int64  # [K]


def tube_distance(x: Float64, y: Float64, h: float, tubes: Tubes, piece: Int64, *, slab: float = 0.0) -> Float64:
    """Return the signed distance of each point to its own piece, mm.

    Args:
        x: x of the points in the standard frame, [K] mm.
        y: y of the points in the standard frame, [K] mm.
        h: Height of the slice, mm.
        tubes: The pieces.
        piece: For each point the index of its piece, [K].
        slab: Half of the slice's thickness, mm; distances along h are reduced by it.

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
    """Return each pair of a piece and a pixel that may be closer than `reach` mm.

    Args:
        canvas: The slice.
        tubes: The pieces.
        index: The indices of the pieces to pair, [P].
        reach: Distance from the surface of a piece, mm.
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
    margin = wide * (1.05 * max(person.width, person.depth) / person.spacing)  # 5 percent more, because of the tilt
    spans = []
    for axis, extent in ((0, canvas.hu.shape[0]), (1, canvas.hu.shape[1])):
        low = np.ceil((np.minimum(ends[0][axis], ends[1][axis]) - margin) / step)
        high = np.floor((np.maximum(ends[0][axis], ends[1][axis]) + margin) / step)
        last_cell = (extent - 1 if step == 1 else extent) // step
        spans.append((np.maximum(low, 0).astype(np.int64), np.minimum(high, last_cell).astype(np.int64)))
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
    """Return the pixels near at least one of the pieces `index` [P], and the distance to the nearest piece.

    Returns:
        Indices into the flattened canvas, int64 [K], and distances in mm, float64 [K].
    """
    pairs = pairs_near(canvas, tubes, index, reach, slab=slab)
    nearest = np.full(canvas.hu.size, FAR)
    pixels = pairs.row * canvas.hu.shape[1] + pairs.column
    np.minimum.at(nearest, pixels, pixel_distance(canvas, tubes, pairs, slab=slab))
    pixels = np.flatnonzero(nearest < reach)
    return pixels, nearest[pixels]


def paint_tubes(canvas: Canvas, tubes: Tubes, value: float, extra_radius: float = 0.0, softness: float = 1.0) -> None:
    """Paint great vessels and airways; `extra_radius` (mm) is added to each radius."""
    pairs = pairs_near(canvas, tubes, tubes.crossing(canvas.h, 1.0 + extra_radius), extra_radius + 0.5 * softness)
    distance = pixel_distance(canvas, tubes, pairs)
    distance -= extra_radius
    # if several pieces cover a pixel, the background shows with the product of what each leaves uncovered
    through = np.ones(canvas.shape)
    pixels = pairs.row * canvas.shape[1] + pairs.column
    np.multiply.at(through.reshape(-1), pixels, 1.0 - ramp(distance, softness))
    hu = canvas.hu.reshape(-1)
    hu[pixels] = value + (hu[pixels] - value) * through.reshape(-1)[pixels]


def coarse_distance(canvas: Canvas, tubes: Tubes, reach: float) -> Float64:
    """Return the distance to the tubes on the coarse nodes, [m,n]; FAR where it exceeds `reach` mm."""
    pairs = pairs_near(canvas, tubes, tubes.crossing(canvas.h, 4.0), reach, step=STEP)
    x, y = canvas.x[pairs.row, pairs.column], canvas.y[pairs.row, pairs.column]
    distance = tube_distance(x, y, canvas.h, tubes, pairs.piece)
    nearest = np.full(canvas.x.shape, FAR)
    np.minimum.at(nearest.reshape(-1), pairs.row * canvas.x.shape[1] + pairs.column, distance)
    return nearest


def cover_by_branches(
    canvas: Canvas, tubes: Tubes, extra_radii: tuple[float, ...] = (0.0,)
) -> tuple[Tiles, list[Float64]]:
    """Return how much of each pixel is covered by many thin pieces; thinner pieces cover less of a thick slice.

    Args:
        canvas: The slice.
        tubes: The pieces.
        extra_radii: mm added to every radius, ascending; there is one layer for each.

    Returns:
        The tiles that a piece touches, and for each layer the covered share of each pixel, [rows,columns] in 0..1.
    """
    slab = 0.3 * canvas.thickness
    pairs = pairs_near(
        canvas, tubes, tubes.crossing(canvas.h, slab + extra_radii[-1]), extra_radii[-1] + 0.5 * _EDGE_WIDTH, slab=slab
    )
    distance = pixel_distance(canvas, tubes, pairs, slab=slab)
    radius = 0.5 * (tubes.radius[:, 0] + tubes.radius[:, 1])
    layers = []
    for extra_radius in extra_radii:
        strength = np.minimum(0.30 + 0.50 * (radius + extra_radius), 1.0)
        crossing = np.zeros(len(radius))
        crossing[tubes.crossing(canvas.h, slab + extra_radius)] = 1.0
        layer = np.zeros(canvas.shape)
        cover = (
            ramp(distance - extra_radius, _EDGE_WIDTH)
            * (strength * crossing)[pairs.piece]
            * _in_window(canvas, tubes, pairs, extra_radius)
        )
        np.maximum.at(layer.reshape(-1), pairs.row * canvas.shape[1] + pairs.column, cover)
        layers.append(layer)
    touched = np.zeros((canvas.shape[0] // TILE, canvas.shape[1] // TILE), bool)
    touched[pairs.row // TILE, pairs.column // TILE] = True
    return Tiles.where(touched), layers


def _in_window(canvas: Canvas, tubes: Tubes, pairs: Pairs, extra_radius: float) -> Bool:
    """Return which pixels lie in the square window centred on the middle of their piece, [K].

    The window is 16 x 16 pixels, or 36 x 36 for long and thick pieces. It may cut off the tip of a short, wide piece.
    """
    middle, span = 0.5 * (tubes.start + tubes.end), tubes.end - tubes.start
    half = 0.5 * np.sqrt(span[:, 0] * span[:, 0] + span[:, 1] * span[:, 1])
    radius = 0.5 * (tubes.radius[:, 0] + tubes.radius[:, 1]) + extra_radius
    side = np.where(half + radius + 1.0 > 6.0, 36, 16)[pairs.piece]
    rows, columns = canvas.pixel(middle[pairs.piece, 0], middle[pairs.piece, 1])
    inside = np.ones(len(side), bool)
    for pixel, centre in ((pairs.row, rows), (pairs.column, columns)):
        first = centre.astype(np.int64) - side // 2 + 1
        inside &= (pixel >= first) & (pixel < first + side)
    return inside
