"""MS-SSIM between generated images: how alike they are. Lower is more diverse.

Papers: Odena et al. 2017, "Conditional Image Synthesis with Auxiliary Classifier GANs", use the mean MS-SSIM of random
pairs; Wang et al. 2003, "Multiscale structural similarity", define it. Reference code: MONAI.

Conventions: unpadded 11x11 windows (sigma 1.5), k1 .01, k2 .03, as in the paper and in MONAI (torchmetrics pads).
Images too small for all five scales use the first ones that fit, with their weights scaled to sum to 1; 128 pixels
make four. A negative structure term counts as 0. The pairs are disjoint, so the expectation does not depend on how
many images there are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch.nn.functional import avg_pool2d, conv2d

from pytest_medgan.errors import MetricInputError
from pytest_medgan.metrics import inputs
from pytest_medgan.metrics.causes import NotMeasuredError, need
from pytest_medgan.metrics.look import Look
from pytest_medgan.metrics.uncertainty import mean_se
from pytest_medgan.records import Cause, Contribution, Estimate, Float64, Int64, UInt8

WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # Wang et al. 2003, table 1
WINDOW = 11
PAIRS = 256  # at most; disjoint, so that their values are independent


def ms_ssim_diversity(*, fake: Any, pairs: int = PAIRS, seed: int = 0) -> float:
    """Return the mean MS-SSIM over disjoint random pairs of generated images.

    Args:
        fake: Generated images, uint8 [M,1,H,W], M at least 2, H and W at least 11.
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


def ms_ssim(
    left: torch.Tensor, right: torch.Tensor, *, data_range: float, weights: Sequence[float] = ()
) -> torch.Tensor:
    """Return the MS-SSIM of image pairs.

    Args:
        left: Floating [P,1,H,W].
        right: Floating [P,1,H,W].
        data_range: Largest difference of two pixels.
        weights: One for each scale; without them the standard five, or as many as the size allows.

    Returns:
        Floating [P].

    Raises:
        MetricInputError: The images are too small for 11x11 windows at every scale.
    """
    chosen = tuple(weights) or WEIGHTS[: _scales(left)]
    if not 0 < len(chosen) <= _scales(left):
        raise MetricInputError(
            f"images of shape {inputs.shape_of(left)} are too small for 11x11 windows at every scale; give larger ones"
        )
    total = 1.0 if weights else sum(chosen)
    result = torch.ones(len(left), dtype=left.dtype, device=left.device)
    for scale, weight in enumerate(chosen):
        similarity, structure = _ssim(left, right, data_range)
        term = similarity if scale == len(chosen) - 1 else structure
        result = result * term.clamp_min(0) ** (weight / total)
        left, right = avg_pool2d(left, 2), avg_pool2d(right, 2)
    return result


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
    """Return the mean over pairs with its error; no reference takes part, so both errors are the same."""
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


def _scales(images: torch.Tensor) -> int:
    """Return how many of the five scales the images are large enough for."""
    return sum(min(images.shape[-2:]) // 2**scale >= WINDOW for scale in range(len(WEIGHTS)))


def _ssim(left: torch.Tensor, right: torch.Tensor, data_range: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Return mean similarity and mean contrast-structure of one scale, both [P]."""
    offset = torch.arange(WINDOW, dtype=left.dtype, device=left.device) - WINDOW // 2
    taps = torch.exp(-0.5 * (offset / 1.5) ** 2)
    taps = taps / taps.sum()
    maps = torch.cat([left, right, left * left, right * right, left * right], 1)
    rows, columns = taps.view(1, 1, -1, 1).repeat(5, 1, 1, 1), taps.view(1, 1, 1, -1).repeat(5, 1, 1, 1)
    mean_l, mean_r, ll, rr, lr = conv2d(conv2d(maps, rows, groups=5), columns, groups=5).unbind(1)
    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    structure = (2 * (lr - mean_l * mean_r) + c2) / (ll - mean_l**2 + rr - mean_r**2 + c2)
    similarity = structure * (2 * mean_l * mean_r + c1) / (mean_l**2 + mean_r**2 + c1)
    return similarity.mean((1, 2)), structure.mean((1, 2))
