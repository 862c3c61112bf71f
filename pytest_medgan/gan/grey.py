"""Images as grey levels 0..255 and as the range -1..1 of Tanh."""

from __future__ import annotations

import torch
from torch import Tensor

from pytest_medgan.errors import CheckpointError
from pytest_medgan.records import UInt8


def to_grey(images: Tensor) -> UInt8:
    """Return images as grey levels: floor(127.5 * x + 128), clipped, in float32.

    It is the inverse of `from_grey` to the nearest grey level, halves upwards. 1 and above give 255, -1 and below
    give 0.

    Args:
        images: float [N,C,H,W] in -1..1.

    Returns:
        uint8 [N,C,H,W].

    Raises:
        CheckpointError: A pixel is NaN or infinite.

    Examples:
        >>> to_grey(torch.tensor([-1.0, 0.0, 1.0])).tolist()
        [0, 128, 255]
    """
    if not bool(torch.isfinite(images).all()):
        raise CheckpointError("The generator drew pixels that are NaN or infinite. Use an earlier checkpoint.")
    grey = (images.float() * 127.5 + 128.0).floor_().clamp_(0.0, 255.0)
    pixels: UInt8 = grey.to(torch.uint8).cpu().numpy()
    return pixels


def from_grey(pixels: Tensor) -> Tensor:
    """Return uint8 0..255 as float32 -1..1: grey / 127.5 - 1."""
    return pixels.float() / 127.5 - 1.0
