"""The latents of an exported network: how many numbers they have, in which shape and type it takes them.

ONNX and torch.export state shape and type, TorchScript neither. Latents are drawn as float32 [N,numbers] in any case.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from pytest_medgan.errors import CheckpointError
from pytest_medgan.gan.class_inputs import NetworkInput, order_inputs
from pytest_medgan.gan.probing import USUAL_LATENTS, try_latents

FLAT: tuple[int, ...] = (-1,)
MAPS: tuple[int, ...] = (-1, 1, 1)  # of one pixel, the input of a transposed convolution


@dataclass(frozen=True)
class Latents:
    """What is known of a network's latents before it is called."""

    candidates: tuple[int, ...]  # how many numbers they may have, in the order of trial
    shapes: tuple[tuple[int, ...], ...]  # in which shape it may take each, -1 for what is left
    dtype: torch.dtype


class ShapedNetwork(nn.Module):
    """A network that takes latents in another shape or type: z float32 [N,latent] -> images."""

    def __init__(self, network: Callable[..., Tensor], shape: tuple[int, ...], dtype: torch.dtype) -> None:
        super().__init__()
        self._network, self._shape, self._dtype = network, shape, dtype

    def forward(self, z: Tensor) -> Tensor:
        """Return the images of latents."""
        return self._network(z.reshape(len(z), *self._shape).to(self._dtype))


def find_latents(
    network: nn.Module,
    inputs: Sequence[NetworkInput],
    said: tuple[int, ...] | None,
    *,
    described: tuple[int, ...] = (),
    path: Path,
) -> Latents:
    """Return what is known of a network's latents.

    Args:
        network: The network.
        inputs: Its inputs, as its file describes them.
        said: Shape of a latent, or how many numbers it has, as the user said it.
        described: How many numbers the file's description of itself states, or nothing.
        path: The file, whose name may state the number: `generator-z512.pt`.

    Raises:
        CheckpointError: The latents are whole numbers.
    """
    own = order_inputs(inputs)[0] if inputs else NetworkInput("z")
    dtype = own.dtype or _dtype_of_weights(network)
    if not dtype.is_floating_point:
        raise CheckpointError(
            f"The model's input {own.name!r} is {str(dtype).removeprefix('torch.')}, and latents are normal numbers. "
            "Export one that takes float32 [N,z].",
            file=path.name,
        )
    stated = own.shape if own.shape and None not in own.shape else None
    fixed = tuple(size or 0 for size in stated or ())
    if said is not None and len(said) > 1:
        return Latents((math.prod(said),), (said,), dtype)
    numbers = None if said is None else (math.prod(said),)
    if len(fixed) > 1:
        return Latents(numbers or (math.prod(fixed),), (fixed,), dtype)
    candidates = numbers or described or _named_latent(path) or fixed or USUAL_LATENTS
    is_flat = bool(fixed or described or (own.shape is not None and len(own.shape) == 1))
    return Latents(candidates, (FLAT,) if is_flat else (FLAT, MAPS), dtype)


def shape_network(
    network: nn.Module, latents: Latents, *, device: str, file: str, action: str
) -> tuple[nn.Module, int, Tensor]:
    """Return a network that takes float32 [N,latent], the dimension of its latents, and the images of two.

    Raises:
        CheckpointError: It takes none of the candidates in any of the shapes.
    """
    problem: CheckpointError | None = None
    for shape in latents.shapes:
        is_plain = shape == FLAT and latents.dtype == torch.float32
        shaped = network if is_plain else ShapedNetwork(network, shape, latents.dtype)
        try:
            found, images = try_latents(shaped, latents.candidates, device=device, file=file, action=action)
        except CheckpointError as error:
            problem = problem or error
            continue
        return shaped, found, images
    if problem is None:
        raise ValueError("there are no shapes to try")
    raise problem


def _dtype_of_weights(network: nn.Module) -> torch.dtype:
    """Return the type of a network's weights where all have one; float32 otherwise."""
    kinds = {weight.dtype for weight in network.parameters() if weight.is_floating_point()}
    return kinds.pop() if len(kinds) == 1 else torch.float32


def _named_latent(path: Path) -> tuple[int, ...]:
    """Return the dimension of the latent that a file's name states, or nothing."""
    parts = path.stem.replace("_", "-").split("-")
    return tuple(int(part[1:]) for part in parts if part[:1] == "z" and part[1:].isdigit())[:1]
