"""Checkpoints: one safetensors file with the weights and, as JSON in its header, how they were made.

Nothing in the file is ever executed. Tensors are named `generator.*`, and in the checkpoints that a run resumes from
also `discriminator.*`, `generator_optimiser.*` and so on. Loading a generator reads the first kind only.
"""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import torch
from safetensors.torch import save as to_bytes
from torch import Tensor

import pytest_medgan
from pytest_medgan.errors import CheckpointError
from pytest_medgan.gan.architecture import Stage
from pytest_medgan.gan.recipes import run_recipe
from pytest_medgan.gan.state import tensors_under
from pytest_medgan.ground.files import write_bytes
from pytest_medgan.records import Scalar

FORMAT = "pytest-medgan checkpoint"
FORMAT_VERSION = 1
HEADER_KEY = "medgan"  # one key alone: safetensors writes several in random order, and equal content is an equal file
SUFFIX = ".safetensors"
CONVERSION = (
    "Export the model where you trust it with torch.export.save(...) or torch.jit.script(model).save(...), name a bare "
    "state_dict as dcgan,weights=FILE or package.module:Network,weights=FILE, or convert a network of StyleGAN2-ADA, "
    "StyleGAN3 or StudioGAN with `medgan convert`."
)


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """Hold a generator, what it was trained on, and how far its training is."""

    architecture: str  # its name in the registry
    configuration: Mapping[str, Scalar]  # shape of the networks, by field
    tensors: Mapping[str, Tensor]  # by prefixed name
    stage: Stage | None = None  # resolution and fade of a growing generator; None is full grown
    training_recipe: str = ""  # the recipe of the ImageSet it was trained on
    patients: tuple[str, ...] = ()  # the pseudonyms of those in the training set, sorted
    images: int = 0  # in the training set
    window: tuple[float, float] | None = None  # the HU that grey 0 and 255 stand for
    seed: int = 0  # of the training run
    step: int = 0  # generator updates done
    finished: bool = False
    key: str = ""  # digest of configuration, settings and training set; equal keys train to equal weights
    settings: Mapping[str, Any] = field(default_factory=dict)  # of the training, by field
    revision: int = 1  # of the architecture's training code
    progress: Mapping[str, Any] = field(default_factory=dict)  # history of losses and metrics
    versions: Mapping[str, str] = field(default_factory=dict)  # of what it was written with
    storage: str = "float32"  # of the generator's weights in the file; "float16" halves it and rounds them

    def state(self, prefix: str) -> dict[str, Tensor]:
        """Return the tensors named `prefix.NAME`, by NAME."""
        return tensors_under(prefix, self.tensors)

    def identity(self) -> str:
        """Return a digest of architecture, configuration and generator weights: equal ones draw equal images."""
        digest = hashlib.sha256(
            json.dumps([self.architecture, dict(self.configuration), self.stage], sort_keys=True).encode()
        )
        for name, tensor in sorted(self.state("generator").items()):
            digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
            digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
        return digest.hexdigest()

    def run_recipe(self) -> str | None:
        """Return the digest of how the generator was trained; None where the checkpoint does not say.

        A run that is not finished is a recipe of its own at each step.

        Raises:
            CheckpointError: The architecture is unknown.
        """
        if not self.settings:
            return None
        recipe = run_recipe(
            self.architecture,
            self.configuration,
            self.settings,
            training_recipe=self.training_recipe,
            images=self.images,
            revision=self.revision,
            version=self.versions.get("pytest-medgan", pytest_medgan.__version__),
        )
        return recipe if self.finished else f"{recipe}-{self.step}"


def current_versions() -> dict[str, str]:
    """Return the versions of the software that shapes a training run."""
    return {
        "pytest-medgan": pytest_medgan.__version__,
        "torch": torch.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
    }


# ----------------------------------------------------------------------------------------------------------- writing


def save(checkpoint: Checkpoint, path: Path) -> None:
    """Write a checkpoint in one step.

    Raises:
        OutputError: The file cannot be written. What stood at `path` is untouched.
    """
    header = {f: v for f, v in _fields(checkpoint).items() if f != "tensors"}
    header |= {"format": FORMAT, "format_version": FORMAT_VERSION, "versions": current_versions()}
    tensors = {name: _stored(name, t, checkpoint.storage) for name, t in sorted(checkpoint.tensors.items())}
    write_bytes(path, to_bytes(tensors, {HEADER_KEY: json.dumps(header, sort_keys=True)}))


def _fields(checkpoint: Checkpoint) -> dict[str, Any]:
    """Return the fields by name, nothing copied."""
    return {name: getattr(checkpoint, name) for name in Checkpoint.__dataclass_fields__}


def _stored(name: str, tensor: Tensor, storage: str) -> Tensor:
    """Return a tensor as the file holds it."""
    tensor = tensor.detach().cpu()
    if storage == "float16" and name.startswith("generator.") and tensor.is_floating_point():
        tensor = tensor.half()
    return tensor.clone(memory_format=torch.contiguous_format)  # safetensors refuses tensors that share storage


# ----------------------------------------------------------------------------------------------------------- reading


def load(path: Path, *, prefixes: tuple[str, ...] | None = None) -> Checkpoint:
    """Read a checkpoint. float16 storage comes back as float32.

    Args:
        path: The file.
        prefixes: Read the tensors under these names only; None reads all.

    Raises:
        CheckpointError: The file is missing, a pickle, truncated, foreign, or of a later format.
    """
    refuse_pickle(path)
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            header = _header(path, file.metadata())
            names = [n for n in file.keys() if prefixes is None or n.split(".")[0] in prefixes]  # noqa: SIM118
            tensors = {name: file.get_tensor(name) for name in names}
    except safetensors.SafetensorError as error:
        raise CheckpointError(
            "The checkpoint is truncated, or no safetensors file. Copy it again, or train again with `medgan train`.",
            file=path.name,
        ) from error
    except OSError as error:
        raise CheckpointError(
            f"The checkpoint cannot be read ({error.strerror or 'no reason given'}). Check its permissions.",
            file=path.name,
        ) from error
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
        raise CheckpointError(
            "The checkpoint's header is incomplete or damaged. Copy it again, or train the model again.", file=path.name
        ) from error


def _loaded(tensor: Tensor) -> Tensor:
    """Return a tensor of the file as it is used."""
    return tensor.float() if tensor.dtype == torch.float16 else tensor


def _header(path: Path, metadata: Mapping[str, str] | None) -> dict[str, Any]:
    """Return the header; raise CheckpointError for a foreign file or a later format."""
    try:
        header = json.loads((metadata or {})[HEADER_KEY])
        ours = header["format"] == FORMAT
    except (KeyError, TypeError, ValueError):
        ours = False
    if not ours:
        raise CheckpointError(
            "The safetensors file is not a checkpoint of medgan. Name its network as "
            "package.module:Network,weights=FILE.",
            file=path.name,
        )
    if header.get("format_version") != FORMAT_VERSION:
        raise CheckpointError(
            f"The checkpoint has format {header.get('format_version')}, and this version reads {FORMAT_VERSION}. "
            "Update pytest-medgan.",
            file=path.name,
        )
    return dict(header)


def refuse_pickle(path: Path) -> None:
    """Raise CheckpointError if the file is missing or can be read by unpickling only."""
    try:
        with path.open("rb") as file:
            start = file.read(9)
    except OSError as error:
        raise CheckpointError(
            f"The checkpoint cannot be opened ({error.strerror or 'no reason given'}). Check its name and permissions.",
            file=path.name,
        ) from error
    if start[:4] == b"PK\x03\x04" or is_bare_pickle(start):  # torch.save's zip, and before torch 1.6 no zip
        raise CheckpointError(
            f"The file is a pickle, which runs code when it is loaded. {CONVERSION}",
            file=path.name,
        )


def is_bare_pickle(start: bytes) -> bool:
    """Return whether a file's first 9 bytes are those of a pickle of protocol 2 or later."""
    # the length that a safetensors file begins with may start with the same byte, but there JSON follows it
    return start[:1] == b"\x80" and start[8:9] != b"{"
