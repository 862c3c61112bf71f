"""State dicts in files, read without running anything that they hold, and digests of weights."""

from __future__ import annotations

import hashlib
import pickle
import warnings
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import safetensors
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from pytest_medgan.errors import CheckpointError
from pytest_medgan.gan.checkpoint import CONVERSION

_HOLDERS = ("state_dict", "model")  # of Lightning, and of MONAI's CheckpointSaver
_WRAPPERS = ("module.", "_orig_mod.")  # of DistributedDataParallel and of torch.compile
_MOMENTS = ("exp_avg", "exp_avg_sq", "max_exp_avg_sq", "exp_inf", "square_avg", "grad_avg", "momentum_buffer")
_DAMAGED = "The file cannot be read as a state dict; it may be truncated. Copy it again."


def read_state(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a state dict by name, without `module.` or `_orig_mod.` in front of all of them.

    Args:
        path: A .safetensors file, or a file of torch.save, whose state dict may lie under `state_dict` or `model`.

    Raises:
        CheckpointError: There is no such file, or it holds more than tensors or no state dict, or cannot be read.
    """
    return _without_wrappers(_bare_state(_read(path), path))


def _read(path: Path) -> Any:
    """Return what a file of weights holds, read without running anything."""
    if not path.is_file():
        raise CheckpointError("The file of weights does not exist. Correct weights=.", file=path.name)
    try:
        with warnings.catch_warnings():  # torch warns of unusual pickles before it refuses them
            warnings.simplefilter("ignore")
            is_plain = path.suffix == ".safetensors"
            return load_file(path) if is_plain else torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(f"The file holds more than tensors. {CONVERSION}", file=path.name) from error
    except (OSError, RuntimeError, ValueError, EOFError, KeyError, safetensors.SafetensorError) as error:
        raise CheckpointError(_DAMAGED, file=path.name) from error


def _bare_state(content: Any, path: Path) -> dict[str, Tensor]:
    """Return the state dict that a file's content is, or holds under one of the usual names."""
    for name in _HOLDERS:
        if isinstance(content, Mapping) and isinstance(content.get(name), Mapping):
            content = content[name]
    if not isinstance(content, Mapping) or not all(isinstance(w, Tensor) for w in content.values()):
        raise CheckpointError(
            "The file holds no state dict. Save model.state_dict(), names to tensors.", file=path.name
        )
    return {str(name): weight for name, weight in content.items()}


def _without_wrappers(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return a state dict without the names of wrappers that all its names begin with."""
    while wrapper := next((w for w in _WRAPPERS if state and all(name.startswith(w) for name in state)), None):
        state = {name.removeprefix(wrapper): weight for name, weight in state.items()}
    return state


def _without_each_wrapper(state: dict[str, Tensor], needed: set[str]) -> dict[str, Tensor]:
    """Return a state dict without wrappers in front of single names, where that gives all needed names."""
    if needed <= state.keys():
        return state
    bare: dict[str, Tensor] = {}
    for name, weight in state.items():
        bare |= _without_wrappers({name: weight})
    return bare if needed <= bare.keys() and len(bare) == len(state) else state


def _state_of(network: nn.Module, path: Path) -> dict[str, Tensor]:
    """Return a network's weights among those of a file, which may hold other networks and optimisers as well.

    Raises:
        CheckpointError: There are several such sets of weights, as of a network and of its moving average.
    """
    content = _read(path)
    flat, own = _flat(content), network.state_dict()
    needed = {name for name in own if not name.endswith("num_batches_tracked")}  # older files have no such counters
    first = next(iter(needed), "")
    found: dict[str, dict[str, Tensor]] = {}
    for front in {name[: len(name) - len(first)] for name in flat if name == first or name.endswith(f".{first}")}:
        under = {name.removeprefix(front): weight for name, weight in flat.items() if name.startswith(front)}
        if _is_of_optimiser(front):
            continue
        if needed <= under.keys() <= own.keys() and all(under[name].shape == own[name].shape for name in needed):
            found[front] = under
    for front in ("", *(f"{holder}." for holder in _HOLDERS)):
        if front in found:
            return found[front]
    if len(found) > 1:
        names = ", ".join(repr(front.removesuffix(".")) for front in sorted(found))
        raise CheckpointError(
            f"The file holds several sets of weights of this network: {names}. Save the one to draw with in a file of "
            f"its own, for example: {_line_to_save(content, _likely(found), path)}",
            file=path.name,
        )
    if found:
        return next(iter(found.values()))
    return _without_each_wrapper(_without_wrappers(_bare_state(content, path)), needed)


def _is_of_optimiser(front: str) -> bool:
    """Return whether names that begin so are an optimiser's, which keeps tensors by the names of the weights."""
    return any(part in _MOMENTS or "optimizer" in part.lower() for part in front.split("."))


def _likely(fronts: Collection[str]) -> str:
    """Return what the names of a moving average begin with, where one is named so, as it usually draws the images."""
    return next((front for front in sorted(fronts) if "ema" in front.lower()), min(fronts))


def _line_to_save(content: Any, front: str, path: Path) -> str:
    """Return a line of Python that saves the weights whose joined names begin with `front`, alone."""
    module, read = "torch", f"torch.load({path.name!r}, map_location='cpu', weights_only=True)"
    if path.suffix == ".safetensors":
        module, read = "torch, safetensors.torch", f"safetensors.torch.load_file({path.name!r})"
    while keys := [k for k, v in content.items() if isinstance(v, Mapping) and front.startswith(f"{k}.")]:
        content, read, front = content[keys[0]], f"{read}[{keys[0]!r}]", front.removeprefix(f"{keys[0]}.")
    if front:  # the names themselves begin so
        read = f"{{n.removeprefix({front!r}): w for n, w in {read}.items() if n.startswith({front!r})}}"
    return f"import {module}; torch.save({read}, 'alone.pt')"


def _flat(content: Any, front: str = "") -> dict[str, Tensor]:
    """Return all tensors in nested dictionaries by their names, joined by dots."""
    if isinstance(content, Tensor):
        return {front.removesuffix("."): content}
    if not isinstance(content, Mapping):
        return {}
    parts = (_flat(value, f"{front}{name}.") for name, value in content.items())
    return {name: weight for part in parts for name, weight in part.items()}


def load_state(network: nn.Module, path: Path) -> None:
    """Read the weights of a network from a file, which may hold more than them, such as a checkpoint of Lightning.

    Raises:
        CheckpointError: The file cannot be used, or holds the weights of another network.
    """
    try:
        found = network.load_state_dict(_state_of(network, path), strict=False)
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
