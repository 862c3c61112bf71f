"""MS-SSIM between generated images: how alike they are. Lower is more diverse.

Paper: Odena et al. 2017, "Conditional Image Synthesis with Auxiliary Classifier GANs", use the mean MS-SSIM of random
pairs; similarity.py computes it. Reference code: MONAI.

Convention: the pairs are disjoint, so the expectation does not depend on how many images there are.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from pytest_medgan.errors import MetricInputError
from pytest_medgan.metrics import inputs
from pytest_medgan.metrics.causes import NotMeasuredError, need
from pytest_medgan.metrics.look import Look
from pytest_medgan.metrics.similarity import WINDOW, ms_ssim
from pytest_medgan.metrics.uncertainty import mean_se
from pytest_medgan.records import Cause, Contribution, Estimate, Float64, Int64, UInt8

PAIRS = 256  # at most; disjoint, so that their values are independent


def ms_ssim_diversity(*, fake: Any, pairs: int = PAIRS, seed: int = 0) -> float:
    """Return the mean MS-SSIM over disjoint random pairs of generated images.

    Args:
        fake: Generated images, uint8 [M,C,H,W], M at least 2, H and W at least 11.
        pairs: Pairs at most; there are no more than M/2.
        seed: Seed of the pairs, at least 0.

    Returns:
        The mean, in [0,1]; 1 where all images are equal.

    Raises:
        MetricInputError: An argument has another shape or value, or the images are too small.

    References:
        Odena et al. 2017, "Conditional Image Synthesis with Auxiliary Classifier GANs"; Wang et al. 2003; MONAI.

    Examples:
        >>> import numpy as np
        >>> round(ms_ssim_diversity(fake=np.full((4, 1, 32, 32), 100, np.uint8)), 6)
        1.0
    """
    images = inputs.pixels(fake, "fake")
    pairs, seed = inputs.whole(pairs, "pairs"), inputs.whole(seed, "seed", least=0)
    if len(images) < 2:
        raise MetricInputError(f"fake has shape {inputs.shape_of(images)}; give at least 2 images")
    return float(pair_values(images, pairs, seed).mean())


def pair_values(images: UInt8, pairs: int = PAIRS, seed: int = 0) -> Float64:
    """Return the MS-SSIM of every pair, float64 [P]; the pairs follow from the number of images and the seed."""
    found = []
    order = pair_rows(len(images), pairs, seed)
    for start in range(0, len(order), 16):
        left, right = (torch.from_numpy(images[order[start : start + 16, side]]).float() for side in (0, 1))
        found.append(ms_ssim(left, right, data_range=255.0).double().numpy())
    return np.concatenate(found)


def pair_rows(count: int, pairs: int = PAIRS, seed: int = 0) -> Int64:
    """Return the rows of every pair, int64 [P,2]."""
    return np.random.default_rng(seed).permutation(count)[: 2 * min(pairs, count // 2)].reshape(-1, 2)


def ms_ssim_estimate(look: Look) -> Estimate:
    """Return the mean over pairs; no reference is used, so `se` and `se_total` are equal."""
    values = look.keep(_look_values)
    if len(values) < 2:  # one pair shows no spread
        raise NotMeasuredError(Cause.TOO_FEW_IMAGES)
    se = _pairs_se(values, pair_rows(len(look.fake), seed=look.seed), look.fake_group)
    return Estimate(float(values.mean()), se, se)


def ms_ssim_contribution(look: Look) -> Contribution:
    """Return the value of every pair; two models measured with one seed have the same pairs."""
    return Contribution(look.keep(_look_values))


def _pairs_se(values: Float64, rows: Int64, group: Int64 | None) -> float:
    """Return the standard error of the mean of pairs [P] of rows [P,2], where images of a group are redrawn together.

    Pairs that share a group are dependent (Fafchamps and Gubert 2007).
    """
    plain = mean_se(values)
    if group is None:
        return plain
    residual, (first, second) = values - values.mean(), group[rows].T
    apart, count = first != second, int(group.max()) + 1
    sums = np.bincount(first, residual, count) + np.bincount(second[apart], residual[apart], count)
    groups = len(np.unique(group[rows]))
    if groups < 2:
        return float("nan")
    twice = (residual[apart] ** 2).sum()  # a pair of two groups is in both their sums
    variance = groups / (groups - 1) * ((sums**2).sum() - twice) / len(values) ** 2
    return float(np.sqrt(max(variance, plain**2)))


def _look_values(look: Look) -> Float64:
    """Return the MS-SSIM of every pair of a look."""
    pixels = need(look.pixels, Cause.NO_PIXELS)
    if min(pixels.shape[2:]) < WINDOW:
        raise NotMeasuredError(Cause.IMAGES_TOO_SMALL)
    return pair_values(pixels, seed=look.seed)
