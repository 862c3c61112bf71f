"""Which training images, latents and mixing weights belong to a step: functions of the seed and the position alone.

Nothing is carried from step to step, so a resumed run needs no state of a random generator and every process of a
distributed run knows the global batch.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from pytest_medgan.errors import TrainingError
from pytest_medgan.gan.latents import Stream
from pytest_medgan.records import ImageSet, Int64

_ORDER, _LATENTS, _MIXING = 101, 102, 103  # keep the streams of one seed apart


class Batches:
    """The training images in the endless shuffled order that `seed` names."""

    def __init__(self, images: ImageSet, *, size: int, channels: int, seed: int, device: torch.device) -> None:
        pixels = images.pixels
        if len(pixels) == 0:
            raise TrainingError("the training set is empty; check what --images names")
        if pixels.dtype != np.uint8 or pixels.shape[1:] != (channels, size, size):
            raise TrainingError(
                f"the training images are {pixels.dtype} {list(pixels.shape)}, the networks are made for uint8 "
                f"[N, {channels}, {size}, {size}]; prepare the images at that size or set --size"
            )
        self._pixels = torch.from_numpy(np.ascontiguousarray(pixels)).to(device)
        self._seed = seed
        self._orders: dict[int, Int64] = {}

    def __len__(self) -> int:
        return len(self._pixels)

    def reals(self, start: int, batch: int, share: slice) -> Tensor:
        """uint8: this process's share of rows start..start+batch of the endless order."""
        positions = np.arange(start, start + batch)[share]
        n = len(self._pixels)
        index = [int(self._order(int(p) // n)[int(p) % n]) for p in positions]
        return self._pixels[torch.tensor(index, device=self._pixels.device)]

    def _order(self, epoch: int) -> Int64:
        if epoch not in self._orders:
            self._orders = {e: o for e, o in self._orders.items() if e >= epoch - 1}
            self._orders[epoch] = Stream(self._seed, _ORDER, epoch).permutation(len(self._pixels))
        return self._orders[epoch]


def training_latents(seed: int, step: int, batch: int, dimensions: int, share: slice) -> Tensor:
    """float32 [share, dimensions]: this process's rows of the step's latents."""
    return torch.from_numpy(Stream(seed, _LATENTS, step).normal(batch, dimensions)[share])


def mixing_weights(seed: int, step: int, batch: int, share: slice) -> Tensor:
    """float64 [share], uniform in (0, 1): where between generated and real the gradient penalty is taken."""
    return torch.from_numpy(Stream(seed, _MIXING, step).uniform(batch)[share])
