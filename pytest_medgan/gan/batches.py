"""The training images, latents and mixing weights of each step: functions of the seed and the position alone.

Nothing is carried from step to step, so a resumed run needs no state of a random generator and every process of a
distributed run knows the global batch.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from pytest_medgan.errors import TrainingError
from pytest_medgan.gan.latents import Stream, normal_by_step, uniform_by_step
from pytest_medgan.records import ImageSet, Int64

_ORDER, LATENTS, _MIXING = 101, 102, 103  # numbers of independent streams of one seed


class Batches:
    """Hold the training images in an endless order, shuffled anew by each epoch."""

    def __init__(self, images: ImageSet, *, size: int, channels: int, seed: int, device: torch.device) -> None:
        pixels = images.pixels
        if len(pixels) == 0:
            raise TrainingError("The training set is empty. Check what --images names.")
        if pixels.dtype != np.uint8 or pixels.shape[1:] != (channels, size, size):
            raise TrainingError(
                f"The training images are {pixels.dtype} {list(pixels.shape)}, and the networks take uint8 "
                f"[N, {channels}, {size}, {size}]. Prepare the images at that size, or set --size."
            )
        self._pixels = torch.from_numpy(np.ascontiguousarray(pixels)).to(device)
        self._seed = seed
        self._orders: dict[int, Int64] = {}

    def __len__(self) -> int:
        return len(self._pixels)

    def rows(self, start: int, steps: int, batch: int, share: slice) -> Tensor:
        """Return int64 [steps, n], on the CPU: this process's shares of batches that follow each other.

        Args:
            start: Position of the first batch's first image in the endless order.
            steps: Batches.
            batch: Images of a batch, over all processes.
            share: This process's part of a batch.
        """
        n = len(self._pixels)
        positions = np.arange(start, start + steps * batch).reshape(steps, batch)[:, share]
        epochs, places = np.divmod(positions, n)
        rows = np.empty_like(places)
        for epoch in np.unique(epochs).tolist():
            rows[epochs == epoch] = self._order(epoch)[places[epochs == epoch]]
        return torch.from_numpy(rows)

    def images(self, rows: Tensor) -> Tensor:
        """Return uint8 [n,C,size,size] for rows on the images' device."""
        return self._pixels[rows]

    def _order(self, epoch: int) -> Int64:
        """Return the order of an epoch."""
        if epoch not in self._orders:
            self._orders = {e: o for e, o in self._orders.items() if e >= epoch - 1}
            self._orders[epoch] = Stream(self._seed, _ORDER, epoch).permutation(len(self._pixels))
        return self._orders[epoch]


def training_latents(
    seed: int, steps: range, batch: int, dimensions: int, share: slice, *, stream: int = LATENTS
) -> Tensor:
    """Return float32 [steps, share, dimensions]: this process's rows of the steps' latents."""
    return torch.from_numpy(normal_by_step(seed, stream, steps, batch, dimensions)[:, share])


def mixing_weights(seed: int, steps: range, batch: int, share: slice) -> Tensor:
    """Return float64 [steps, share], uniform in (0, 1): where between generated and real a penalty is taken."""
    return torch.from_numpy(uniform_by_step(seed, _MIXING, steps, batch)[:, share])
