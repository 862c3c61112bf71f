"""The class of every image as the second input of an exported network: its number, or one-hot.

A file says of its inputs what its format keeps: ONNX and torch.export names, types and shapes, TorchScript names alone.
An input of whole numbers [N] or [N,1] takes the number of the class, one of [N,classes] takes it one-hot.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pytest_medgan.errors import CheckpointError
from pytest_medgan.gan.classes import no_such_class
from pytest_medgan.gan.conditions import CLASS_PARAMETERS

MOST_CLASSES = 1 << 20  # of a one-hot input; a file that says more is damaged or hostile


@dataclass(frozen=True)
class NetworkInput:
    """One input of a network, as its file describes it."""

    name: str
    dtype: torch.dtype | None = None  # None where the file does not say
    shape: tuple[int | None, ...] | None = None  # behind the batch, None for an open size; None where it does not say


@dataclass(frozen=True)
class ClassChoice:
    """What the user said of the class."""

    label: int  # from 0
    classes: int | None = None  # of a one-hot input, where the file does not say


@dataclass(frozen=True)
class ClassInput:
    """How a network is given the class."""

    name: str
    place: int  # 0 where the network takes the class before the latents, else 1
    label: int
    dtype: torch.dtype
    shape: tuple[int, ...]  # of one image: [] or [1] for the number of a class, [classes] for one-hot

    @property
    def form(self) -> str:
        """How the class is given, in words."""
        if self.shape in ((), (1,)):
            return f"a whole number [{','.join(map(str, ('N', *self.shape)))}]"
        return f"one-hot [N,{self.shape[0]}]"

    def of(self, count: int, device: torch.device) -> Tensor:
        """Return the class of some images, [count, *shape]."""
        if self.shape in ((), (1,)):
            return torch.full((count, *self.shape), self.label, dtype=self.dtype, device=device)
        given = torch.zeros(count, *self.shape, dtype=self.dtype, device=device)
        given[:, self.label] = 1
        return given


class ClassNetwork(nn.Module):
    """A network of latents and classes, drawing one class: z float32 [N,latent] -> images."""

    def __init__(self, network: Callable[..., Tensor], given: ClassInput, *, by_name: bool) -> None:
        super().__init__()
        self._network, self._given, self._by_name = network, given, by_name

    def forward(self, z: Tensor) -> Tensor:
        """Return the images of latents."""
        label = self._given.of(len(z), z.device)
        if self._by_name:
            return self._network(z, **{self._given.name: label})
        return self._network(label, z) if self._given.place == 0 else self._network(z, label)


def order_inputs(inputs: Sequence[NetworkInput]) -> tuple[NetworkInput, NetworkInput | None]:
    """Return the input of the latents and, where there are two inputs, the other one.

    Latents come first, unless the first input holds whole numbers, or has the name of a class and the second has none.
    """
    first, second = inputs[0], inputs[1] if len(inputs) > 1 else None
    if second is None:
        return first, None
    holds_classes = first.dtype is not None and not first.dtype.is_floating_point
    is_named = first.name in CLASS_PARAMETERS and second.name not in CLASS_PARAMETERS
    return (second, first) if holds_classes or is_named else (first, second)


def fit_class(inputs: Sequence[NetworkInput], choice: ClassChoice | None, *, file: str) -> ClassInput | None:
    """Return how a network is given the class; None where it takes the latents alone.

    Args:
        inputs: The inputs that must be given, in their order.
        choice: What the user said; None where nothing was said.
        file: The file that errors name.

    Raises:
        CheckpointError: The network takes more than two inputs; it needs a class and none was given, or takes none and
            one was given; it knows fewer classes; or its second input cannot hold a class.
    """
    latents, other = order_inputs(inputs)
    if len(inputs) > 2:
        names = ", ".join(repr(each.name) for each in inputs)
        raise CheckpointError(
            f"The model takes {names}. Export one that takes the latent, or the latent and the class, with the others "
            "as constants.",
            file=file,
        )
    if choice is None:
        if other is None:
            return None
        raise CheckpointError(
            f"The model takes {latents.name!r} and {other.name!r}. Put class=NUMBER behind the name where "
            f"{other.name!r} is the class of the images, or export one that takes the latent alone.",
            file=file,
        )
    if other is None:
        raise CheckpointError("The model takes the latent alone and no class. Leave class= out.", file=file)
    dtype, shape = _form(other, choice, file)
    if shape not in ((), (1,)) and choice.label >= shape[0]:
        raise CheckpointError(no_such_class("The model", choice.label, shape[0]), file=file)
    return ClassInput(other.name, 0 if other is inputs[0] else 1, choice.label, dtype, shape)


def _form(found: NetworkInput, choice: ClassChoice, file: str) -> tuple[torch.dtype, tuple[int, ...]]:
    """Return type and shape of the class of one image."""
    said = choice.classes
    if found.shape is None:  # TorchScript
        return (torch.int64, ()) if said is None else (torch.float32, (said,))
    dtype = found.dtype or torch.int64
    if len(found.shape) > 1 or dtype.is_complex or (dtype.is_floating_point and found.shape in ((), (1,))):
        shown = ",".join("?" if size is None else str(size) for size in (None, *found.shape))
        raise CheckpointError(
            f"The model's input {found.name!r} is {_shown(dtype)} [{shown}], which is no class. Export one that takes "
            "whole numbers [N], or one-hot [N,classes].",
            file=file,
        )
    if found.shape in ((), (1,)):
        if said is not None:
            raise CheckpointError(
                f"The model's input {found.name!r} takes the number of a class and is not one-hot. Leave classes= out.",
                file=file,
            )
        return dtype, tuple(size or 0 for size in found.shape)
    size = found.shape[0] or said
    if size is None:
        raise CheckpointError(
            f"The model's input {found.name!r} does not say how many classes there are. Put classes=NUMBER behind the "
            "name.",
            file=file,
        )
    if said not in (None, size) or not 1 <= size <= MOST_CLASSES:
        raise CheckpointError(
            f"The model's input {found.name!r} has {size} classes. Correct classes=, or leave it out.", file=file
        )
    return dtype, (size,)


def _shown(dtype: torch.dtype) -> str:
    """Return the name of a type."""
    return str(dtype).removeprefix("torch.")
