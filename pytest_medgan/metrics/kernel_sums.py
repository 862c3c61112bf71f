"""Sums of the kernel (x.y / D + 1)^3 over rows and columns of pairwise products.

Products are of centred features: with a = (x-c).(y-c) / D the kernel is (a + p + q)^3, where p belongs to the row and
q to the column alone. Only the sums of a^2 and a^3 need the pairwise pass. All terms linear in a, and p and q, which
are large where the features' mean is, are summed in float64.
"""

from __future__ import annotations

from functools import cached_property
from math import ceil, log2, sqrt

import torch

from pytest_medgan.metrics.pairwise import Points, tiles, times, times_transposed

LARGEST = 2.0**32  # of a product over D: sums of a million cubes then fit into float32


class KernelSide:
    """A feature set as rows or columns of kernels."""

    def __init__(self, points: Points) -> None:
        self.points = points
        self.width = points.rows.shape[1]
        # what a row adds to x.y / D + 1 beyond the centred product
        self.offset = (points.along + 0.5 * float(points.centre @ points.centre)) / self.width + 0.5  # float64 [N]

    def __len__(self) -> int:
        return len(self.points)

    @cached_property
    def own_kernel(self) -> torch.Tensor:
        """k(x, x) of every row, float64 [N]."""
        return (self.points.squares / self.width + 2 * self.offset) ** 3

    @cached_property
    def powers(self) -> torch.Tensor:
        """Powers 0 to 3 of the offset, float64 [N,4]."""
        return torch.stack([self.offset**0, self.offset, self.offset**2, self.offset**3], 1)

    @cached_property
    def weighted(self) -> torch.Tensor:
        """Rows summed with the powers 0 to 2 of their offsets as weights, float64 [D,3]."""
        return times_transposed(self.points.rows, self.powers[:, :3])


class KernelSums:
    """Sums of the kernel for every row over all columns, and for every column over all rows."""

    def __init__(self, left: KernelSide, right: KernelSide) -> None:
        self.left, self.right, self.width = left, right, left.width
        self._unit = _unit(left.points, right.points)  # of a in the sums below
        # columns: sums of a^2, of a^2 times the other side's offset, of a^3
        self._rows = torch.zeros(len(left), 3, dtype=torch.float64, device=left.offset.device)
        self._columns = torch.zeros(len(right), 3, dtype=torch.float64, device=left.offset.device)

    def add_block(self, part: slice, block: torch.Tensor) -> None:
        """Add a block of products [rows, all columns]."""
        rows, left, right = self._rows[part], self.left.offset[part], self.right.offset
        for tile in tiles(block):
            square, cube = self._powers(block[tile])
            self._add(rows[tile], square, cube, right)
            self._add(self._columns, square.T, cube.T, left[tile])

    def add_own_block(self, part: slice, block: torch.Tensor) -> None:
        """Add a block of a set's products with itself [rows, from the first of these rows on]."""
        rows, left, right = self._rows[part], self.left.offset[part], self.right.offset[part.start :]
        count = len(rows)
        for tile in tiles(block):
            square, cube = self._powers(block[tile])
            self._add(rows[tile], square, cube, right)
            self._add(self._rows[part.stop :], square[:, count:].T, cube[:, count:].T, left[tile])

    def _powers(self, block: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the squares and cubes of the products over D, in units."""
        scaled = block / self.width
        if self._unit > 1:
            scaled /= self._unit
        square = scaled * scaled
        return square, scaled.mul_(square)

    @staticmethod
    def _add(sums: torch.Tensor, square: torch.Tensor, cube: torch.Tensor, offset: torch.Tensor) -> None:
        """Add one block's sums over its columns; `offset` is that of the columns."""
        sums[:, 0] += square.sum(1)
        sums[:, 1] += square @ offset.float()
        sums[:, 2] += cube.sum(1)

    @cached_property
    def row_sums(self) -> torch.Tensor:
        """The kernel summed over all columns, float64 [rows], once all blocks are added."""
        return _assemble(self._in_full(self._rows), self.left, self.right)

    @cached_property
    def column_sums(self) -> torch.Tensor:
        """The kernel summed over all rows, float64 [columns], once all blocks are added."""
        return _assemble(self._in_full(self._columns), self.right, self.left)

    def _in_full(self, sums: torch.Tensor) -> torch.Tensor:
        """Return sums of powers of a without the unit."""
        return sums * torch.tensor([self._unit**2, self._unit**2, self._unit**3], dtype=sums.dtype, device=sums.device)


def _unit(left: Points, right: Points) -> float:
    """Return a power of two such that the cubes of products over D fit into float32; 1 for all but huge features."""
    bound = sqrt(float(left.norms.max())) * sqrt(float(right.norms.max())) / left.rows.shape[1]
    return 1.0 if bound < LARGEST else 2.0 ** ceil(log2(bound))


def _assemble(sums: torch.Tensor, own: KernelSide, other: KernelSide) -> torch.Tensor:
    """Return sum_j (a_ij + p_i + q_j)^3 from the sums of a^2 and a^3."""
    p, linear = own.offset, times(own.points.rows, other.weighted) / own.width  # the latter: sums of a q^m
    s0, s1, s2, s3 = other.powers.sum(0)
    mixed = linear[:, 0] * p**2 + 2 * linear[:, 1] * p + linear[:, 2]
    offsets = s0 * p**3 + 3 * s1 * p**2 + 3 * s2 * p + s3
    total: torch.Tensor = sums[:, 2] + 3 * (sums[:, 0] * p + sums[:, 1]) + 3 * mixed + offsets
    return total
