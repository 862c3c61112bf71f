"""Standard errors: of rates, of means over groups of rows, and by deleting blocks of rows (jackknife)."""

from __future__ import annotations

from math import sqrt

import numpy as np

from pytest_medgan.records import Float64, Int64

MOST_BLOCKS = 100  # the standard error then has an error of 7 percent


def rate_se(hits: float, trials: int) -> float:
    """Return the standard error of a rate, after adding two hits and two misses (Agresti and Coull 1998).

    The added trials keep rates of 0 and 1 from looking certain.
    """
    p = (hits + 2) / (trials + 4)
    return sqrt(p * (1 - p) / (trials + 4))


def hits_se(hits: Float64, group: Int64 | None = None) -> float:
    """Return the standard error of a rate: that of `rate_se`, or a larger one where groups are alike.

    Args:
        hits: float [N], 0 or 1.
        group: int [N], numbered from 0; rows of one group are redrawn together. None: every row is independent.
    """
    n, total = len(hits), float(np.sum(hits))
    se = rate_se(total, n)
    if group is None:
        return se
    # deviations from the rate that rate_se assumes, so that groups of only hits get an error too
    sums = np.bincount(group, weights=np.asarray(hits, np.float64) - (total + 2) / (n + 4))
    groups = len(sums)
    if groups < 2:
        return float("nan")
    return float(max(se, sqrt(groups / (groups - 1) * (sums**2).sum()) / n))


def mean_se(values: Float64, group: Int64 | None = None) -> float:
    """Return the standard error of a mean; nan for fewer than two independent rows.

    Args:
        values: float [N].
        group: int [N], numbered from 0; rows of one group are redrawn together. None: every row is independent.
    """
    n = len(values)
    centred = np.asarray(values, np.float64) - np.mean(values)
    if group is not None:
        centred = np.bincount(group, weights=centred)
    groups = len(centred)
    if groups < 2:
        return float("nan")
    return float(sqrt(groups / (groups - 1) * (centred**2).sum()) / n)


def blocks_of(group: Int64, seed: int = 0, most: int = MOST_BLOCKS) -> Int64:
    """Return the block of every row, int64 [N]: whole groups dealt to at most `most` blocks of nearly equal size."""
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
    for name in order:
        block[name] = filled.argmin()
        filled[block[name]] += size[name]
    return block[group]


def random_half(group: Int64, rng: np.random.Generator) -> Int64:
    """Return the rows of a random half of the groups.

    Of an odd number of groups it takes the smaller or the larger half by chance. For an exact half the variance of a
    mean equals that of the whole; always taking the smaller half would overstate it by (N + 1) / (N - 1).

    Args:
        group: int [N], numbered from 0, every number present and at least two of them.
        rng: The random generator.
    """
    count = int(group.max()) + 1
    extra = int(rng.integers(2)) if count % 2 else 0
    chosen = np.zeros(count, bool)
    chosen[rng.permutation(count)[: count // 2 + extra]] = True
    return np.flatnonzero(chosen[group])


def jackknife_se(whole: float, without: Float64, rows: Int64) -> float:
    """Return the delete-a-block jackknife error; nan for fewer than two blocks.

    The form for blocks of unequal size is that of Busing, Meijer and van der Leeden (1999), equation 8; for equal
    blocks it is the usual one.

    Args:
        whole: The value of all rows.
        without: float64 [G], the value without each block.
        rows: int64 [G], rows in each block.
    """
    if len(rows) < 2:
        return float("nan")
    h = rows.sum() / np.maximum(rows, 1)
    pseudo = h * whole - (h - 1) * without
    return float(sqrt(np.mean((pseudo - np.average(pseudo, weights=rows)) ** 2 / (h - 1))))


def jackknife_noise(noise: Float64, rows: Int64) -> float:
    """Return the part of `jackknife_se` squared that independent errors of `without`, variances [G], account for."""
    return float(np.mean((rows.sum() / np.maximum(rows, 1) - 1) * noise) * (len(rows) - 1) / len(rows))


def remove_variance(se: float, variance: float) -> float:
    """Return the standard error without a part of its variance, at least 0."""
    return sqrt(max(se * se - variance, 0.0))


def combine_se(*parts: float) -> float:
    """Return the standard error of a sum of independent parts; nan where one is unknown."""
    return float(sqrt(sum(part * part for part in parts)))


def largest(*errors: float) -> float:
    """Return the largest of some errors; nan where one is unknown."""
    return float(np.max(errors))


def pseudo_values(whole: float, without: Float64) -> Float64:
    """Return the jackknife's pseudo-values of blocks, float64 [G]; `without` [G] is the value without each block."""
    count = len(without)
    return np.asarray(count * whole - (count - 1) * without)
