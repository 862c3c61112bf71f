"""Models as functions from latents, or from seeds, to images, and the generator that draws with one."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pytest_medgan.errors import CheckpointError, SettingsError
from pytest_medgan.gan.conditions import NONE, Fitted
from pytest_medgan.gan.grey import to_grey
from pytest_medgan.gan.latents import BLOCK, latent_block
from pytest_medgan.gan.probing import (
    PROBED_VOLUMES,
    PROBES,
    check_companions,
    check_range,
    check_repeats,
    check_shape,
    find_volume_shape,
    probing_latents,
    rescale,
)
from pytest_medgan.gan.sampling import BlockGenerator, exact_convolutions
from pytest_medgan.gan.seeding import seed_of, seeded
from pytest_medgan.gan.time_limits import TimeLimit
from pytest_medgan.records import Progress, UInt8


@dataclass(frozen=True)
class Model:
    """A model as a function of blocks of latents, or of seeds."""

    network: Callable[..., Tensor]  # [N,numbers] -> [N,C,H,W], or (count, seed) -> the same where it takes no latent
    method: str  # what it calls
    shape: tuple[int, ...] | None  # of a latent; None where it takes none
    values: tuple[float, float] | None  # of black and white; None stands for -1 and 1
    device: torch.device
    conditions: Fitted = field(default_factory=lambda: Fitted(NONE))  # further arguments of `network`
    draws_volumes: bool = False  # [N,1,D,H,W], which are drawn one at a time

    @property
    def block(self) -> int:
        """Images that are drawn together."""
        return 1 if self.draws_volumes else BLOCK

    def images(self, count: int, z: Tensor | None, *key: int) -> Tensor:
        """Return images as the model returns them; the key, seed and block, seeds what it draws itself."""
        seed, block = key
        given = self.conditions.arguments(seed, range(block * self.block, block * self.block + count), self.device)
        with seeded(*key), torch.inference_mode(), exact_convolutions():
            if z is not None:
                return self.network(z.to(self.device), **given)
            return self.network(count, seed_of(*key), **given)

    def draw(self, seed: int, block: int) -> UInt8:
        """Return one block of images as grey levels."""
        if seed < 0:
            raise SettingsError(f"seed {seed} is negative. Choose 0 or more.")
        numbers = None if self.shape is None else math.prod(self.shape)
        first = block * self.block
        rows = slice(first % BLOCK, first % BLOCK + self.block)
        z = None if numbers is None else torch.from_numpy(latent_block(seed, first // BLOCK, numbers)[rows])
        images = self.images(self.block, z, seed, block)
        check_shape(images, self.block, is_volume=self.draws_volumes)
        if images.dtype == torch.uint8:
            pixels: UInt8 = images.cpu().numpy().copy()  # a model may use one array for all that it returns
            return pixels
        return to_grey(images if self.values is None else rescale(images, self.values))


class ModelGenerator(BlockGenerator):
    """Draw images with a model, and pass on what it says of itself."""

    def __init__(
        self,
        model: Model,
        built: Any,
        *,
        identity: str | None,
        progress: Progress,
        volume_shape: tuple[int, int, int] | None = None,
        limit: TimeLimit | None = None,
    ) -> None:
        super().__init__(identity=identity, progress=progress)
        self.size = model.block
        self.volume_shape = volume_shape
        self.training_recipe = getattr(built, "training_recipe", None)
        self.run_recipe = getattr(built, "run_recipe", None)
        self.training_seed = getattr(built, "training_seed", None)
        self.window = getattr(built, "window", None)
        self.condition = model.conditions.conditions.text
        self._model, self._limit = model, limit

    def draw_block(self, seed: int, block: int) -> UInt8:
        """Return one block of images, uint8 [size,C,H,W], or a volume, uint8 [1,1,D,H,W]."""
        with nullcontext() if self._limit is None else self._limit.drawing(self.size, self.size):
            return self._model.draw(seed, block)


def check_model(
    model: Model, values: tuple[float, float] | None, *, takes_volumes: bool = False
) -> tuple[int, int, int] | None:
    """Return the shape [D,H,W] of the volumes that a model draws; None where it draws images.

    Args:
        model: The model.
        values: Of black and white, where they were said.
        takes_volumes: Whether it may draw volumes.

    Raises:
        CheckpointError: Some images, drawn twice, do not repeat, depend on the others of their batch, or lie in another
            range.
    """
    count = PROBED_VOLUMES if model.draws_volumes else PROBES
    z = None if model.shape is None else probing_latents(math.prod(model.shape))[:count]
    first = model.images(count, z, 0, 0)
    check_shape(first, count, is_volume=takes_volumes)
    is_grey = first.dtype == torch.uint8
    if is_grey and values is not None:
        raise CheckpointError("The model returns grey levels, uint8, which have no other range. Leave range= out.")

    def draw(latents: Tensor | None) -> Tensor:
        return _signed(model.images(count, latents, 0, 0), values)

    first = _signed(first, values).clone()  # a model may use one array for all that it returns
    if not is_grey:
        check_range(first, is_said=values is not None)
    if z is None or model.block == 1:
        check_repeats(first, draw(z))
    else:
        check_companions(draw, z, first)
    return find_volume_shape(first)


def _signed(images: Tensor, values: tuple[float, float] | None) -> Tensor:
    """Return images of grey levels, or of the values of black and white, in -1..1."""
    if images.dtype == torch.uint8:
        values = 0.0, 255.0
    return images.float() if values is None else rescale(images.float(), values)


def to_tensor(answer: Any) -> Tensor:
    """Return what a model returned as images.

    Raises:
        CheckpointError: It is neither a tensor nor an array, nor an object that holds one as `sample`.
    """
    held = getattr(answer, "sample", None)
    answer = held if isinstance(held, Tensor) else answer  # of diffusers
    if isinstance(answer, np.ndarray):
        answer = torch.from_numpy(np.ascontiguousarray(answer))
    if not isinstance(answer, Tensor):
        raise CheckpointError(
            f"The model returns a {type(answer).__name__} and no images. Make it return a tensor or array [N,C,H,W]."
        )
    images: Tensor = answer.detach()
    return images
