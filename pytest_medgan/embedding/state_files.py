"""Read tensors from .safetensors and torch files without running anything that they hold, and name them by content."""

from __future__ import annotations

import hashlib
import pickle
import warnings
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import safetensors
import torch
from safetensors.torch import load_file
from torch import Tensor

from pytest_medgan.errors import ExtractorError


def read_state(file: Path) -> dict[str, Tensor]:
    """Return the tensors of a .safetensors or torch file by name.

    Raises:
        ExtractorError: There is no such file, or it holds something else.
    """
    if not file.is_file():
        raise ExtractorError(
            "The extractor's weights= names no file. Give a .safetensors or .pth file.", file=str(file)
        )
    if file.suffix != ".safetensors":
        return read_torch_state(file)
    try:
        return load_file(file)
    except (safetensors.SafetensorError, OSError):
        raise ExtractorError(
            "The extractor's weights are no readable safetensors file. Fetch or make the file again.", file=str(file)
        ) from None


def read_torch_state(file: Path) -> dict[str, Tensor]:
    """Return the tensors of a file that torch.save wrote of a state_dict.

    Raises:
        ExtractorError: torch does not load it safely, or it holds something other than tensors.
    """
    try:
        with warnings.catch_warnings():  # torch warns of unusual pickles before it refuses them
            warnings.simplefilter("ignore")
            state = torch.load(file, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError, KeyError):
        raise ExtractorError(
            "The extractor's weights are no plain state_dict. Save one by torch.save(model.state_dict(), FILE).",
            file=str(file),
        ) from None
    if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
        raise ExtractorError(
            "The extractor's weights hold something other than tensors. Save model.state_dict().", file=str(file)
        )
    return dict(state)


def read_metadata(file: Path) -> dict[str, str]:
    """Return the metadata of a safetensors file; empty for another file or none."""
    if file.suffix != ".safetensors" or not file.is_file():
        return {}
    try:
        with safetensors.safe_open(file, framework="pt") as reader:
            return dict(reader.metadata() or {})
    except (safetensors.SafetensorError, OSError):
        raise ExtractorError(
            "The extractor's weights are no readable safetensors file. Fetch or make the file again.", file=str(file)
        ) from None


def digest_state(state: Mapping[str, Tensor]) -> str:
    """Return 16 hex digits of names, shapes and values in float32, whatever file they came in.

    What does not enter features is left out: the auxiliary classifier and the counters of batch norms.
    """
    whole = hashlib.sha256()
    for name in sorted(state):
        if name.startswith("AuxLogits.") or name.endswith("num_batches_tracked"):
            continue
        values = np.ascontiguousarray(state[name].detach().cpu().float().numpy())
        whole.update(f"{name}{values.shape}".encode())
        whole.update(values.tobytes())
    return whole.hexdigest()[:16]
