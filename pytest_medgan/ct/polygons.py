"""Filled polygons on the pixel grid."""

from __future__ import annotations

import numpy as np

from pytest_medgan.records import Bool, Float64


def fill_polygon(corners: Float64, rows: int, columns: int) -> Bool:
    """Return the pixels whose centre lies inside a closed polygon, by the even-odd rule: bool [rows,columns].

    Pixel centres are whole numbers. A centre on an edge belongs to the polygon below and right of it, so that
    neighbours share none.
    """
    mask = np.zeros((rows, columns), bool)
    starts, ends = corners, np.roll(corners, -1, axis=0)
    first = max(0, int(np.ceil(corners[:, 0].min())))
    last = min(rows - 1, int(np.floor(corners[:, 0].max())))
    grid = np.arange(columns)
    for row in range(first, last + 1):
        crosses = (starts[:, 0] <= row) != (ends[:, 0] <= row)
        a, b = starts[crosses], ends[crosses]
        at = a[:, 1] + (row - a[:, 0]) * (b[:, 1] - a[:, 1]) / (b[:, 0] - a[:, 0])
        mask[row] = (np.searchsorted(np.sort(at), grid, side="right") % 2).astype(bool)
    return mask
