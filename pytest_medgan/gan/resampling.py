"""Double and halve the resolution of StyleGAN2's maps by the filter [1, 3, 3, 1] / 8."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pad

from pytest_medgan.gan.convolution import convolve_each


def blur(x: Tensor, *, padding: int, stride: int = 1, gain: float = 1.0) -> Tensor:
    """Return maps filtered by [1, 3, 3, 1] / 8 in both directions, which keeps their mean inside.

    Args:
        x: [N,C,H,W].
        padding: Zeros added on every side.
        stride: Keep every so many pixels.
        gain: Factor of the result.
    """
    taps = torch.ones(4, device=x.device, dtype=x.dtype)  # filled on the device, so that a CUDA graph can hold it
    taps[1:3] = 3.0
    taps = taps / 8
    kernel = (gain * taps[:, None] * taps[None, :]).expand(x.shape[1], 1, 4, 4)
    return convolve_each(x, kernel, stride=stride, padding=padding)


def enlarge(images: Tensor) -> Tensor:
    """Return images [N,C,H,W] at twice the resolution: `blur` with gain 4 after zeros are put between the pixels."""
    for axis in (2, 3):
        images = _enlarge(images.transpose(axis, 3)).transpose(axis, 3)
    return images


def _enlarge(images: Tensor) -> Tensor:
    """Return images enlarged along the last axis, by sums: a convolution of few maps is slow on a CPU."""
    near, far = 0.75 * images, pad(0.25 * images, (1, 1))
    return torch.stack([far[..., :-2] + near, near + far[..., 2:]], -1).flatten(-2)
