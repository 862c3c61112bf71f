"""One slice being painted: the part of the image that the body covers, in HU, with its coordinates."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pytest_medgan.phantom.body import Body
from pytest_medgan.phantom.field import enlarge, ramp
from pytest_medgan.phantom.tubes import Tubes
from pytest_medgan.records import Float64, Int64

SIZE = 512  # pixels a side
STEP = 4  # pixels between the nodes on which large organs are computed
_SMALL, _LARGE = 16, 36  # sides of the stamps for thin and thick tubes, pixels
Box = tuple[slice, slice]


def patient_axis(spacing: float) -> Float64:
    """DICOM patient coordinate (mm) of each column, and of each row: the image is centred on 0."""
    return (np.arange(SIZE + STEP + 1, dtype=np.float64) - (SIZE - 1) * 0.5) * spacing


@dataclass(eq=False)
class Canvas:
    """Pixels of the covered part and the coarse nodes over it."""

    body: Body
    h: float  # height in the standard frame, mm
    thickness: float  # of the slice, mm
    row: int  # first pixel covered, a multiple of STEP
    column: int
    x: Float64  # coarse nodes in the standard frame
    y: Float64
    bent_x: Float64  # the same, bent as the patient's organs are
    bent_y: Float64
    outline: Float64  # skin, coarse
    hu: Float64  # [rows, columns]

    @property
    def shape(self) -> tuple[int, int]:
        return self.hu.shape[0], self.hu.shape[1]

    def sheet(self, cloud: str) -> Float64:
        """One of the body's clouds on the coarse nodes."""
        rows, columns = self.x.shape
        spacing = self.body.person.spacing
        axis = patient_axis(spacing)[::STEP]
        x = axis[self.column // STEP : self.column // STEP + columns]
        y = axis[self.row // STEP : self.row // STEP + rows]
        field: Float64 = getattr(self.body, cloud).sheet(x, y, self.h - 100.0)
        return field

    def grow(self, coarse: Float64) -> Float64:
        """Coarse nodes -> pixels."""
        return enlarge(coarse, STEP)

    def paint(self, cover: Float64, value: Float64 | float) -> None:
        """Lays `value` over the canvas; `cover` 0..1, [rows, columns]."""
        change = value - self.hu
        change *= cover
        self.hu += change

    def paint_box(self, box: Box, cover: Float64, value: Float64 | float) -> None:
        part = self.hu[box]
        part += cover * (value - part)

    def pixel(self, x: Float64, y: Float64) -> tuple[Float64, Float64]:
        """Standard frame -> fractional (row, column) on the canvas."""
        spacing = self.body.person.spacing
        px, py = self.body.to_patient(x, y)
        middle = (SIZE - 1) * 0.5
        return py / spacing + middle - self.row, px / spacing + middle - self.column

    def box(self, x0: float, x1: float, y0: float, y1: float) -> Box:
        """The pixels that hold a rectangle of the standard frame."""
        corners_x, corners_y = np.asarray([x0, x1, x0, x1]), np.asarray([y0, y0, y1, y1])
        rows, columns = self.pixel(corners_x, corners_y)
        top, left = max(int(np.min(rows)) - 1, 0), max(int(np.min(columns)) - 1, 0)
        bottom, right = min(int(np.max(rows)) + 2, self.shape[0]), min(int(np.max(columns)) + 2, self.shape[1])
        return slice(top, max(bottom, top)), slice(left, max(right, left))

    def coordinates(self, box: Box) -> tuple[Float64, Float64]:
        """Standard coordinates of the pixels of a box (or of the canvas)."""
        axis = patient_axis(self.body.person.spacing)
        x = axis[self.column + box[1].start : self.column + box[1].stop]
        y = axis[self.row + box[0].start : self.row + box[0].stop]
        return self.body.to_standard(x[None, :], y[:, None])


def open_canvas(body: Body, h: float, thickness: float) -> Canvas:
    """Finds what the body covers at a height and lays out its coordinates, filled with air."""
    axis = patient_axis(body.person.spacing)[: SIZE + 1 : STEP]
    x, y = body.to_standard(axis[None, :], axis[:, None])
    outline = body.outline(x, y, h) + 3.0 * body.broad.sheet(axis, axis, h - 100.0)
    covered = outline < 6.0
    rows, columns = np.flatnonzero(covered.any(axis=1)), np.flatnonzero(covered.any(axis=0))
    r0, r1 = max(int(rows[0]) - 1, 0), min(int(rows[-1]) + 2, SIZE // STEP)
    c0, c1 = max(int(columns[0]) - 1, 0), min(int(columns[-1]) + 2, SIZE // STEP)
    part = slice(r0, r1 + 1), slice(c0, c1 + 1)
    x, y = x[part], y[part]
    bend_x = body.bend_x.sheet(axis[part[1]], axis[part[0]], h - 100.0)
    bend_y = body.bend_y.sheet(axis[part[1]], axis[part[0]], h - 100.0)
    hu = np.full(((r1 - r0) * STEP, (c1 - c0) * STEP), -1000.0)
    bent = x + 5.0 * bend_x, y + 5.0 * bend_y
    return Canvas(body, h, thickness, r0 * STEP, c0 * STEP, x, y, *bent, outline[part], hu)


def tube_distance(x: Float64, y: Float64, h: float, tubes: Tubes, index: Int64, *, slab: float = 0.0) -> Float64:
    """Signed distance to pieces, [P, ...]; `x` and `y` [P or 1, ...]; within `slab` mm of its height nothing is lost.

    The half slab stands for the thickness of the slice: a vessel lying in it is seen along its length.
    """
    lead = (len(index),) + (1,) * (x.ndim - 1)
    start, edge = tubes.start[index], tubes.end[index] - tubes.start[index]
    r0, r1 = tubes.radius[index, 0].reshape(lead), tubes.radius[index, 1].reshape(lead)
    ex, ey, eh = (edge[:, k].reshape(lead) for k in range(3))
    dx, dy = x - start[:, 0].reshape(lead), y - start[:, 1].reshape(lead)
    dh = h - start[:, 2].reshape(lead)
    t = (dx * ex + dy * ey + dh * eh) / (ex * ex + ey * ey + eh * eh + 1e-9)
    t = np.minimum(np.maximum(t, 0.0), 1.0)
    dx, dy = dx - t * ex, dy - t * ey
    dh = np.maximum(np.abs(dh - t * eh) - slab, 0.0)
    distance: Float64 = np.sqrt(dx * dx + dy * dy + dh * dh) - (r0 + (r1 - r0) * t)
    return distance


def paint_tubes(canvas: Canvas, tubes: Tubes, value: float, wider: float = 0.0, softness: float = 1.0) -> None:
    """Great vessels and airways, each in its own box at full resolution; `wider` mm are added to the radius."""
    for piece in tubes.crossing(canvas.h, 1.0 + wider):
        index = np.asarray([piece])
        a, b = tubes.start[piece], tubes.end[piece]
        reach = float(max(tubes.radius[piece])) + wider + 2.0
        box = canvas.box(
            min(a[0], b[0]) - reach, max(a[0], b[0]) + reach, min(a[1], b[1]) - reach, max(a[1], b[1]) + reach
        )
        x, y = canvas.coordinates(box)
        if x.size:
            distance = tube_distance(x[None], y[None], canvas.h, tubes, index)[0] - wider
            canvas.paint_box(box, ramp(distance, softness), value)


def stamp_tubes(canvas: Canvas, tubes: Tubes, wider: float = 0.0) -> Float64:
    """How much of each pixel many thin pieces cover, [rows, columns] in 0..1; thin ones cover less of a thick slice."""
    layer = np.zeros(canvas.shape)
    slab = 0.3 * canvas.thickness
    index = tubes.crossing(canvas.h, slab + wider)
    if not len(index):
        return layer
    middle = 0.5 * (tubes.start[index] + tubes.end[index])
    span = tubes.end[index] - tubes.start[index]
    half = 0.5 * np.sqrt(span[:, 0] * span[:, 0] + span[:, 1] * span[:, 1])
    radius = 0.5 * (tubes.radius[index, 0] + tubes.radius[index, 1]) + wider
    strength = np.minimum(0.30 + 0.50 * radius, 1.0)[:, None, None]
    rows, columns = canvas.pixel(middle[:, 0], middle[:, 1])
    thick = half + radius + 1.0 > _SMALL * 0.5 - 2.0
    for chosen, side in ((np.flatnonzero(~thick), _SMALL), (np.flatnonzero(thick), _LARGE)):
        if not len(chosen):
            continue
        top, left = _corner(rows[chosen], side, canvas.shape[0]), _corner(columns[chosen], side, canvas.shape[1])
        x, y = _stamp_coordinates(canvas, top, left, side)
        distance = tube_distance(x, y, canvas.h, tubes, index[chosen], slab=slab) - wider
        cover = ramp(distance, 1.3) * strength[chosen]
        for k in range(len(chosen)):
            part = layer[top[k] : top[k] + side, left[k] : left[k] + side]
            np.maximum(part, cover[k], out=part)
    return layer


def _corner(middle: Float64, side: int, extent: int) -> Int64:
    """The first pixel of each stamp, kept on the canvas."""
    first: Int64 = np.minimum(np.maximum(middle.astype(np.int64) - side // 2 + 1, 0), extent - side)
    return first


def _stamp_coordinates(canvas: Canvas, top: Int64, left: Int64, side: int) -> tuple[Float64, Float64]:
    """Standard coordinates of the pixels of every stamp, [P,side,side] each."""
    axis = patient_axis(canvas.body.person.spacing)
    offsets = np.arange(side)
    x = axis[canvas.column + left[:, None] + offsets][:, None, :]
    y = axis[canvas.row + top[:, None] + offsets][:, :, None]
    return canvas.body.to_standard(x, y)
