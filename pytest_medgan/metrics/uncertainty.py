"""Standard errors: of rates, of means over blocks, and by deleting blocks."""

from __future__ import annotations

from math import sqrt

import numpy as np

from pytest_medgan.records import Float64, Int64

MOST_BLOCKS = 100  # the standard error itself is then known to 7 percent


def rate_se(hits: float, trials: int) -> float:
    """Standard error of a rate after two successes and two failures are added, so that 0 and 1 are not certain
    (Agresti and Coull 1998)."""
    p = (hits + 2) / (trials + 4)
    return sqrt(p * (1 - p) / (trials + 4))


def mean_se(values: Float64, block: Int64 | None = None) -> float:
    """Standard error of the mean of `values` [N]; rows of one block [N] are redrawn together."""
    n = len(values)
    centred = np.asarray(values, np.float64) - np.mean(values)
    if block is not None:
        centred = np.bincount(block, weights=centred)
    blocks = len(centred)
    if blocks < 2:
        return float("nan")
    return float(sqrt(blocks / (blocks - 1) * (centred**2).sum()) / n)


def blocks_of(group: Int64, seed: int = 0, most: int = MOST_BLOCKS) -> Int64:
    """Block [N] of every row: whole groups dealt to at most `most` blocks of nearly equal size."""
    size = np.bincount(group)
    if len(size) <= most:
        return group
    order = np.random.default_rng(seed).permutation(len(size))
    if size.max() == 1:
        block = np.empty(len(size), np.int64)
        block[order] = np.arange(len(size)) % most
        return block[group]
    order = order[np.argsort(-size[order], kind="stable")]
    filled, block = np.zeros(most, np.int64), np.empty(len(size), np.int64)
    for one in order:
        block[one] = filled.argmin()
        filled[block[one]] += size[one]
    return block[group]


def random_half(group: Int64, rng: np.random.Generator) -> Int64:
    """Rows of a random half of the groups [N], of which there are at least two.

    Of an odd number it is the smaller half or the larger one by chance: the variance of a mean is that of the whole for
    an exact half, and always the smaller one would overstate it by (N + 1) / (N - 1).
    """
    names = np.unique(group)
    extra = int(rng.integers(2)) if len(names) % 2 else 0
    return np.flatnonzero(np.isin(group, rng.permutation(names)[: len(names) // 2 + extra]))


def jackknife_se(whole: float, without: Float64, rows: Int64) -> float:
    """Delete-a-block jackknife with blocks of `rows` [G] rows each; `without` [G] is the value without each block.

    The form for unequal blocks is that of Busing, Meijer and van der Leeden (1999), which for equal blocks is the
    common one.
    """
    if len(rows) < 2:
        return float("nan")
    h = rows.sum() / np.maximum(rows, 1)
    pseudo = h * whole - (h - 1) * without
    return float(sqrt(np.mean((pseudo - pseudo.mean()) ** 2 / (h - 1))))


def jackknife_noise(noise: Float64, rows: Int64) -> float:
    """What `jackknife_se` squared owes to independent errors of `without` with the variances `noise` [G]."""
    return float(np.mean((rows.sum() / np.maximum(rows, 1) - 1) * noise) * (len(rows) - 1) / len(rows))


def less(se: float, variance: float) -> float:
    """The standard error without a part of its variance."""
    return sqrt(max(se * se - variance, 0.0))


def both(*parts: float) -> float:
    """Standard error of a sum of independent parts."""
    return float(sqrt(sum(part * part for part in parts)))
