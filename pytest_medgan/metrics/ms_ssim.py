"""MS-SSIM between generated images: how alike they are. Lower is more diverse.

Odena et al. 2017, "Conditional Image Synthesis with Auxiliary Classifier GANs", use the mean MS-SSIM of random pairs;
Wang et al. 2003, "Multiscale structural similarity", define it. Unpadded 11x11 windows (sigma 1.5), k1 .01, k2 .03, as
there and in MONAI (torchmetrics pads). Images too small for all five scales use the first that fit, with their
weights raised to sum to 1: 128 pixels make four. A negative structure term counts as 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.nn.functional import avg_pool2d, conv2d

from pytest_medgan.errors import MetricInputError
from pytest_medgan.metrics import inputs
from pytest_medgan.metrics.uncertainty import mean_se
from pytest_medgan.records import Estimate, Float64, UInt8

if TYPE_CHECKING:
    from pytest_medgan.metrics.look import Look

WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # Wang et al. 2003, table 1
WINDOW = 11
PAIRS = 256  # at most; disjoint, so that their values are independent


def ms_ssim(
    left: torch.Tensor,
    right: torch.Tensor,
    *,
    data_range: float,
    weights: Sequence[float] | None = None,
    window: str = "gaussian",
) -> torch.Tensor:
    """MS-SSIM of image pairs [P,1,H,W], floating [P]; `window` is "gaussian" or "uniform".

    Without `weights` the standard five, or as many as the size allows. MetricInputError where images are too small.
    """
    side = min(left.shape[-2:])
    fit = sum(side // 2**scale >= WINDOW for scale in range(len(WEIGHTS)))
    chosen = WEIGHTS[:fit] if weights is None else tuple(weights)
    if not chosen or side // 2 ** (len(chosen) - 1) < WINDOW:
        raise MetricInputError(
            f"images of shape {inputs.shape_of(left)} are too small for 11x11 windows at every scale"
        )
    total = sum(chosen) if weights is None else 1.0
    result = torch.ones(len(left), dtype=left.dtype, device=left.device)
    for scale, weight in enumerate(chosen):
        similarity, structure = _ssim(left, right, data_range, window)
        term = similarity if scale == len(chosen) - 1 else structure
        result = result * term.clamp_min(0) ** (weight / total)
        left, right = avg_pool2d(left, 2), avg_pool2d(right, 2)
    return result


def _ssim(left: torch.Tensor, right: torch.Tensor, data_range: float, window: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean similarity and mean contrast-structure [P] of one scale."""
    offset = torch.arange(WINDOW, dtype=left.dtype, device=left.device) - WINDOW // 2
    taps = torch.exp(-0.5 * (offset / 1.5) ** 2) if window == "gaussian" else torch.ones_like(offset)
    taps = taps / taps.sum()
    maps = torch.cat([left, right, left * left, right * right, left * right], 1)
    rows, columns = taps.view(1, 1, -1, 1).repeat(5, 1, 1, 1), taps.view(1, 1, 1, -1).repeat(5, 1, 1, 1)
    mean_l, mean_r, ll, rr, lr = conv2d(conv2d(maps, rows, groups=5), columns, groups=5).unbind(1)
    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    structure = (2 * (lr - mean_l * mean_r) + c2) / (ll - mean_l**2 + rr - mean_r**2 + c2)
    similarity = structure * (2 * mean_l * mean_r + c1) / (mean_l**2 + mean_r**2 + c1)
    return similarity.mean((1, 2)), structure.mean((1, 2))


def ms_ssim_diversity(*, fake: Any, pairs: int = PAIRS, seed: int = 0) -> float:
    """Mean MS-SSIM over at most `pairs` disjoint random pairs of images uint8 [M,1,H,W], M at least 2."""
    images = inputs.pixels(fake, "fake")
    pairs, seed = inputs.whole(pairs, "pairs"), inputs.whole(seed, "seed", least=0)
    if len(images) < 2:
        raise MetricInputError(f"fake has shape {inputs.shape_of(images)}; give at least 2 images")
    return float(pair_values(images, pairs, seed).mean())


def pair_values(images: UInt8, pairs: int = PAIRS, seed: int = 0) -> Float64:
    """MS-SSIM of every pair, float64 [P]; which images make a pair follows from their number and the seed."""
    order = np.random.default_rng(seed).permutation(len(images))[: 2 * min(pairs, len(images) // 2)].reshape(-1, 2)
    found = []
    for start in range(0, len(order), 16):
        left, right = (torch.from_numpy(images[order[start : start + 16, side]]).float() for side in (0, 1))
        found.append(ms_ssim(left, right, data_range=255.0).double().numpy())
    return np.concatenate(found)


def ms_ssim_estimate(look: Look) -> Estimate:
    """The mean over pairs; no reference takes part."""
    if look.pixels is None:
        raise LookupError("no pixels were given")
    values = pair_values(look.pixels, seed=look.seed)
    se = mean_se(values) if len(values) > 1 else float("nan")
    return Estimate(float(values.mean()), se, se)
