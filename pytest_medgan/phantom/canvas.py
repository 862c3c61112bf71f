"""One slice being painted: the part of the image that the body covers, in HU, with its coordinates.

Large organs are surfaces computed on coarse nodes, one every STEP pixels. A surface touches few pixels, so it is
enlarged and painted only on the tiles of TILE x TILE pixels whose nodes say that it can reach them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from pytest_medgan.phantom.body import Body
from pytest_medgan.phantom.field import enlarge
from pytest_medgan.records import Bool, Float64, Int64

SIZE = 512  # pixels per side
STEP = 4  # pixels between coarse nodes
TILE = 16  # pixels per side of a tile
_NODES = TILE // STEP  # cells per side of a tile
_ROUNDING = 1e-6  # mm by which an interpolated distance may lie below all of its nodes, and more
Box = tuple[slice, slice]


def patient_axis(spacing: float) -> Float64:
    """Return the DICOM patient coordinate (mm) of each column, and of each row: the image is centred on 0."""
    return (np.arange(SIZE + STEP + 1, dtype=np.float64) - (SIZE - 1) * 0.5) * spacing


@dataclass(frozen=True, eq=False)
class Tiles:
    """Some tiles of a canvas, T of them."""

    rows: Int64  # [T], tile row
    columns: Int64  # [T], tile column

    def __len__(self) -> int:
        return len(self.rows)

    def grow(self, coarse: Float64) -> Float64:
        """Enlarge coarse nodes [m,n] to the pixels of the tiles, [T,TILE,TILE]."""
        window = np.arange(_NODES + 1)
        rows = self.rows[:, None] * _NODES + window
        columns = self.columns[:, None] * _NODES + window
        return enlarge(coarse[rows[:, :, None], columns[:, None, :]], STEP)

    def take(self, plane: Float64) -> Float64:
        """Copy the tiles out of a plane of pixels, [T,TILE,TILE]."""
        return _tiled(plane)[self.rows, self.columns]

    def put(self, plane: Float64, values: Float64) -> None:
        """Copy tiles [T,TILE,TILE] into a plane of pixels."""
        _tiled(plane)[self.rows, self.columns] = values

    @classmethod
    def where(cls, chosen: Bool) -> Tiles:
        """Return the tiles that a mask [tile rows, tile columns] names."""
        return cls(*np.nonzero(chosen))


def _tiled(plane: Float64) -> Float64:
    """Return a view of a plane as [tile rows, tile columns, TILE, TILE]."""
    rows, columns = plane.shape
    view: Float64 = plane.reshape(rows // TILE, TILE, columns // TILE, TILE).swapaxes(1, 2)
    return view


def _lowest(coarse: Float64) -> Float64:
    """Return the lowest node of each tile, its edges included."""
    inner = coarse[:-1].reshape(-1, _NODES, coarse.shape[1]).min(axis=1)
    rows = np.minimum(inner, coarse[_NODES::_NODES])
    inner = rows[:, :-1].reshape(len(rows), -1, _NODES).min(axis=2)
    lowest: Float64 = np.minimum(inner, rows[:, _NODES::_NODES])
    return lowest


@dataclass(eq=False)
class Canvas:
    """Pixels of the covered part and the coarse nodes over it."""

    body: Body
    h: float  # height in the standard frame, mm
    thickness: float  # of the slice, mm
    row: int  # first pixel covered, a multiple of TILE
    column: int
    x: Float64  # coarse nodes in the standard frame
    y: Float64
    bent_x: Float64  # the same, bent as the patient's organs are
    bent_y: Float64
    outline: Float64  # distance to the skin, on coarse nodes
    hu: Float64  # [rows, columns]
    _sheets: dict[str, Float64] = field(default_factory=dict)
    _cages: dict[float, Float64] = field(default_factory=dict)

    @property
    def shape(self) -> tuple[int, int]:
        """Pixels, rows and columns."""
        return self.hu.shape[0], self.hu.shape[1]

    @cached_property
    def axis(self) -> Float64:
        """DICOM patient coordinate of each column, and of each row, of the whole image."""
        return patient_axis(self.body.person.spacing)

    def sheet(self, cloud: str) -> Float64:
        """Return one of the body's clouds on the coarse nodes."""
        if cloud not in self._sheets:
            rows, columns = self.x.shape
            axis = self.axis[::STEP]
            x = axis[self.column // STEP : self.column // STEP + columns]
            y = axis[self.row // STEP : self.row // STEP + rows]
            self._sheets[cloud] = getattr(self.body, cloud).sheet(x, y, self.h - 100.0)
        return self._sheets[cloud]

    def cage(self, highest: float = 1e3) -> Float64:
        """Return the distance to the ribs' inner face on the coarse nodes, the height taken as at most `highest`."""
        h = min(self.h, highest)
        if h not in self._cages:
            self._cages[h] = self.body.cage(self.bent_x, self.bent_y, h)
        return self._cages[h]

    @cached_property
    def heart(self) -> Float64:
        """Distance to the heart on the coarse nodes."""
        return self.body.heart(self.bent_x, self.bent_y, self.h)

    def below(self, coarse: Float64, limit: float) -> Bool:
        """Return on which tiles a distance can be below `limit`, [tile rows, tile columns]."""
        return _lowest(coarse) < limit + _ROUNDING

    def above(self, coarse: Float64, limit: float) -> Bool:
        """Return on which tiles a distance can be above `limit`, [tile rows, tile columns]."""
        return -_lowest(-coarse) > limit - _ROUNDING

    def grow(self, coarse: Float64, box: Box) -> Float64:
        """Enlarge coarse nodes to the pixels of a box."""
        top, left = box[0].start // STEP, box[1].start // STEP
        bottom, right = -(-box[0].stop // STEP), -(-box[1].stop // STEP)
        pixels = enlarge(coarse[top : bottom + 1, left : right + 1], STEP)
        return pixels[
            box[0].start - top * STEP : box[0].stop - top * STEP, box[1].start - left * STEP : box[1].stop - left * STEP
        ]

    def paint(self, tiles: Tiles, cover: Float64, value: Float64 | float) -> None:
        """Lay `value` over tiles; `cover` 0..1, [T,TILE,TILE]."""
        part = tiles.take(self.hu)
        lay(part, cover, value)
        tiles.put(self.hu, part)

    def paint_box(self, box: Box, cover: Float64, value: Float64 | float) -> None:
        """Lay `value` over a box; `cover` 0..1."""
        lay(self.hu[box], cover, value)

    def pixel(self, x: Float64, y: Float64) -> tuple[Float64, Float64]:
        """Map the standard frame to fractional (row, column) on the canvas."""
        spacing = self.body.person.spacing
        px, py = self.body.to_patient(x, y)
        middle = (SIZE - 1) * 0.5
        return py / spacing + middle - self.row, px / spacing + middle - self.column

    def box(self, x0: float, x1: float, y0: float, y1: float) -> Box:
        """Return the pixels that hold a rectangle of the standard frame."""
        corners_x, corners_y = np.asarray([x0, x1, x0, x1]), np.asarray([y0, y0, y1, y1])
        rows, columns = self.pixel(corners_x, corners_y)
        top, left = max(int(rows.min()) - 1, 0), max(int(columns.min()) - 1, 0)
        bottom, right = min(int(rows.max()) + 2, self.shape[0]), min(int(columns.max()) + 2, self.shape[1])
        return slice(top, max(bottom, top)), slice(left, max(right, left))

    def coordinates(self, box: Box) -> tuple[Float64, Float64]:
        """Return the standard coordinates of the pixels of a box."""
        x = self.axis[self.column + box[1].start : self.column + box[1].stop]
        y = self.axis[self.row + box[0].start : self.row + box[0].stop]
        return self.body.to_standard(x[None, :], y[:, None])


def lay(part: Float64, cover: Float64, value: Float64 | float) -> None:
    """Lay `value` over pixels in place; `cover` 0..1, of their shape."""
    change = value - part
    change *= cover
    part += change


def open_canvas(body: Body, h: float, thickness: float) -> Canvas:
    """Find what the body covers at a height and lay out its coordinates, filled with air."""
    axis = patient_axis(body.person.spacing)[: SIZE + 1 : STEP]
    x, y = body.to_standard(axis[None, :], axis[:, None])
    outline = body.outline(x, y, h) + 3.0 * body.broad.sheet(axis, axis, h - 100.0)
    covered = outline < 6.0
    (r0, r1), (c0, c1) = _tile_span(np.any(covered, axis=1)), _tile_span(np.any(covered, axis=0))
    part = slice(r0, r1 + 1), slice(c0, c1 + 1)
    x, y = x[part], y[part]
    bend_x = body.bend_x.sheet(axis[part[1]], axis[part[0]], h - 100.0)
    bend_y = body.bend_y.sheet(axis[part[1]], axis[part[0]], h - 100.0)
    hu = np.full(((r1 - r0) * STEP, (c1 - c0) * STEP), -1000.0)
    bent = x + 5.0 * bend_x, y + 5.0 * bend_y
    return Canvas(body, h, thickness, r0 * STEP, c0 * STEP, x, y, *bent, outline[part], hu)


def _tile_span(covered: Bool) -> tuple[int, int]:
    """Return the first and last node of the whole tiles that hold every covered node and one more on either side."""
    nodes = np.flatnonzero(covered)
    first, last = max(int(nodes[0]) - 1, 0), min(int(nodes[-1]) + 2, SIZE // STEP)
    return first // _NODES * _NODES, -(-last // _NODES) * _NODES
