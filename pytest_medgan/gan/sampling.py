"""A checkpoint as a generator: latents from a seed, images as grey levels.

Latents are drawn on the CPU in blocks (latents.py) and the network always sees a whole block, so that the first n
images of a seed are the same, to the bit on one device and thread count, whatever the count asked for.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from pytest_medgan.errors import CheckpointError, MedganError, SettingsError
from pytest_medgan.gan.checkpoint import Checkpoint, load
from pytest_medgan.gan.latents import BLOCK, latent_block
from pytest_medgan.gan.networks import configuration, digest, restore_generator
from pytest_medgan.records import Progress, UInt8, no_progress


def to_grey(images: Tensor) -> UInt8:
    """float [N,C,H,W] in -1..1 -> uint8 [N,C,H,W] in 0..255: floor(127.5 * x + 128), clipped.

    The inverse of `from_grey` (x = grey / 127.5 - 1) to the nearest grey level, halves upwards; the arithmetic is done
    in float32. 1 and what lies above give 255, -1 and what lies below give 0.

    Raises
    ------
    CheckpointError
        A pixel is NaN or infinite.
    """
    if not bool(torch.isfinite(images).all()):
        raise CheckpointError("the generator drew NaN or infinite pixels; use an earlier checkpoint")
    grey = (images.float() * 127.5 + 128.0).floor_().clamp_(0.0, 255.0)
    pixels: UInt8 = grey.to(torch.uint8).cpu().numpy()
    return pixels


def from_grey(pixels: Tensor) -> Tensor:
    """uint8 0..255 -> float32 -1..1, the range of Tanh."""
    return pixels.float() / 127.5 - 1.0


@contextmanager
def exact_convolutions() -> Iterator[None]:
    """Full float32 and the same algorithm each time on CUDA; nothing changes on the CPU."""
    with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False):
        yield


def choose_device(device: str) -> torch.device:
    """The torch device of that name.

    Raises
    ------
    SettingsError
        There is no such device.
    """
    try:
        chosen = torch.device(device)
    except RuntimeError as error:
        raise SettingsError(f"device {device!r} is not one torch knows; use cpu or cuda") from error
    if chosen.type == "cuda" and not torch.cuda.is_available():
        raise SettingsError(f"device {device!r} was asked for and torch sees no GPU; use cpu")
    return chosen


class NetworkGenerator:
    """A generator network, in eval mode: the same call gives the same images."""

    def __init__(
        self,
        network: nn.Module,
        *,
        latent: int,
        identity: str,
        training_recipe: str | None = None,
        window: tuple[float, float] | None = None,
        device: str = "cpu",
        truncation: float | None = None,
        progress: Progress = no_progress,
    ) -> None:
        self.identity = identity if truncation is None else digest(identity, truncation)
        self.training_recipe = training_recipe
        self.window = window
        self._device = choose_device(device)
        self._network = network.to(self._device)
        self._latent = latent
        self._truncation = truncation
        self._progress = progress

    def __call__(self, count: int, seed: int) -> UInt8:
        """The first `count` images that `seed` names, uint8 [count,C,H,W]."""
        return self.sample_range(0, count, seed)

    def sample_range(self, start: int, stop: int, seed: int) -> UInt8:
        """Images start..stop of the endless sequence that `seed` names, uint8 [stop-start,C,H,W].

        Raises
        ------
        SettingsError
            The range is empty or negative, or the seed is negative.
        CheckpointError
            The network failed or drew pixels that are not finite.
        """
        if not 0 <= start < stop:
            raise SettingsError(f"the range {start} to {stop} is not a range of images")
        first, last = start // BLOCK, -(-stop // BLOCK)
        blocks = []
        for block in range(first, last):
            blocks.append(self._draw(block, seed))
            self._progress("drawing images", min((block + 1) * BLOCK, stop) - start, stop - start)
        return np.concatenate(blocks)[start - first * BLOCK : stop - first * BLOCK]

    @torch.inference_mode()
    def _draw(self, block: int, seed: int) -> UInt8:
        z = torch.from_numpy(latent_block(seed, block, self._latent, self._truncation))
        with exact_convolutions():
            return to_grey(self._network(z.to(self._device)))


def from_checkpoint(
    checkpoint: Checkpoint,
    *,
    device: str = "cpu",
    truncation: float | None = None,
    progress: Progress = no_progress,
) -> NetworkGenerator:
    """The generator that a checkpoint holds.

    Raises
    ------
    CheckpointError
        Its weights and its configuration do not belong together, or the weights are not finite.
    """
    config = configuration(checkpoint.architecture, checkpoint.configuration)
    return NetworkGenerator(
        restore_generator(config, checkpoint.state("generator"), checkpoint.stage),
        latent=config.latent,
        identity=checkpoint.identity(),
        training_recipe=checkpoint.training_recipe,
        window=checkpoint.window,
        device=device,
        truncation=truncation,
        progress=progress,
    )


def from_file(
    path: Path, *, device: str = "cpu", truncation: float | None = None, progress: Progress = no_progress
) -> NetworkGenerator:
    """The generator in a checkpoint file of ours.

    Raises
    ------
    CheckpointError
        The file cannot be used; the error names it.
    """
    try:
        return from_checkpoint(
            load(path, prefixes=("generator",)), device=device, truncation=truncation, progress=progress
        )
    except CheckpointError as error:
        raise _named(error, path) from error


def _named(error: MedganError, path: Path) -> CheckpointError:
    return CheckpointError(str(error), file=error.file or path.name)
