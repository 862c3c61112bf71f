"""Adaptive discriminator augmentation, of transforms that make sense for CT.

Each transform of an image is applied with a probability that rises while the discriminator is too sure of real images:
while the mean sign of their logits is above a target. Real and generated images are changed alike, and the generator
learns through the transforms. Colours, cuts and quarter turns of the paper are left out.

References:
    Karras et al. (2020), "Training Generative Adversarial Networks with Limited Data".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import radians

import torch
from torch import Tensor, nn
from torch.nn.functional import affine_grid, grid_sample

from pytest_medgan.gan.latents import uniform_by_step

ADAPT_EVERY = 4  # steps between two changes of the probability
_STREAM = 105  # keeps these numbers apart from the other streams of one seed
_SIDES = 2  # real images, generated images
_KINDS = 5  # move, turn, zoom, mirror, gain


@dataclass(frozen=True)
class Transforms:
    """How far images are changed at most; all zero changes nothing."""

    shift: float  # share of the side
    rotation: float  # degrees
    zoom: float  # share by which the image grows or shrinks
    flip: float  # share of the images that are mirrored
    gain: float  # share by which the contrast grows or falls

    def draw(self, seed: int, steps: range, batch: int) -> dict[str, Tensor]:
        """Return the steps' random numbers for a global batch: "chances" and "amounts", float32 [steps, 2, batch, ..].

        A transform is applied where its chance lies below the probability. Amounts lie in -1..1.
        """
        uniform = torch.from_numpy(uniform_by_step(seed, _STREAM, steps, _SIDES, batch, 2 * _KINDS + 1)).float()
        return {"chances": uniform[..., :_KINDS], "amounts": 2 * uniform[..., _KINDS:] - 1}

    def apply(self, images: Tensor, chances: Tensor, amounts: Tensor, probability: Tensor) -> Tensor:
        """Return changed images; differentiable once.

        Args:
            images: float [N,C,H,W] in -1..1.
            chances: float [N,5] in 0..1.
            amounts: float [N,6] in -1..1: rows, columns, angle, zoom, mirror, gain.
            probability: float [], of each transform.
        """
        rows, columns, turn, zoom, mirror, gain = amounts.unbind(1)
        move_on, turn_on, zoom_on, mirror_on, gain_on = (chances < probability).to(amounts.dtype).unbind(1)
        angle = radians(self.rotation) * turn * turn_on
        scale = torch.exp2(torch.log2(torch.full_like(zoom, 1 + self.zoom)) * zoom * zoom_on)
        side = 1 - 2 * ((mirror + 1) / 2 < self.flip).to(amounts.dtype) * mirror_on
        cosine, sine = torch.cos(angle) / scale, torch.sin(angle) / scale
        # affine_grid spans the image by -1..1, so a move by a share of the side is twice that share
        across, down = 2 * self.shift * columns * move_on, 2 * self.shift * rows * move_on
        matrix = torch.stack([side * cosine, -sine, across, side * sine, cosine, down], 1).reshape(-1, 2, 3)
        wide = images.to(torch.promote_types(images.dtype, torch.float32))
        with torch.autocast(images.device.type, enabled=False):
            grid = affine_grid(matrix.to(wide.dtype), list(wide.shape), align_corners=False)
            moved = grid_sample(wide, grid, mode="bilinear", padding_mode="reflection", align_corners=False)
        factor = (1 + self.gain * gain * gain_on).to(moved.dtype)[:, None, None, None]
        mean = moved.mean((1, 2, 3), keepdim=True)
        changed: Tensor = (moved - mean) * factor + mean
        return changed.to(images.dtype)


class Adaptation(nn.Module):
    """Hold the probability of the transforms, which follows the signs of real images' logits."""

    probability: Tensor
    signs: Tensor

    def __init__(self, target: float, batch: int, images: int) -> None:
        """Start at probability 0.

        Args:
            target: Mean sign that the probability is adapted to; at 0 it stays 0.
            batch: Images a step, over all processes.
            images: Images over which the probability rises from 0 to 1.
        """
        super().__init__()
        self._target, self._stride = target, ADAPT_EVERY * batch / images
        self.register_buffer("probability", torch.zeros(()))
        self.register_buffer("signs", torch.zeros(()))

    @torch.no_grad()
    def note(self, sign: Tensor) -> None:
        """Add the mean sign of a step's real images, [], averaged over the processes."""
        self.signs += sign.to(self.signs.dtype)

    @torch.no_grad()
    def adapt(self) -> None:
        """Move the probability by the mean sign of the last ADAPT_EVERY steps."""
        direction = torch.sign(self.signs / ADAPT_EVERY - self._target)
        if self._target:
            self.probability.add_(direction * self._stride).clamp_(0.0, 1.0)
        self.signs.zero_()


def seen(transforms: Transforms, images: Tensor, inputs: Mapping[str, Tensor], side: int, chance: Tensor) -> Tensor:
    """Return what the discriminator sees of real (side 0) or generated images (side 1) in a step."""
    return transforms.apply(images, inputs["chances"][side], inputs["amounts"][side], chance)
