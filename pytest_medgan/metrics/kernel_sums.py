"""Sums of the kernel (x.y / D + 1)^3 over rows and columns of pairwise products.

Products are of centred features: with a = (x-c).(y-c) / D the kernel is (a + p + q)^3, where p belongs to the row and
q to the column alone. Only the sums of a^2 and a^3 need the pairwise pass. All terms linear in a, and p and q, which
are large where the features' mean is, are summed in float64.
"""

from __future__ import annotations

from math import ceil, log2, sqrt

import torch

from pytest_medgan.metrics.pairwise import ROWS, Points, slices, times, times_transposed

LARGEST = 2.0**32  # of a product over D: sums of a million cubes then fit into float32


class KernelSums:
    """Sums of the kernel for every row over all columns, and for every column over all rows."""

    def __init__(self, left: Points, right: Points, centre: torch.Tensor) -> None:
        self.left, self.right, self.width = left, right, left.rows.shape[1]
        self._p, self._q = kernel_offset(left.rows, centre), kernel_offset(right.rows, centre)
        self._unit = _unit(left, right)  # of a in the sums below
        # columns: sums of a^2, of a^2 times the other side's offset, of a^3
        self._rows = torch.zeros(len(left), 3, dtype=torch.float64, device=left.rows.device)
        self._columns = torch.zeros(len(right), 3, dtype=torch.float64, device=left.rows.device)

    def add_block(self, part: slice, block: torch.Tensor) -> None:
        """Add a block of products [rows, all columns]."""
        square, cube = self._powers(block)
        self._add(self._rows[part], square, cube, self._q)
        self._add(self._columns, square.T, cube.T, self._p[part])

    def add_own_block(self, part: slice, block: torch.Tensor) -> None:
        """Add a block of a set's products with itself [rows, from the first of these rows on]."""
        square, cube = self._powers(block)
        rows = part.stop - part.start
        self._add(self._rows[part], square, cube, self._q[part.start :])
        self._add(self._rows[part.stop :], square[:, rows:].T, cube[:, rows:].T, self._p[part])

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
        sums[:, 0] += square.sum(1).double()
        sums[:, 1] += (square @ offset.float()).double()
        sums[:, 2] += cube.sum(1).double()

    def row_sums(self) -> torch.Tensor:
        """Return the kernel summed over all columns, float64 [rows]."""
        return _assemble(self._in_full(self._rows), self.left, self._p, self.right, self._q)

    def column_sums(self) -> torch.Tensor:
        """Return the kernel summed over all rows, float64 [columns]."""
        return _assemble(self._in_full(self._columns), self.right, self._q, self.left, self._p)

    def _in_full(self, sums: torch.Tensor) -> torch.Tensor:
        """Return sums of powers of a without the unit."""
        return sums * torch.tensor([self._unit**2, self._unit**2, self._unit**3], dtype=sums.dtype, device=sums.device)


def _unit(left: Points, right: Points) -> float:
    """Return a power of two such that the cubes of products over D fit into float32; 1 for all but huge features."""
    bound = sqrt(float(left.norms.max())) * sqrt(float(right.norms.max())) / left.rows.shape[1]
    return 1.0 if bound < LARGEST else 2.0 ** ceil(log2(bound))


def kernel_offset(rows: torch.Tensor, centre: torch.Tensor) -> torch.Tensor:
    """Return what centred rows add to x.y / D + 1 beyond the centred product, float64 [N]."""
    return (times(rows, centre) + 0.5 * float(centre @ centre)) / rows.shape[1] + 0.5


def self_kernel(side: Points, centre: torch.Tensor) -> torch.Tensor:
    """Return k(x, x) of every row, float64 [N]."""
    squares = torch.cat([side.rows[part].double().square().sum(1) for part in slices(len(side), ROWS)])
    return (squares / side.rows.shape[1] + 2 * kernel_offset(side.rows, centre)) ** 3


def _assemble(sums: torch.Tensor, own: Points, p: torch.Tensor, other: Points, q: torch.Tensor) -> torch.Tensor:
    """Return sum_j (a_ij + p_i + q_j)^3 from the sums of a^2 and a^3."""
    powers = torch.stack([q**0, q, q**2, q**3], 1)
    weighted = times(own.rows, times_transposed(other.rows, powers[:, :3])) / own.rows.shape[1]  # sums of a q^m
    s0, s1, s2, s3 = powers.sum(0)
    linear = weighted[:, 0] * p**2 + 2 * weighted[:, 1] * p + weighted[:, 2]
    offsets = s0 * p**3 + 3 * s1 * p**2 + 3 * s2 * p + s3
    total: torch.Tensor = sums[:, 2] + 3 * (sums[:, 0] * p + sums[:, 1]) + 3 * linear + offsets
    return total
