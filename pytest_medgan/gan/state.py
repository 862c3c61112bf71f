"""Networks and optimisers as flat named tensors, so that they fit a safetensors file, and back."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn
from torch.optim import Optimizer

from pytest_medgan.errors import CheckpointError


def network_state(prefix: str, network: nn.Module) -> dict[str, Tensor]:
    """Parameters and buffers, named `prefix.name`."""
    return {f"{prefix}.{name}": tensor.detach() for name, tensor in network.state_dict().items()}


def optimiser_state(prefix: str, optimiser: Optimizer) -> dict[str, Tensor]:
    """The per-parameter tensors, named `prefix.INDEX.NAME`."""
    return {
        f"{prefix}.{index}.{name}": tensor
        for index, tensors in optimiser.state_dict()["state"].items()
        for name, tensor in tensors.items()
    }


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(f"{prefix}."): t for name, t in tensors.items() if name.startswith(f"{prefix}.")}


def restore_network(prefix: str, network: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """The inverse of `network_state`.

    Raises
    ------
    CheckpointError
        The tensors are not those of this network.
    """
    try:
        network.load_state_dict(_under(prefix, tensors), strict=True)
    except RuntimeError as error:
        raise CheckpointError(
            f"the checkpoint's {prefix} is not of this shape; resume with the settings it was begun with"
        ) from error


def restore_optimiser(prefix: str, optimiser: Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """The inverse of `optimiser_state`; without tensors under the prefix the optimiser starts fresh."""
    state: dict[int, dict[str, Tensor]] = {}
    for key, tensor in _under(prefix, tensors).items():
        index, name = key.split(".", 1)
        state.setdefault(int(index), {})[name] = tensor.clone()  # Adam would keep and change the very tensor
    optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})
