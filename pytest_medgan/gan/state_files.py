"""State dicts in files, read without running anything that they hold, and digests of weights."""

from __future__ import annotations

import hashlib
import pickle
import warnings
from collections.abc import Mapping
from pathlib import Path

import safetensors
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from pytest_medgan.errors import CheckpointError
from pytest_medgan.gan.checkpoint import CONVERSION

_DAMAGED = "The file cannot be read as a state dict; it may be truncated. Copy it again."


def read_state(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a state dict by name, without `module.` in front.

    Args:
        path: A .safetensors file, or a file of torch.save, whose state dict may lie under `state_dict` or `model`.

    Raises:
        CheckpointError: There is no such file, or it holds more than tensors or no state dict, or cannot be read.
    """
    if not path.is_file():
        raise CheckpointError("The file of weights does not exist. Correct weights=.", file=path.name)
    try:
        with warnings.catch_warnings():  # torch warns of unusual pickles before it refuses them
            warnings.simplefilter("ignore")
            is_plain = path.suffix == ".safetensors"
            weights = load_file(path) if is_plain else torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(f"The file holds more than tensors. {CONVERSION}", file=path.name) from error
    except (OSError, RuntimeError, ValueError, EOFError, KeyError, safetensors.SafetensorError) as error:
        raise CheckpointError(_DAMAGED, file=path.name) from error
    for name in ("state_dict", "model"):  # of Lightning, and of MONAI's CheckpointSaver
        if isinstance(weights, Mapping) and isinstance(weights.get(name), Mapping):
            weights = weights[name]
    if not isinstance(weights, Mapping) or not all(isinstance(w, Tensor) for w in weights.values()):
        raise CheckpointError(
            "The file holds no state dict. Save model.state_dict(), names to tensors.", file=path.name
        )
    return {str(name).removeprefix("module."): weight for name, weight in weights.items()}


def load_state(network: nn.Module, path: Path) -> None:
    """Read the weights of a network from a file.

    Raises:
        CheckpointError: The file cannot be used, or holds the weights of another network.
    """
    try:
        found = network.load_state_dict(read_state(path), strict=False)
    except RuntimeError as error:  # a weight of another shape
        raise CheckpointError(
            "The file's weights are of another shape than the network's. Build the network as it was trained.",
            file=path.name,
        ) from error
    for names, problem in ((found.missing_keys, "lacks"), (found.unexpected_keys, "has besides")):
        if names:
            more = f" and {len(names) - 1} more" if names[1:] else ""
            raise CheckpointError(
                f"The file of weights {problem} {names[0]!r}{more}. Build the network as it was trained, or name the "
                "file of its weights.",
                file=path.name,
            )


def digest_weights(network: nn.Module) -> str:
    """Return 64 hex digits of the names, shapes and values of a network's parameters and buffers."""
    whole = hashlib.sha256()
    for name, values in sorted([*network.named_parameters(), *network.named_buffers()], key=lambda each: each[0]):
        whole.update(f"{name} {values.dtype} {list(values.shape)} ".encode())
        whole.update(values.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return whole.hexdigest()
