"""Kernel distance (KID): squared maximum mean discrepancy with the kernel (x.y / D + 1)^3.

Binkowski et al. 2018, "Demystifying MMD GANs". The unbiased estimate on all rows at once (torch-fidelity averages over
random subsets, whose spread is no standard error). It can be negative.

Products are of centred features: with a = (x-c).(y-c) / D, the kernel is (a + p + q)^3 where p and q belong to a row
and a column alone. Only the sums of a^2 and a^3 need the pairwise pass; everything linear in a, and p and q, which are
large where the features' mean is, are summed in float64.
"""

from __future__ import annotations

from math import sqrt
from typing import TYPE_CHECKING, Any

import torch

from pytest_medgan.metrics import inputs
from pytest_medgan.metrics.gram import Points, centre_of, points, products, slices, times, times_transposed
from pytest_medgan.metrics.uncertainty import both, mean_se
from pytest_medgan.records import Estimate, Float64

if TYPE_CHECKING:
    from pytest_medgan.metrics.look import Look


class KernelSums:
    """Sums of the kernel over the columns for every row, and over the rows for every column."""

    def __init__(self, left: Points, right: Points, centre: torch.Tensor) -> None:
        self.left, self.right, self.width = left, right, left.rows.shape[1]
        self._p, self._q = _offset(left.rows, centre), _offset(right.rows, centre)
        # columns: sums of a^2, of a^2 times the other side's offset, of a^3
        self._rows = torch.zeros(len(left), 3, dtype=torch.float64, device=left.rows.device)
        self._columns = torch.zeros(len(right), 3, dtype=torch.float64, device=left.rows.device)

    def see(self, part: slice, block: torch.Tensor, *, columns: bool = True) -> None:
        """A block of products [rows, all columns]; `columns=False` leaves the sums over rows alone."""
        scaled = block / self.width
        square = scaled * scaled
        cube = scaled.mul_(square)
        p, q = self._p[part].float(), self._q.float()
        self._rows[part, 0] = square.sum(1).double()
        self._rows[part, 1] = (square @ q).double()
        self._rows[part, 2] = cube.sum(1).double()
        if columns:
            self._columns[:, 0] += square.sum(0).double()
            self._columns[:, 1] += (p @ square).double()
            self._columns[:, 2] += cube.sum(0).double()

    def over_columns(self) -> torch.Tensor:
        """float64 [rows]"""
        return _assemble(self._rows, self.left, self._p, self.right, self._q)

    def over_rows(self) -> torch.Tensor:
        """float64 [columns]"""
        return _assemble(self._columns, self.right, self._q, self.left, self._p)


def _offset(rows: torch.Tensor, centre: torch.Tensor) -> torch.Tensor:
    """float64 [N]: these centred rows' part of x.y / D + 1 beyond the product."""
    return (times(rows, centre) + 0.5 * float(centre @ centre)) / rows.shape[1] + 0.5


def _assemble(sums: torch.Tensor, own: Points, p: torch.Tensor, other: Points, q: torch.Tensor) -> torch.Tensor:
    """sum_j (a_ij + p_i + q_j)^3 from the sums of a^2 and a^3."""
    powers = torch.stack([q**0, q, q**2, q**3], 1)
    weighted = times(own.rows, times_transposed(other.rows, powers[:, :3])) / own.rows.shape[1]  # sums of a q^m
    s0, s1, s2, s3 = powers.sum(0)
    linear = weighted[:, 0] * p**2 + 2 * weighted[:, 1] * p + weighted[:, 2]
    offsets = s0 * p**3 + 3 * s1 * p**2 + 3 * s2 * p + s3
    total: torch.Tensor = sums[:, 2] + 3 * (sums[:, 0] * p + sums[:, 1]) + 3 * linear + offsets
    return total


def own_kernel(side: Points, centre: torch.Tensor) -> torch.Tensor:
    """k(x, x) float64 [N]."""
    squares = torch.cat([side.rows[part].double().square().sum(1) for part in slices(len(side), 256)])
    return (squares / side.rows.shape[1] + 2 * _offset(side.rows, centre)) ** 3


def degenerate_variance(left: Points, right: Points, centre: torch.Tensor, *, most: int = 512) -> float:
    """Variance of the kernel that no row or column alone explains, from the first `most` rows of either side."""
    left_rows, right_rows = left.rows[:most].double(), right.rows[:most].double()
    p, q = _offset(left.rows[:most], centre), _offset(right.rows[:most], centre)
    block = (left_rows @ right_rows.T / left.rows.shape[1] + p[:, None] + q) ** 3
    if left is right:
        block.fill_diagonal_(torch.nan)
    block = block - block.nanmean(1, keepdim=True)
    return float((block - block.nanmean(0, keepdim=True)).square().nanmean())


def kernel_distance(*, real: Any, fake: Any) -> float:
    """KID of features [N,D] and [M,D] (arrays or tensors), at least two rows each. MetricInputError otherwise."""
    real, fake = inputs.pair(real, fake, least=2)
    centre = centre_of(real)
    left, right = points(fake, centre), points(real, centre)
    sums = []
    for one, other in ((left, left), (left, right), (right, right)):
        sums.append(KernelSums(one, other, centre))
        for part, block in products(one, other):
            sums[-1].see(part, block, columns=False)
    within = [s.over_columns() - own_kernel(s.left, centre) for s in (sums[0], sums[2])]
    n, m = len(real), len(fake)
    total = float(within[0].sum()) / (m * (m - 1)) + float(within[1].sum()) / (n * (n - 1))
    return total - 2 * float(sums[1].over_columns().sum()) / (n * m)


def kernel_estimate(look: Look) -> Estimate:
    """KID with its standard errors: first-order projections, less the second-order noise they count twice."""
    centre, n, m = look.reference.centre, len(look.real), len(look.fake)
    fakes = (look.fake_kernel.over_columns() - own_kernel(look.fake, centre)) / (m - 1)
    cross = look.cross_kernel.over_columns() / n
    reals = look.reference.of_kernel / (n - 1)
    value = float(fakes.mean() + reals.mean() - 2 * cross.mean())
    noise = degenerate_variance(look.fake, look.fake, centre)
    se = _less(mean_se(_array(2 * (fakes - cross))), 2 * noise / m**2)
    of_real = _array(2 * (reals - look.cross_kernel.over_rows() / m))
    own = degenerate_variance(look.real, look.real, centre)
    mixed = degenerate_variance(look.fake, look.real, centre)
    total = both(se, mean_se(of_real, look.reference.group))
    return Estimate(value, se, max(se, _less(total, 2 * own / n**2 + 4 * mixed / (n * m))))


def _less(se: float, variance: float) -> float:
    """The standard error without `variance`, at least half of it."""
    return sqrt(max(se * se - variance, se * se / 4))


def _array(values: torch.Tensor) -> Float64:
    return values.cpu().numpy()
