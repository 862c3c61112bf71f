"""Checkpoints: one safetensors file that holds the weights and, as JSON in its header, what they are and came from.

Nothing in the file is ever executed. Tensors are named `generator.*`, and in the checkpoints a run resumes from also
`discriminator.*`, `optimiser.*` and so on; loading a generator reads the first kind only. A file is written beside its
final name, flushed to the disk and renamed, so that whoever looks finds the old file or the new one, never half a file.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import torch
from safetensors.torch import save as to_bytes
from torch import Tensor

import pytest_medgan
from pytest_medgan.errors import CheckpointError
from pytest_medgan.records import Scalar

FORMAT = "pytest-medgan checkpoint"
FORMAT_VERSION = 1
HEADER_KEY = (
    "medgan"  # one key: safetensors writes several in random order, and equal checkpoints should be equal files
)
SUFFIX = ".safetensors"
CONVERSION = (
    "export the model where you trust it with torch.export.save(...) or torch.jit.script(model).save(...), name a bare "
    "state_dict as dcgan,weights=FILE, or wrap the model as package.module:callable"
)


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A generator, what it was trained on, and where its training stands."""

    architecture: str  # "dcgan" or "pggan"
    configuration: Mapping[str, Scalar]  # the fields of DCGANConfig or PGGANConfig
    tensors: Mapping[str, Tensor]  # by prefixed name
    stage: tuple[int, float] | None = None  # resolution and fade of a growing generator; None is full grown
    training_recipe: str = ""  # the recipe of the ImageSet it was trained on
    patients: tuple[str, ...] = ()  # the pseudonyms of those in the training set, sorted
    images: int = 0  # in the training set
    window: tuple[float, float] | None = None  # the HU that grey 0 and 255 stand for
    seed: int = 0
    step: int = 0  # generator updates done
    finished: bool = False
    key: str = ""  # digest of configuration, settings and training set; equal keys train to equal weights
    settings: Mapping[str, Any] = field(default_factory=dict)  # of the training, for the record
    progress: Mapping[str, Any] = field(default_factory=dict)  # loss and metric history, loss smoothing
    versions: Mapping[str, str] = field(default_factory=dict)  # of what it was written with
    storage: str = "float32"  # of the generator's weights in the file; "float16" halves it and rounds them

    def state(self, prefix: str) -> dict[str, Tensor]:
        """The tensors under `prefix`, without it."""
        start = f"{prefix}."
        return {name.removeprefix(start): t for name, t in self.tensors.items() if name.startswith(start)}

    def identity(self) -> str:
        """Hex digest of architecture, configuration and the generator's weights: equal ones draw equal images."""
        digest = hashlib.sha256(
            json.dumps([self.architecture, dict(self.configuration), self.stage], sort_keys=True).encode()
        )
        for name, tensor in sorted(self.state("generator").items()):
            digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
            digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
        return digest.hexdigest()


def current_versions() -> dict[str, str]:
    """The versions of what shapes a training run."""
    return {
        "pytest-medgan": pytest_medgan.__version__,
        "torch": torch.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
    }


# ----------------------------------------------------------------------------------------------------------- writing


def save(checkpoint: Checkpoint, path: Path) -> None:
    """Writes `path` whole or not at all.

    Raises
    ------
    CheckpointError
        The disk is full or the folder cannot be written; what stood at `path` before still stands.
    """
    header = {f: v for f, v in _fields(checkpoint).items() if f != "tensors"}
    header |= {"format": FORMAT, "format_version": FORMAT_VERSION, "versions": current_versions()}
    tensors = {name: _stored(name, t, checkpoint.storage) for name, t in sorted(checkpoint.tensors.items())}
    write_atomically(path, to_bytes(tensors, {HEADER_KEY: json.dumps(header, sort_keys=True)}))


def _fields(checkpoint: Checkpoint) -> dict[str, Any]:
    return {name: getattr(checkpoint, name) for name in Checkpoint.__dataclass_fields__}


def _stored(name: str, tensor: Tensor, storage: str) -> Tensor:
    tensor = tensor.detach().cpu()
    if storage == "float16" and name.startswith("generator.") and tensor.is_floating_point():
        tensor = tensor.half()
    return tensor.clone(memory_format=torch.contiguous_format)  # safetensors refuses tensors that share storage


def write_atomically(path: Path, content: bytes) -> None:
    """Writes a file beside `path`, flushes it to the disk and renames it.

    Raises
    ------
    CheckpointError
        It cannot be written; the unfinished file is removed and what stood at `path` is untouched.
    """
    name = ""
    try:
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
            name = file.name
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(0o666 & ~_umask())
        os.replace(name, path)
        name = ""
        _sync_folder(path.parent)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise CheckpointError(f"cannot write: {reason}; free space or choose another folder", file=path.name) from error
    finally:
        if name:
            with contextlib.suppress(OSError):
                os.unlink(name)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _sync_folder(folder: Path) -> None:
    """Makes the rename itself survive a power cut, where the system lets a folder be opened."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


# ----------------------------------------------------------------------------------------------------------- reading


def load(path: Path, *, prefixes: tuple[str, ...] | None = None) -> Checkpoint:
    """Reads a checkpoint; with `prefixes`, only the tensors under them. float16 storage comes back as float32.

    Raises
    ------
    CheckpointError
        The file is missing, a pickle, truncated, not ours, or of a later format.
    """
    refuse_pickle(path)
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            header = _header(path, file.metadata())
            names = [n for n in file.keys() if prefixes is None or n.split(".")[0] in prefixes]  # noqa: SIM118
            tensors = {name: file.get_tensor(name) for name in names}
    except safetensors.SafetensorError as error:
        raise CheckpointError(
            "truncated, or not a safetensors file; copy it again or train anew with `medgan train`", file=path.name
        ) from error
    except OSError as error:
        raise CheckpointError(f"cannot be read: {error.strerror or error}", file=path.name) from error
    try:
        if header.get("window") is not None:
            low, high = header["window"]
            header["window"] = (float(low), float(high))
        if header.get("stage") is not None:
            resolution, alpha = header["stage"]
            header["stage"] = (int(resolution), float(alpha))
        header["patients"] = tuple(map(str, header.get("patients", ())))
        for name in ("configuration", "settings", "progress", "versions"):
            if not isinstance(header.get(name, {}), dict):
                raise TypeError(name)
        known = {name: value for name, value in header.items() if name in Checkpoint.__dataclass_fields__}
        return Checkpoint(**known, tensors={name: _loaded(t) for name, t in tensors.items()})
    except (TypeError, ValueError) as error:
        raise CheckpointError("its header lacks what a checkpoint must state; train it anew", file=path.name) from error


def _loaded(tensor: Tensor) -> Tensor:
    return tensor.float() if tensor.dtype == torch.float16 else tensor


def _header(path: Path, metadata: Mapping[str, str] | None) -> dict[str, Any]:
    try:
        header = json.loads((metadata or {})[HEADER_KEY])
        ours = header["format"] == FORMAT
    except (KeyError, TypeError, ValueError):
        ours = False
    if not ours:
        raise CheckpointError(
            "a safetensors file, but not a checkpoint of medgan; wrap the model as package.module:callable",
            file=path.name,
        )
    if header.get("format_version") != FORMAT_VERSION:
        raise CheckpointError(
            f"written in format {header.get('format_version')}, this version reads {FORMAT_VERSION}; "
            "update pytest-medgan",
            file=path.name,
        )
    return dict(header)


def refuse_pickle(path: Path) -> None:
    """Raises CheckpointError if the file is missing or is one that only unpickling could read."""
    try:
        with path.open("rb") as file:
            start = file.read(9)
    except OSError as error:
        raise CheckpointError(f"cannot be opened: {error.strerror or error}", file=path.name) from error
    # a pickle of protocol 2 or later, and torch.save's zip (before torch 1.6: a bare pickle); the length that a
    # safetensors file begins with may start with the same byte, but there JSON follows it
    if start[:4] == b"PK\x03\x04" or (start[:1] == b"\x80" and start[8:9] != b"{"):
        raise CheckpointError(
            f"a pickle, which runs code when loaded, so it is refused; {CONVERSION}",
            file=path.name,
        )


def configuration_of(config: Any) -> dict[str, Scalar]:
    """A configuration dataclass as the plain fields a checkpoint holds."""
    return dict(asdict(config))
