"""Differentiable augmentation of what a discriminator sees, real and generated images alike.

All losses see changed images, so the discriminator cannot learn the training images by heart and the generator need
not draw changed ones (Zhao et al. 2020). Mirror images and large rotations are left out: a heart on the right is a
finding in chest CT.

References:
    Zhao et al. (2020), "Differentiable Augmentation for Data-Efficient GAN Training".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from pytest_medgan.errors import SettingsError
from pytest_medgan.gan.latents import uniform_by_step

_STREAM = 104  # keeps these numbers apart from the other streams of one seed
SIDES = 2  # real images, generated images


@dataclass(frozen=True)
class Augmentation:
    """How far images are changed; all zero changes nothing."""

    shift: int = 0  # pixels up, down and sideways at most, mirrored at the border
    brightness: float = 0.0  # added grey at most, where the images span -1 to 1
    contrast: float = 0.0  # at most this share more or less, about the mean of the image
    cutout: float = 0.0  # side of a square set to 0, as a share of the image's side

    def __post_init__(self) -> None:
        if self.shift < 0 or not 0 <= self.brightness <= 1:
            raise SettingsError("An augmentation is out of range. shift takes 0 or more, brightness 0 to 1.")
        if not 0 <= self.contrast < 1 or not 0 <= self.cutout < 1:
            raise SettingsError("An augmentation is out of range. contrast and cutout take numbers from 0 to below 1.")

    @property
    def changes(self) -> bool:
        """Whether any image is changed."""
        return bool(self.shift or self.brightness or self.contrast or self.cutout)

    def draw(self, seed: int, steps: range, batch: int) -> dict[str, Tensor]:
        """Return the steps' random numbers for a global batch, [steps, SIDES, batch, ...]; empty without changes.

        "moves" int64 [.., 2], rows and columns; "greys" float32 [.., 2], offset and factor; "cuts" float32 [.., 2],
        centre of the square as a share of the image's side.
        """
        if not self.changes:
            return {}
        uniform = uniform_by_step(seed, _STREAM, steps, SIDES, batch, 6)
        drawn: dict[str, Tensor] = {}
        if self.shift:
            drawn["moves"] = torch.from_numpy((uniform[..., :2] * (2 * self.shift + 1)).astype("int64") - self.shift)
        if self.brightness or self.contrast:
            offset = (2 * uniform[..., 2] - 1) * self.brightness
            factor = 1 + (2 * uniform[..., 3] - 1) * self.contrast
            drawn["greys"] = torch.stack([torch.from_numpy(offset), torch.from_numpy(factor)], -1).float()
        if self.cutout:
            drawn["cuts"] = torch.from_numpy(uniform[..., 4:6]).float()
        return drawn

    def apply(self, images: Tensor, drawn: Mapping[str, Tensor], side: int) -> Tensor:
        """Return changed images.

        Args:
            images: float [N,C,H,W] in -1..1.
            drawn: What `draw` returned for one step, each tensor [SIDES, N, ...], on the device of the images.
            side: 0 for real and 1 for generated images.
        """
        if self.brightness or self.contrast:
            offset, factor = drawn["greys"][side].to(images.dtype).unbind(-1)
            mean = images.mean((1, 2, 3), keepdim=True)
            images = (images - mean) * _each(factor) + mean + _each(offset)
        if self.shift:
            images = shifted(images, drawn["moves"][side])
        if self.cutout:
            images = images * _outside(drawn["cuts"][side], self.cutout, images)
        return images


def check_shift(shift: int, size: int) -> None:
    """Raise SettingsError where images of `size` pixels cannot be shifted by up to `shift`."""
    if shift >= size:
        raise SettingsError(f"shift {shift} is not possible for images of {size} pixels. Choose less than that.")


def shifted(images: Tensor, by: Tensor) -> Tensor:
    """Return images moved by whole pixels and mirrored at the border; differentiable.

    Args:
        images: float [N,C,H,W].
        by: int64 [N,2], rows (down) and columns (right), each less than the image's side.
    """
    rows, columns = (_mirrored(by[:, axis], images.shape[2 + axis]) for axis in (0, 1))
    moved = images.gather(2, rows[:, None, :, None].expand_as(images))
    return moved.gather(3, columns[:, None, None, :].expand_as(images))


def _mirrored(by: Tensor, size: int) -> Tensor:
    """Return int64 [N,size]: where each row (or column) of the moved image comes from."""
    place = (torch.arange(size, device=by.device) - by[:, None]).abs()
    return torch.where(place < size, place, 2 * (size - 1) - place)


def _outside(centres: Tensor, share: float, like: Tensor) -> Tensor:
    """Return [N,1,H,W], 0 within a square about each centre (float [N,2], shares of the side) and 1 elsewhere."""
    near = []
    for axis in (0, 1):
        size = like.shape[2 + axis]
        place = (torch.arange(size, device=like.device) + 0.5) / size
        near.append((place - centres[:, axis, None]).abs() < share / 2)
    return (~(near[0][:, None, :, None] & near[1][:, None, None, :])).to(like.dtype)


def _each(values: Tensor) -> Tensor:
    """Return one number per image, [N] -> [N,1,1,1]."""
    return values[:, None, None, None]
