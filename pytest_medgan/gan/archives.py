"""Networks in files that other programs wrote: TorchScript, torch.export, and state dicts of known architectures.

No Python code from such a file runs: TorchScript is read by torch's C++ reader, which knows plain types alone, and
wherever torch would unpickle in Python it is limited to `weights_only`.
"""

from __future__ import annotations

import hashlib
import io
import pickle
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.export.passes import move_to_device_pass

from pytest_medgan.errors import CheckpointError
from pytest_medgan.gan.architecture import NetworkConfig
from pytest_medgan.gan.checkpoint import CONVERSION, is_bare_pickle
from pytest_medgan.gan.description import ENTRY, read_description
from pytest_medgan.gan.networks import restore_generator
from pytest_medgan.gan.probing import GREY_LEVEL, USUAL_LATENTS, Rescaled, check_network, check_shape, try_latents
from pytest_medgan.gan.sampling import NetworkGenerator, choose_device
from pytest_medgan.gan.state_files import read_state
from pytest_medgan.ground.torch_files import file_operators, tensors_only
from pytest_medgan.records import Progress, no_progress

_PICKLE = f"The file is a pickle, which runs code when it is loaded. {CONVERSION}"


def from_archive(
    path: Path,
    *,
    latent: int | None = None,
    values: tuple[float, float] | None = None,
    device: str = "cpu",
    progress: Progress = no_progress,
) -> NetworkGenerator:
    """Return the generator of a TorchScript or torch.export file: z float32 [N,latent] -> images [N,C,H,W].

    Args:
        path: The file.
        latent: Dimension of the latent; None takes it from what the file says of itself (`medgan convert` writes it),
            from its name (`generator-z512.pt`) or from the exported program's example input, and otherwise tries 100,
            512, 128, 64 and 256.
        values: What the model returns for black and for white; None takes what the file says of itself, or else -1 and
            1, and a model that returns nothing below 0 is then refused, since it may well mean 0 and 1.
        device: "cpu" or "cuda".
        progress: Called while images are drawn.

    Raises:
        CheckpointError: The file is a pickle, or holds one that is more than tensors, or TorchScript that opens files;
            it cannot be loaded, does not draw images, or draws them in another range.
    """
    choose_device(device)
    kind = _kind(path)
    content = path.read_bytes()
    candidates: tuple[int, ...] = (latent,) if latent is not None else ()
    extra: dict[str, Any] = {ENTRY: ""}
    network: nn.Module
    operators: tuple[str, ...] = ()
    example_latent: tuple[int, ...] = ()
    try:
        with tensors_only():
            if kind == "TorchScript":
                network = torch.jit.load(  # type: ignore[no-untyped-call]
                    io.BytesIO(content), map_location=device, _extra_files=extra
                ).eval()
                operators = file_operators(network)
            else:
                program = torch.export.load(io.BytesIO(content), extra_files=extra)
                if device != "cpu":
                    program = move_to_device_pass(program, device)  # constants inside the program move as well
                network = program.module()
                example = program.example_inputs[0] if program.example_inputs else ()
                if example and isinstance(example[0], Tensor) and example[0].ndim == 2:
                    example_latent = (int(example[0].shape[1]),)
    except Exception as error:  # whatever torch raises for a file it cannot read
        problem = (
            f"The file holds a pickle that is more than tensors. {CONVERSION}"
            if isinstance(error, pickle.UnpicklingError)
            else f"The file cannot be loaded as {kind}. Export it with this version of torch."
        )
        raise CheckpointError(problem, file=path.name) from error
    if operators:
        raise CheckpointError(
            f"The model uses {', '.join(operators)}, which opens files, so it is refused. Export it without.",
            file=path.name,
        )
    said = read_description(extra[ENTRY], path.name)
    values = said.values if values is None else values
    candidates = candidates or said.candidates or _named_latent(path) or example_latent or USUAL_LATENTS
    found, images = try_latents(network, candidates, device=device, file=path.name)
    check_shape(images, 2, file=path.name)
    if values is not None:
        network = Rescaled(network, *values)
    # a whole grey level: TorchScript rounds otherwise once it has compiled the graph
    check_network(network, found, device=device, is_said=values is not None, file=path.name, tolerance=GREY_LEVEL)
    identity = hashlib.sha256(content + (b"" if values in (None, (-1.0, 1.0)) else repr(values).encode())).hexdigest()
    return NetworkGenerator(network, latent=found, identity=identity, device=device, progress=progress)


def _kind(path: Path) -> str:
    """Return "TorchScript" or "torch.export"; raise CheckpointError for anything else, pickles above all."""
    try:
        with zipfile.ZipFile(path) as archive:
            inner = [name.split("/", 1)[-1] for name in archive.namelist()]
    except (zipfile.BadZipFile, OSError, ValueError) as error:  # ValueError: a name that is not UTF-8
        with suppress(OSError), path.open("rb") as stream:
            if is_bare_pickle(stream.read(9)):
                raise CheckpointError(_PICKLE, file=path.name) from error
        raise CheckpointError(
            "The file is no checkpoint of medgan, TorchScript or torch.export; it may be truncated. Copy it again.",
            file=path.name,
        ) from error
    if "constants.pkl" in inner and any(name.startswith("code/") for name in inner):
        return "TorchScript"
    if any(name.startswith("models/") and name.endswith(".json") for name in inner) or (
        "serialized_exported_program.json" in inner  # torch before 2.8
    ):
        return "torch.export"
    raise CheckpointError(_PICKLE, file=path.name)


def _named_latent(path: Path) -> tuple[int, ...]:
    """Return the dimension of the latent that a file's name states, or nothing."""
    parts = path.stem.replace("_", "-").split("-")
    return tuple(int(part[1:]) for part in parts if part[:1] == "z" and part[1:].isdigit())[:1]


def from_state_dict(
    path: Path, config: NetworkConfig, *, device: str = "cpu", progress: Progress = no_progress
) -> NetworkGenerator:
    """Return the generator whose weights a `state_dict` file holds, read with `weights_only`.

    Names are those of the package's networks, or those of PyTorch's DCGAN example (`main.0.weight`), with or without
    `module.` in front.

    Args:
        path: The file.
        config: Shape of the networks.
        device: "cpu" or "cuda".
        progress: Called while images are drawn.

    Raises:
        CheckpointError: The file is more than a state dict, cannot be read, or holds weights of another configuration.
    """
    renamed = {name.replace("main.", "layers.", 1): weight for name, weight in read_state(path).items()}
    try:
        network = restore_generator(config, renamed)
    except CheckpointError as error:
        raise CheckpointError(str(error), file=path.name) from error
    digest = hashlib.sha256(repr(config).encode())
    for name, weight in sorted(renamed.items()):
        digest.update(f"{name} {weight.dtype} {tuple(weight.shape)}".encode())
        digest.update(weight.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return NetworkGenerator(
        network, latent=config.latent, identity=digest.hexdigest(), device=device, progress=progress
    )
