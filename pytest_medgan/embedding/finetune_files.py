"""Files of a fine-tuning run: the finished network, and one file to resume from. Both are safetensors."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import safetensors
import torch
from safetensors.torch import save
from torch import Tensor, nn

from pytest_medgan.embedding.weights import FORMAT
from pytest_medgan.errors import TrainingError
from pytest_medgan.ground.files import write_bytes

FINISHED = "inception_v3.safetensors"
UNFINISHED = "resume.safetensors"
RUN_FORMAT = "pytest-medgan finetune 1"


@dataclass(frozen=True, eq=False)
class RunState:
    """The state of a run that has not ended."""

    key: str  # digest of all that determines the run
    step: int
    losses: tuple[float, ...]  # of the steps of this epoch so far
    network: Mapping[str, Tensor]
    momenta: Mapping[str, Tensor]  # by the parameter's name


def save_run(folder: Path, state: RunState) -> None:
    """Write the state, whole or not at all. Raises OutputError where the folder cannot be written."""
    tensors = {f"network.{name}": _plain(value) for name, value in state.network.items()}
    tensors |= {f"momentum.{name}": _plain(value) for name, value in state.momenta.items()}
    about = {"key": state.key, "step": state.step, "losses": state.losses}
    write_bytes(folder / UNFINISHED, save(tensors, {"format": RUN_FORMAT, "run": json.dumps(about)}))


def load_run(folder: Path, key: str) -> RunState | None:
    """Return the state to continue from; None where the run has not stored one yet.

    Raises:
        TrainingError: It belongs to other settings or images, or cannot be read.
    """
    file = folder / UNFINISHED
    if not file.exists():
        return None
    try:
        with safetensors.safe_open(file, framework="pt") as reader:
            metadata = dict(reader.metadata() or {})
            tensors = {name: reader.get_tensor(name) for name in reader.keys()}  # noqa: SIM118
        about = json.loads(metadata["run"])
    except (safetensors.SafetensorError, OSError, KeyError, ValueError):
        raise TrainingError("The run to resume cannot be read. Delete it and start again.", file=str(file)) from None
    if about["key"] != key:
        raise TrainingError(
            "The folder holds a run with other settings, images or processes. Give another --out.", file=str(file)
        )
    network = {n.removeprefix("network."): t for n, t in tensors.items() if n.startswith("network.")}
    momenta = {n.removeprefix("momentum."): t for n, t in tensors.items() if n.startswith("momentum.")}
    return RunState(key, int(about["step"]), tuple(about["losses"]), network, momenta)


def save_finished(folder: Path, network: nn.Module, metadata: Mapping[str, object]) -> None:
    """Write the finished network without its auxiliary classifier, and its metadata."""
    tensors = {n: _plain(t) for n, t in network.state_dict().items() if not n.startswith("AuxLogits.")}
    written = {key: value if isinstance(value, str) else json.dumps(value) for key, value in metadata.items()}
    write_bytes(folder / FINISHED, save(tensors, {"format": FORMAT, **written}))


def _plain(tensor: Tensor) -> Tensor:
    """Return a contiguous copy on the CPU."""
    return tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
