"""Arithmetic that gives the same bits on every machine: draws, profiles, distances, smooth noise.

Only + - * / and square roots element by element in float64, comparisons and integers are used. IEEE 754 fixes the
result of each of these, whatever vector unit computes it; sums, powers and transcendental functions are not fixed and
are absent. Lengths are millimetres.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import overload

import numpy as np

from pytest_medgan.records import Float64, Int64

# numpy guarantees that these raw streams never change, but not the methods of numpy.random.Generator
_UNIT = 1.0 / 9007199254740992.0  # 2^-53


class Draws:
    """A seeded stream of uniform numbers, named by a path of whole numbers."""

    def __init__(self, *path: int) -> None:
        self._bits = np.random.PCG64(np.random.SeedSequence(path))

    def array(self, *shape: int) -> Float64:
        """Return uniform numbers in [0, 1), float64 [*shape]."""
        count = 1
        for extent in shape:
            count *= extent
        raw = self._bits.random_raw(count)
        return ((raw >> np.uint64(11)).astype(np.float64) * _UNIT).reshape(shape)

    def between(self, low: float, high: float) -> float:
        """Return one number in [low, high)."""
        return low + (high - low) * float(self.array(1)[0])

    def whole(self, count: int) -> int:
        """Return one whole number in 0..count-1."""
        return int(float(self.array(1)[0]) * count)

    def bits(self, count: int) -> np.ndarray[tuple[int], np.dtype[np.uint64]]:
        """Return raw 64-bit words, [count]."""
        words: np.ndarray[tuple[int], np.dtype[np.uint64]] = self._bits.random_raw(count)
        return words


class Profile:
    """A piecewise linear function of height, constant beyond its ends."""

    def __init__(self, *knots: tuple[float, float]) -> None:
        self._start = float(knots[0][1])
        self._pieces = [(h0, h1 - h0, (v1 - v0) / (h1 - h0)) for (h0, v0), (h1, v1) in pairwise(knots)]

    @overload
    def __call__(self, h: float) -> float: ...
    @overload
    def __call__(self, h: Float64) -> Float64: ...
    def __call__(self, h: Float64 | float) -> Float64 | float:
        """Return the value at one height, or at each height of an array; the bits are the same."""
        if isinstance(h, float):
            value = self._start
            for first, length, slope in self._pieces:
                value = value + slope * min(max(h - first, 0.0), length)
            return value
        values = np.full_like(h, self._start)
        for first, length, slope in self._pieces:
            values = values + slope * np.minimum(np.maximum(h - first, 0.0), length)
        return values


def union(a: Float64, b: Float64, blend: float) -> Float64:
    """Return the signed distance to the union of two shapes, its seam rounded over about `blend` mm.

    The rounding is a polynomial smooth minimum.
    """
    gap = np.abs(a - b)
    np.subtract(blend, gap, out=gap)
    np.maximum(gap, 0.0, out=gap)
    gap /= blend
    gap *= gap
    gap *= 0.25 * blend
    return np.minimum(a, b) - gap


def cut(a: Float64, b: Float64, blend: float) -> Float64:
    """Return the signed distance to the intersection of two shapes, its seam rounded over about `blend` mm."""
    return -union(-a, -b, blend)


def ellipsoid(offsets: Sequence[Float64 | float], radii: Sequence[Float64 | float]) -> Float64:
    """Return an approximate signed distance to an ellipse or ellipsoid, exact to first order at its surface.

    The form is k0 (k0 - 1) / k1 with k0 = |p/r| and k1 = |p/r^2|.

    References:
        I. Quilez, "Ellipsoid SDF", https://iquilezles.org/articles/ellipsoids/
    """
    k0: Float64 | float = 0.0
    k1: Float64 | float = 0.0
    for offset, radius in zip(offsets, radii, strict=True):
        scaled = offset / radius
        k0 = k0 + scaled * scaled
        twice = scaled / radius
        k1 = k1 + twice * twice
    k0 = np.sqrt(k0)
    distance: Float64 = k0 * (k0 - 1.0) / np.sqrt(np.maximum(k1, 1e-12))
    return distance


def cube_root(values: Float64) -> Float64:
    """Return cube roots of positive numbers by Newton's rule; the number of steps is fixed so that the bits are."""
    root = np.sqrt(values)
    for _ in range(24):
        root = (2.0 * root + values / (root * root)) / 3.0
    return root


def ramp(distance: Float64, width: float) -> Float64:
    """Return how much of a pixel lies inside: 1 at `distance` <= -width/2, 0 beyond width/2, linear between."""
    cover = distance * (-1.0 / width)
    cover += 0.5
    return np.clip(cover, 0.0, 1.0, out=cover)


def enlarge(coarse: Float64, factor: int) -> Float64:
    """Interpolate bilinearly: nodes [..., m+1, n+1] -> pixels [..., m*factor, n*factor], pixel 0 on node 0."""
    *lead, rows, columns = coarse.shape
    wide = np.empty((*lead, rows, columns - 1, factor))
    step = coarse[..., 1:] - coarse[..., :-1]
    wide[..., 0] = coarse[..., :-1]
    for part in range(1, factor):
        np.multiply(step, part / factor, out=wide[..., part])
        wide[..., part] += coarse[..., :-1]
    wide = wide.reshape(*lead, rows, 1, (columns - 1) * factor)
    low, step = wide[..., :-1, :, :], wide[..., 1:, :, :] - wide[..., :-1, :, :]
    tall = step * (np.arange(factor, dtype=np.float64) / factor)[:, None]
    tall += low
    return tall.reshape(*lead, (rows - 1) * factor, (columns - 1) * factor)


class Cloud:
    """Smooth noise in [-1, 1] over a volume: random values on a lattice, joined by cubic steps."""

    def __init__(self, draws: Draws, cell: float, extent: tuple[float, float, float]) -> None:
        self._cell = cell
        self._shape = tuple(int(e / cell) + 3 for e in extent)
        self._origin = tuple(-0.5 * e for e in extent)
        self._lattice = draws.array(*reversed(self._shape)) * 2.0 - 1.0

    def _steps(self, axis: int, at: Float64) -> tuple[Int64, Float64]:
        """Return the lattice index below each coordinate and the weight of the value above."""
        place = (at - self._origin[axis]) / self._cell
        np.maximum(place, 0.0, out=place)
        np.minimum(place, self._shape[axis] - 1.001, out=place)
        index = place.astype(np.int64)
        place -= index
        return index, place * place * (3.0 - 2.0 * place)

    def sheet(self, x: Float64, y: Float64, z: float) -> Float64:
        """Return the values on the grid y [m] by x [n] at one height: [m, n]."""
        iz, wz = self._steps(2, np.asarray([z]))
        level = int(iz[0])
        layer = self._lattice[level] + (self._lattice[level + 1] - self._lattice[level]) * wz[0]
        iy, wy = self._steps(1, y)
        rows = layer[iy] + (layer[iy + 1] - layer[iy]) * wy[:, None]
        ix, wx = self._steps(0, x)
        left = rows[:, ix]
        values: Float64 = left + (rows[:, ix + 1] - left) * wx
        return values

    def at(self, x: Float64, y: Float64, z: Float64) -> Float64:
        """Return the values at scattered points, arrays of one shape."""
        (ix, wx), (iy, wy), (iz, wz) = self._steps(0, x), self._steps(1, y), self._steps(2, z)
        flat = self._lattice.ravel()
        along, across = self._shape[0], self._shape[0] * self._shape[1]
        corner = (iz * self._shape[1] + iy) * along + ix
        total: Float64 = np.zeros_like(wx)
        for dz, fz in ((0, 1.0 - wz), (across, wz)):
            for dy, fy in ((0, 1.0 - wy), (along, wy)):
                place = corner + (dz + dy)
                near = flat.take(place)
                place += 1
                edge = flat.take(place)
                edge -= near
                edge *= wx
                edge += near
                edge *= fy
                edge *= fz
                total += edge
        return total
