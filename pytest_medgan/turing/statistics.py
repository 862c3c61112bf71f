"""The statistics of reader studies: intervals of a share, agreement, and the area under a rating curve."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy import stats

from pytest_medgan.records import Bool, Float64, Int64


def clopper_pearson(hits: int, count: int, confidence: float = 0.95) -> tuple[float, float]:
    """The exact interval of a binomial share (Clopper & Pearson 1934); (0, 1) without a trial."""
    if count == 0:
        return 0.0, 1.0
    tail = (1 - confidence) / 2
    low = 0.0 if hits == 0 else float(stats.beta.ppf(tail, hits, count - hits + 1))
    high = 1.0 if hits == count else float(stats.beta.ppf(1 - tail, hits + 1, count - hits))
    return low, high


def wilson(share: float, count: float, confidence: float = 0.95) -> tuple[float, float]:
    """The score interval of a share (Wilson 1927); `count` may be an effective number. (0, 1) without a trial."""
    if count <= 0:
        return 0.0, 1.0
    z = float(stats.norm.ppf((1 + confidence) / 2))
    middle = share + z * z / (2 * count)
    half = z * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    scale = 1 + z * z / count
    return max(0.0, (middle - half) / scale), min(1.0, (middle + half) / scale)


def effective_count(right: Float64, answers: Int64) -> float:
    """How many independent answers a pooled share is worth when several readers saw the same images.

    `right` [images] are the right answers and `answers` [images] all answers to each image. The variance of the share
    is taken between images (a ratio estimate), since answers to one image go together; never more than all answers.
    """
    total = float(answers.sum())
    images = len(answers)
    if images < 2 or total == 0:
        return total
    share = float(right.sum()) / total
    residual = right - share * answers
    variance = images / (images - 1) * float((residual**2).sum()) / total**2
    if variance == 0 or share in (0.0, 1.0):
        return float(images)
    return min(share * (1 - share) / variance, total)


def cohen_kappa(first: Bool, second: Bool) -> float:
    """Agreement of two readers beyond chance (Cohen 1960); nan where chance alone would make them agree throughout."""
    observed = float((first == second).mean())
    p, q = float(first.mean()), float(second.mean())
    chance = p * q + (1 - p) * (1 - q)
    return math.nan if chance == 1 else (observed - chance) / (1 - chance)


def fleiss_kappa(votes: Int64) -> float:
    """Agreement of several readers beyond chance (Fleiss 1971); nan where all votes are the same.

    `votes` [images, categories] counts each image's votes; every image has the same number, at least two.
    """
    readers = int(votes[0].sum())
    share = votes.sum(0) / votes.sum()
    within = ((votes**2).sum(1) - readers) / (readers * (readers - 1))
    chance = float((share**2).sum())
    return math.nan if math.isclose(chance, 1.0) else (float(within.mean()) - chance) / (1 - chance)


def rating_area(ratings: Sequence[float], positive: Bool) -> float:
    """The area under the receiver operating characteristic of ratings (Mann-Whitney, ties half); nan without a side."""
    values = np.asarray(ratings, float)
    if positive.all() or not positive.any():
        return math.nan
    ranks = stats.rankdata(values)
    m = int(positive.sum())
    return (float(ranks[positive].sum()) - m * (m + 1) / 2) / (m * (len(values) - m))
