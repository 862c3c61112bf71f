"""Kernel distance (KID): squared maximum mean discrepancy with the kernel (x.y / D + 1)^3.

Binkowski et al. 2018, "Demystifying MMD GANs". The unbiased estimate on all rows at once (torch-fidelity averages over
random subsets, whose spread is no standard error). It can be negative.
"""

from __future__ import annotations

from math import sqrt
from typing import TYPE_CHECKING, Any

import torch

from pytest_medgan.metrics import inputs
from pytest_medgan.metrics.gram import (
    Points,
    centre_of,
    own_products,
    points,
    products,
)
from pytest_medgan.metrics.kernel_sums import KernelSums, offset, own_kernel
from pytest_medgan.metrics.uncertainty import both, mean_se
from pytest_medgan.records import Estimate, Float64

if TYPE_CHECKING:
    from pytest_medgan.metrics.look import Look


def degenerate_variance(left: Points, right: Points, centre: torch.Tensor, *, most: int = 512) -> float:
    """Variance of the kernel that no row or column alone explains, from the first `most` rows of either side."""
    left_rows, right_rows = left.rows[:most].double(), right.rows[:most].double()
    p, q = offset(left.rows[:most], centre), offset(right.rows[:most], centre)
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
    cross = KernelSums(left, right, centre)
    for part, block in products(left, right):
        cross.see(part, block)
    within = []
    for side in (left, right):
        own = KernelSums(side, side, centre)
        for part, block in own_products(side):
            own.see_own(part, block)
        within.append(own.over_columns() - own_kernel(side, centre))
    n, m = len(real), len(fake)
    total = float(within[0].sum()) / (m * (m - 1)) + float(within[1].sum()) / (n * (n - 1))
    return total - 2 * float(cross.over_columns().sum()) / (n * m)


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
