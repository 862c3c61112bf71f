"""Networks and optimisers as flat named tensors, which is what a safetensors file holds, and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor, nn
from torch.optim import Optimizer

from pytest_medgan.errors import CheckpointError


@dataclass(frozen=True, eq=False)
class TrainingState:
    """Everything that a trainer changes, under the names that checkpoints use."""

    networks: Mapping[str, nn.Module]
    optimisers: Mapping[str, Optimizer]

    def tensors(self) -> dict[str, Tensor]:
        """Return parameters and buffers as `NETWORK.name`, and an optimiser's tensors as `OPTIMISER.INDEX.name`."""
        found: dict[str, Tensor] = {}
        for prefix, network in self.networks.items():
            found |= {f"{prefix}.{name}": tensor.detach() for name, tensor in network.state_dict().items()}
        for prefix, optimiser in self.optimisers.items():
            for index, named in optimiser.state_dict()["state"].items():
                found |= {f"{prefix}.{index}.{name}": tensor for name, tensor in named.items()}
        return found

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Load what `tensors` returned. An optimiser without tensors starts anew.

        Raises:
            CheckpointError: The tensors are those of other networks.
        """
        for prefix, network in self.networks.items():
            try:
                network.load_state_dict(tensors_under(prefix, tensors), strict=True)
            except RuntimeError as error:
                raise CheckpointError(
                    f"The checkpoint's {prefix.replace('_', ' ')} has another shape than the settings describe. "
                    "Resume with the settings that the run was begun with."
                ) from error
        for prefix, optimiser in self.optimisers.items():
            state: dict[int, dict[str, Tensor]] = {}
            for key, tensor in tensors_under(prefix, tensors).items():
                index, name = key.split(".", 1)
                # Adam keeps and changes the tensor it is given
                state.setdefault(int(index), {})[name] = tensor.clone()
            optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})


def tensors_under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors named `prefix.NAME`, by NAME."""
    start = f"{prefix}."
    return {name.removeprefix(start): tensor for name, tensor in tensors.items() if name.startswith(start)}
