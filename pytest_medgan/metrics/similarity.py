"""MS-SSIM of image pairs: structural similarity at several scales.

Paper: Wang et al. 2003, "Multiscale structural similarity for image quality assessment". Reference code: MONAI.

Conventions: unpadded 11x11 windows (sigma 1.5), k1 .01, k2 .03, as in the paper and in MONAI (torchmetrics pads).
Images too small for all five scales use the first ones that fit, with their weights scaled to sum to 1; 128 pixels
make four. A negative structure term counts as 0. Of colours a scale's terms are the means of those of the channels.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.nn.functional import avg_pool2d, conv2d

from pytest_medgan.errors import MetricInputError
from pytest_medgan.metrics import inputs

WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # Wang et al. 2003, table 1
WINDOW = 11


def ms_ssim(
    left: torch.Tensor, right: torch.Tensor, *, data_range: float, weights: Sequence[float] = ()
) -> torch.Tensor:
    """Return the MS-SSIM of image pairs.

    Args:
        left: Floating [P,C,H,W].
        right: Floating [P,C,H,W].
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


def _scales(images: torch.Tensor) -> int:
    """Return how many of the five scales the images are large enough for."""
    return sum(min(images.shape[-2:]) // 2**scale >= WINDOW for scale in range(len(WEIGHTS)))


def _ssim(left: torch.Tensor, right: torch.Tensor, data_range: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Return mean similarity and mean contrast-structure of one scale, both [P]."""
    count, channels, height, width = left.shape
    left, right = (side.reshape(count * channels, 1, height, width) for side in (left, right))
    offset = torch.arange(WINDOW, dtype=left.dtype, device=left.device) - WINDOW // 2
    taps = torch.exp(-0.5 * (offset / 1.5) ** 2)
    taps = taps / taps.sum()
    maps = torch.cat([left, right, left * left, right * right, left * right]).transpose(0, 1)
    groups = maps.shape[1]  # one grouped convolution of many maps takes a third of the time of many images
    rows, columns = taps.view(1, 1, -1, 1).repeat(groups, 1, 1, 1), taps.view(1, 1, 1, -1).repeat(groups, 1, 1, 1)
    blurred = conv2d(conv2d(maps, rows, groups=groups), columns, groups=groups)[0]
    mean_l, mean_r, ll, rr, lr = blurred.chunk(5)
    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    structure = (2 * (lr - mean_l * mean_r) + c2) / (ll - mean_l**2 + rr - mean_r**2 + c2)
    similarity = structure * (2 * mean_l * mean_r + c1) / (mean_l**2 + mean_r**2 + c1)
    similarity, structure = (each.mean((1, 2)).view(count, channels).mean(1) for each in (similarity, structure))
    return similarity, structure
