"""Statistics of reader studies that scipy and scikit-learn do not offer, or not for these inputs.

Intervals of whole counts come from `scipy.stats.binomtest`; Cohen's kappa, areas under the curve and confusion tables
from scikit-learn.
"""

from __future__ import annotations

import math

import numpy as np
from scipy import stats
from sklearn.metrics import cohen_kappa_score, confusion_matrix, roc_auc_score

from pytest_medgan.records import Bool, Float64, Int64


def wilson(share: float, count: float, confidence: float = 0.95) -> tuple[float, float]:
    """Return the score interval of a share; unlike scipy's, `count` may be an effective number that is not whole.

    Args:
        share: Successes divided by trials, 0 to 1.
        count: Number of trials, 0 or more.
        confidence: Probability that the interval holds the true share.

    Returns:
        Lower and upper end; (0, 1) without a trial.

    References:
        Wilson 1927, Probable inference, the law of succession, and statistical inference.
    """
    if count <= 0:
        return 0.0, 1.0
    z = float(stats.norm.ppf((1 + confidence) / 2))
    middle = share + z * z / (2 * count)
    half = z * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    scale = 1 + z * z / count
    return max(0.0, (middle - half) / scale), min(1.0, (middle + half) / scale)


def effective_count(right: Float64, answers: Int64) -> float:
    """Return how many independent answers a pooled share is worth when several readers saw the same images.

    The variance of the share is taken between images (a ratio estimate), since answers to one image are correlated.

    Args:
        right: float64 [images], right answers to each image.
        answers: int64 [images], all answers to each image.

    Returns:
        At most the number of all answers.
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
    """Return the agreement of two readers beyond chance; nan where both gave one and the same answer throughout.

    Args:
        first: bool [images], calls of the first reader.
        second: bool [images], calls of the second reader.

    Returns:
        -1 to 1.

    References:
        Cohen 1960, A coefficient of agreement for nominal scales.
    """
    if len(np.unique(np.concatenate([first, second]))) < 2:
        return math.nan
    return float(cohen_kappa_score(first, second))


def fleiss_kappa(votes: Int64) -> float:
    """Return the agreement of several readers beyond chance; nan where all votes are the same.

    Args:
        votes: int64 [images, categories], votes for each category; every image has the same number, at least two.

    Returns:
        At most 1.

    References:
        Fleiss 1971, Measuring nominal scale agreement among many raters.
    """
    readers = int(votes[0].sum())
    share = votes.sum(0) / votes.sum()
    within = ((votes**2).sum(1) - readers) / (readers * (readers - 1))
    chance = float((share**2).sum())
    return math.nan if math.isclose(chance, 1.0) else (float(within.mean()) - chance) / (1 - chance)


def sensitivity_and_specificity(is_generated: Bool, called_generated: Bool) -> tuple[float, float]:
    """Return the share of generated images called generated and of real images called real.

    Args:
        is_generated: bool [answers], the truth.
        called_generated: bool [answers], the reader's calls.

    Returns:
        Sensitivity and specificity, each nan where no such image was answered.
    """
    (real_right, real_wrong), (fake_wrong, fake_right) = confusion_matrix(
        is_generated, called_generated, labels=[False, True]
    ).tolist()
    return _share(fake_right, fake_wrong), _share(real_right, real_wrong)


def rating_area(ratings: Float64, is_positive: Bool) -> float:
    """Return the area under the receiver operating characteristic; nan where one side has no image.

    Args:
        ratings: float64 [images]; higher means more likely positive.
        is_positive: bool [images], the truth.

    Returns:
        0 to 1; 0.5 where the ratings tell nothing.
    """
    if is_positive.all() or not is_positive.any():
        return math.nan
    return float(roc_auc_score(is_positive, ratings))


def _share(right: int, wrong: int) -> float:
    """Return right / (right + wrong), nan without any."""
    return right / (right + wrong) if right + wrong else math.nan
