"""Kernel distance (KID): squared maximum mean discrepancy with the kernel (x.y / D + 1)^3.

Paper: Binkowski et al. 2018, "Demystifying MMD GANs". Reference code: torch-fidelity's metric_kid.py.

Convention: the unbiased estimate of all rows at once. Torch-fidelity averages over random subsets, whose spread is not
a standard error. The estimate can be negative.
"""

from __future__ import annotations

from math import sqrt
from typing import Any

import torch

from pytest_medgan.metrics import inputs
from pytest_medgan.metrics.causes import need
from pytest_medgan.metrics.kernel_sums import KernelSide, KernelSums
from pytest_medgan.metrics.look import Look
from pytest_medgan.metrics.pairwise import mean_of, own_products, points, products
from pytest_medgan.metrics.passes import cross_kernel, fake_kernel
from pytest_medgan.metrics.uncertainty import combine_se, largest, mean_se
from pytest_medgan.records import Cause, Contribution, Estimate, Float64


def kernel_distance(*, real: Any, fake: Any) -> float:
    """Return the unbiased kernel distance of two feature sets.

    Args:
        real: Features [N,D], array or tensor of numbers, N at least 2.
        fake: Generated features [M,D], M at least 2.

    Returns:
        The distance; 0 is expected of two draws from one distribution, so it can be negative.

    Raises:
        MetricInputError: An argument has another shape or values that are not finite.

    References:
        Binkowski et al. 2018, "Demystifying MMD GANs"; torch-fidelity.

    Examples:
        >>> round(kernel_distance(real=[[0.0], [1.0]], fake=[[0.0], [2.0]]), 6)  # kernels: 1; 1; 1, 1, 1, 27
        -13.0
    """
    real, fake = inputs.pair(real, fake, least=2)
    centre = mean_of(real)
    left, right = KernelSide(points(fake, centre)), KernelSide(points(real, centre))
    cross = KernelSums(left, right)
    for part, block in products(left.points, right.points):
        cross.add_block(part, block)
    within = []
    for side in (left, right):
        own = KernelSums(side, side)
        for part, block in own_products(side.points):
            own.add_own_block(part, block)
        within.append(own.row_sums - side.own_kernel)
    n, m = len(real), len(fake)
    total = float(within[0].sum()) / (m * (m - 1)) + float(within[1].sum()) / (n * (n - 1))
    return total - 2 * float(cross.row_sums.sum()) / (n * m)


def kernel_estimate(look: Look) -> Estimate:
    """Return KID with its standard errors: those of first-order projections, minus the noise that they count twice."""
    n, m, kernel = len(look.real), len(look.fake), cross_kernel(look)
    fakes, cross = _fake_means(look), kernel.row_sums / n
    reals = need(look.reference.kernel, Cause.NOT_PREPARED) / (n - 1)
    value = float(fakes.mean() + reals.mean() - 2 * cross.mean())
    noise = _second_order_variance(kernel.left, kernel.left)
    se = _remove_most(mean_se(_array(2 * (fakes - cross)), look.fake_group), 2 * noise / m**2)
    of_real = _array(2 * (reals - kernel.column_sums / m))
    own = _second_order_variance(kernel.right, kernel.right)
    mixed = _second_order_variance(kernel.left, kernel.right)
    total = combine_se(se, mean_se(of_real, look.reference.group))
    return Estimate(value, se, largest(se, _remove_most(total, 2 * own / n**2 + 4 * mixed / (n * m))))


def kernel_contribution(look: Look) -> Contribution:
    """Return twice the first-order projection of every generated image."""
    cross = cross_kernel(look).row_sums / len(look.real)
    return Contribution(_array(2 * (_fake_means(look) - cross)))


def _fake_means(look: Look) -> torch.Tensor:
    """Return the mean kernel of every generated row with the other generated rows, float64 [M]."""
    kernel = fake_kernel(look)
    return (kernel.row_sums - kernel.left.own_kernel) / (len(look.fake) - 1)


def _second_order_variance(left: KernelSide, right: KernelSide, *, most: int = 512) -> float:
    """Return the variance of the kernel that no row or column alone explains, from the first rows of either side."""
    left_rows, right_rows = left.points.rows[:most].double(), right.points.rows[:most].double()
    block = (left_rows @ right_rows.T / left.width + left.offset[:most, None] + right.offset[:most]) ** 3
    if left is right:
        block.fill_diagonal_(torch.nan)
    block = block - block.nanmean(1, keepdim=True)
    return float((block - block.nanmean(0, keepdim=True)).square().nanmean())


def _remove_most(se: float, variance: float) -> float:
    """Return the standard error without `variance`, at least half of it."""
    return sqrt(max(se * se - variance, se * se / 4))


def _array(values: torch.Tensor) -> Float64:
    """Return the values as a numpy array."""
    return values.cpu().numpy()
