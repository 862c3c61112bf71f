"""Draw images from a checkpoint: latents from a seed, images as grey levels.

Latents are drawn on the CPU in blocks, and the network always sees a whole block. So the first n images of a seed are
the same whatever the count asked for, to the bit on one device and thread count. Noise that a network adds to its maps
is drawn for the same blocks, by torch.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from torch import nn

from pytest_medgan.errors import CheckpointError, SettingsError
from pytest_medgan.gan.architectures import read_configuration
from pytest_medgan.gan.checkpoint import Checkpoint, load
from pytest_medgan.gan.grey import to_grey
from pytest_medgan.gan.latents import BLOCK, latent_block
from pytest_medgan.gan.networks import TruncatedNetwork, noise_of, restore_generator
from pytest_medgan.gan.seeding import seed_of
from pytest_medgan.ground.digests import digest_values
from pytest_medgan.records import Progress, UInt8, no_progress


@contextmanager
def exact_convolutions() -> Iterator[None]:
    """Compute in full float32 and by the same algorithms each time on CUDA; nothing changes on the CPU."""
    with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False):
        yield


def choose_device(device: str) -> torch.device:
    """Return the torch device of a name.

    Raises:
        SettingsError: The machine has no such device.
    """
    try:
        chosen = torch.device(device)
    except RuntimeError as error:
        raise SettingsError(f"device {device!r} is unknown to torch. Use cpu or cuda.") from error
    if chosen.type == "cuda" and not torch.cuda.is_available():
        raise SettingsError(f"device {device!r} is not available: torch finds no GPU. Use cpu.")
    return chosen


_NOISE = 1  # last part of the noise's seed, which sets it apart from that of the latents
_OWN_NOISE = "noise of each image"
VOLUMES = 2  # that are drawn together; programs of torch.export take no single one


class BlockGenerator(ABC):
    """Draw images in blocks: the same call returns the same images."""

    size = BLOCK  # images of a block

    def __init__(self, *, identity: str | None, progress: Progress = no_progress) -> None:
        self.identity = identity
        self.training_recipe: str | None = None
        self.run_recipe: str | None = None
        self.training_seed: int | None = None
        self.window: tuple[float, float] | None = None
        self.condition: str | None = None
        self.volume_shape: tuple[int, int, int] | None = None  # (D, H, W) of the volumes that it draws
        self._progress = progress

    @abstractmethod
    def draw_block(self, seed: int, block: int) -> UInt8:
        """Return the images of one block of latents, uint8 [size,C,H,W]; volumes [size,1,D,H,W]."""

    def __call__(self, count: int, seed: int) -> UInt8:
        """Return the first `count` images that `seed` names, uint8 [count,C,H,W]."""
        return self.sample_range(0, count, seed)

    def sample_range(self, start: int, stop: int, seed: int) -> UInt8:
        """Return images start..stop of the endless sequence that `seed` names, uint8 [stop-start,C,H,W].

        Raises:
            SettingsError: The range is empty or negative, or the seed is negative.
            CheckpointError: The model drew pixels that are not finite, or failed.
        """
        if not 0 <= start < stop:
            raise SettingsError(f"The range {start} to {stop} holds no images. Choose 0 <= start < stop.")
        first, last = start // self.size, -(-stop // self.size)
        blocks = []
        for block in range(first, last):
            blocks.append(self.draw_block(seed, block))
            self._progress("drawing images", min((block + 1) * self.size, stop) - start, stop - start)
        return np.concatenate(blocks)[start - first * self.size : stop - first * self.size]


class NetworkGenerator(BlockGenerator):
    """Draw images with a network in eval mode."""

    identity: str

    def __init__(
        self,
        network: nn.Module,
        *,
        latent: int,
        identity: str,
        training_recipe: str | None = None,
        run_recipe: str | None = None,
        training_seed: int | None = None,
        window: tuple[float, float] | None = None,
        device: str = "cpu",
        truncation: float | None = None,
        noise: int = 0,  # standard normal numbers that the network takes for each image after z, [N,noise]
        volume_shape: tuple[int, int, int] | None = None,
        progress: Progress = no_progress,
    ) -> None:
        if noise:  # in earlier versions all images had one noise
            identity = digest_values(identity, _OWN_NOISE)
            run_recipe = None if run_recipe is None else digest_values(run_recipe, _OWN_NOISE)
        named = identity if truncation is None else digest_values(identity, truncation)
        super().__init__(identity=named, progress=progress)
        self.training_recipe = training_recipe
        self.run_recipe = (
            run_recipe if truncation is None or run_recipe is None else digest_values(run_recipe, truncation)
        )
        self.training_seed = training_seed
        self.window = window
        self._device = choose_device(device)
        self._network = network.to(self._device)
        self._latent, self._noise = latent, noise
        self._truncation = None if isinstance(network, TruncatedNetwork) else truncation
        self.volume_shape = volume_shape
        if volume_shape is not None:
            self.size = VOLUMES
        self._last: tuple[tuple[int, int], UInt8] | None = None  # volumes are asked for one by one

    def draw_block(self, seed: int, block: int) -> UInt8:
        """Return the images of one block of latents, uint8 [size,C,H,W]; volumes [size,1,D,H,W]."""
        if self._last is not None and self._last[0] == (seed, block):
            return self._last[1]
        pixels = self._draw(seed, block)
        if self.volume_shape is not None:
            self._last = (seed, block), pixels
        return pixels

    @torch.inference_mode()
    def _draw(self, seed: int, block: int) -> UInt8:
        """Return the images of some latents."""
        first = block * self.size
        rows = slice(first % BLOCK, first % BLOCK + self.size)
        z = torch.from_numpy(latent_block(seed, first // BLOCK, self._latent, self._truncation)[rows])
        inputs = (z, *([noise_block(seed, first // BLOCK, self._noise)[rows]] if self._noise else []))
        with exact_convolutions():
            return to_grey(self._network(*(numbers.to(self._device) for numbers in inputs)))


def noise_block(seed: int, block: int, numbers: int) -> torch.Tensor:
    """Return the noise that belongs to a block of latents, float32 [BLOCK, numbers], standard normal.

    There may be a hundred times as many numbers as in the latents, so torch draws them: their last bits may differ from
    one processor to the next, as those of the network's maps do.
    """
    generator = torch.Generator().manual_seed(seed_of(seed, block, _NOISE))
    return torch.empty(BLOCK, numbers).normal_(generator=generator)


def from_checkpoint(
    checkpoint: Checkpoint,
    *,
    device: str = "cpu",
    truncation: float | None = None,
    label: int | None = None,
    progress: Progress = no_progress,
) -> NetworkGenerator:
    """Return the generator of a checkpoint.

    Args:
        checkpoint: The checkpoint.
        device: "cpu" or "cuda".
        truncation: How far latents may lie from their mean, in the way of the architecture; None keeps all.
        label: The class to draw; None draws all, as often as they were among the training images.
        progress: Called while images are drawn.

    Raises:
        CheckpointError: Weights and configuration do not fit, or the weights are not finite, or the generator has no
            such class.
    """
    config = read_configuration(checkpoint.architecture, checkpoint.configuration)
    network = restore_generator(config, checkpoint.state("generator"), checkpoint.stage, truncation, label)
    identity, recipe = checkpoint.identity(), checkpoint.run_recipe()
    if label is not None:
        identity = digest_values(identity, "class", label)
        recipe = None if recipe is None else digest_values(recipe, "class", label)
    return NetworkGenerator(
        network,
        latent=config.latent,
        identity=identity,
        training_recipe=checkpoint.training_recipe,
        run_recipe=recipe,
        training_seed=checkpoint.seed if checkpoint.settings else None,
        window=checkpoint.window,
        device=device,
        truncation=truncation,
        noise=noise_of(config),
        progress=progress,
    )


def from_file(
    path: Path,
    *,
    device: str = "cpu",
    truncation: float | None = None,
    label: int | None = None,
    progress: Progress = no_progress,
) -> NetworkGenerator:
    """Return the generator of a checkpoint file; the other arguments are those of `from_checkpoint`.

    Raises:
        CheckpointError: The file cannot be used; the error names it.
    """
    try:
        return from_checkpoint(
            load(path, prefixes=("generator",)), device=device, truncation=truncation, label=label, progress=progress
        )
    except CheckpointError as error:
        raise CheckpointError(str(error), file=error.file or path.name) from error
