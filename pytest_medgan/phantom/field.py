"""Arithmetic that gives the same bits on every machine: draws, profiles, distances, smooth noise.

Everything here keeps to + - * / and square roots element by element in float64, comparisons, and integers. IEEE 754
fixes the result of each of these, whatever vector unit computes it; sums, powers and transcendental functions are
not fixed and are absent. Lengths are millimetres.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pytest_medgan.records import Float64

# numpy promises these raw streams for ever; it makes no such promise for the methods of numpy.random.Generator
_UNIT = 1.0 / 9007199254740992.0  # 2^-53


class Draws:
    """A seeded stream of uniform numbers, named by a path of whole numbers."""

    def __init__(self, *path: int) -> None:
        self._bits = np.random.PCG64(np.random.SeedSequence(path))

    def array(self, *shape: int) -> Float64:
        """Uniform in [0, 1), float64 [*shape]."""
        count = 1
        for extent in shape:
            count *= extent
        raw = self._bits.random_raw(count)
        return ((raw >> np.uint64(11)).astype(np.float64) * _UNIT).reshape(shape)

    def between(self, low: float, high: float) -> float:
        """One number in [low, high)."""
        return low + (high - low) * float(self.array(1)[0])

    def whole(self, count: int) -> int:
        """One whole number in 0..count-1."""
        return int(float(self.array(1)[0]) * count)

    def bits(self, count: int) -> np.ndarray[tuple[int], np.dtype[np.uint64]]:
        """Raw 64-bit words, [count]."""
        words: np.ndarray[tuple[int], np.dtype[np.uint64]] = self._bits.random_raw(count)
        return words


class Profile:
    """A piecewise linear function of height, constant beyond its ends."""

    def __init__(self, *knots: tuple[float, float]) -> None:
        self._knots = knots

    def __call__(self, h: Float64 | float) -> Float64:
        values = np.zeros_like(h, dtype=np.float64) + self._knots[0][1]
        for (h0, v0), (h1, v1) in zip(self._knots[:-1], self._knots[1:], strict=True):
            values = values + (v1 - v0) / (h1 - h0) * np.minimum(np.maximum(h - h0, 0.0), h1 - h0)
        return values


def union(a: Float64, b: Float64, blend: float) -> Float64:
    """Signed distance to the union of two shapes, the seam rounded over about `blend` mm (polynomial minimum)."""
    gap = np.maximum(blend - np.abs(a - b), 0.0) / blend
    return np.minimum(a, b) - gap * gap * (0.25 * blend)


def cut(a: Float64, b: Float64, blend: float) -> Float64:
    """Signed distance to what two shapes have in common, the seam rounded over about `blend` mm."""
    return -union(-a, -b, blend)


def ellipsoid(offsets: Sequence[Float64 | float], radii: Sequence[Float64 | float]) -> Float64:
    """Approximate signed distance to an ellipse or ellipsoid, exact to first order at its surface.

    The form is k0 (k0 - 1) / k1 with k0 = |p/r| and k1 = |p/r^2| (Quilez, "Ellipsoid SDF").
    """
    k0: Float64 = np.zeros(())
    k1: Float64 = np.zeros(())
    for offset, radius in zip(offsets, radii, strict=True):
        scaled = offset / radius
        k0 = k0 + scaled * scaled
        twice = scaled / radius
        k1 = k1 + twice * twice
    k0 = np.sqrt(k0)
    return k0 * (k0 - 1.0) / np.sqrt(np.maximum(k1, 1e-12))


def cube_root(values: Float64) -> Float64:
    """Cube roots of positive numbers by Newton's rule; the number of steps is fixed so that the bits are."""
    root = np.sqrt(values)
    for _ in range(24):
        root = (2.0 * root + values / (root * root)) / 3.0
    return root


def ramp(distance: Float64, width: float) -> Float64:
    """How much of a pixel lies inside: 1 at `distance` <= -width/2, 0 beyond width/2, linear between."""
    cover = distance * (-1.0 / width)
    cover += 0.5
    np.maximum(cover, 0.0, out=cover)
    np.minimum(cover, 1.0, out=cover)
    return cover


def enlarge(coarse: Float64, factor: int) -> Float64:
    """Bilinear: [m+1, n+1] nodes -> [m*factor, n*factor] pixels, pixel 0 on node 0."""
    rows, columns = coarse.shape[0] - 1, coarse.shape[1] - 1
    weight = np.arange(factor, dtype=np.float64) / factor
    tall = (coarse[1:] - coarse[:-1])[:, None, :] * weight[None, :, None]
    tall += coarse[:-1, None, :]
    tall = tall.reshape(rows * factor, columns + 1)
    wide = np.empty((rows * factor, columns, factor))
    step = tall[:, 1:] - tall[:, :-1]
    for k in range(factor):
        np.multiply(step, k / factor, out=wide[:, :, k])
        wide[:, :, k] += tall[:, :-1]
    return wide.reshape(rows * factor, columns * factor)


class Cloud:
    """Smooth noise in [-1, 1] over a volume: random values on a lattice, joined by cubic steps."""

    def __init__(self, draws: Draws, cell: float, extent: tuple[float, float, float]) -> None:
        self._cell = cell
        self._shape = tuple(int(e / cell) + 3 for e in extent)
        self._origin = tuple(-0.5 * e for e in extent)
        self._lattice = draws.array(*reversed(self._shape)) * 2.0 - 1.0

    def _steps(self, axis: int, at: Float64) -> tuple[np.ndarray[tuple[int, ...], np.dtype[np.int64]], Float64]:
        place = np.minimum(np.maximum((at - self._origin[axis]) / self._cell, 0.0), self._shape[axis] - 1.001)
        index = place.astype(np.int64)
        t = place - index
        return index, t * t * (3.0 - 2.0 * t)

    def sheet(self, x: Float64, y: Float64, z: float) -> Float64:
        """On the grid y [m] by x [n] at one height: [m, n]."""
        iz, wz = self._steps(2, np.asarray([z]))
        level = int(iz[0])
        layer = self._lattice[level] + (self._lattice[level + 1] - self._lattice[level]) * wz[0]
        iy, wy = self._steps(1, y)
        rows = layer[iy] + (layer[iy + 1] - layer[iy]) * wy[:, None]
        ix, wx = self._steps(0, x)
        values: Float64 = rows[:, ix] + (rows[:, ix + 1] - rows[:, ix]) * wx
        return values

    def at(self, x: Float64, y: Float64, z: Float64) -> Float64:
        """At scattered points, arrays of one shape."""
        (ix, wx), (iy, wy), (iz, wz) = self._steps(0, x), self._steps(1, y), self._steps(2, z)
        lattice = self._lattice
        total: Float64 = np.zeros_like(wx)
        for dz, fz in ((0, 1.0 - wz), (1, wz)):
            for dy, fy in ((0, 1.0 - wy), (1, wy)):
                near = lattice[iz + dz, iy + dy, ix]
                total = total + (near + (lattice[iz + dz, iy + dy, ix + 1] - near) * wx) * fy * fz
        return total
