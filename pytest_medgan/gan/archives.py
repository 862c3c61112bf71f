"""Networks in files that other programs wrote: TorchScript, torch.export, and state dicts of known architectures.

No Python code from such a file runs: TorchScript is read by torch's C++ reader, which knows plain types alone, and
wherever torch would unpickle in Python it is limited to `weights_only`.
"""

from __future__ import annotations

import hashlib
import io
import pickle
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.export.passes import move_to_device_pass

from pytest_medgan.errors import CheckpointError
from pytest_medgan.gan.architecture import NetworkConfig
from pytest_medgan.gan.checkpoint import CONVERSION
from pytest_medgan.gan.networks import restore_generator
from pytest_medgan.gan.sampling import NetworkGenerator, choose_device, exact_convolutions
from pytest_medgan.ground.torch_files import tensors_only
from pytest_medgan.records import Progress, no_progress

USUAL_LATENTS = (100, 512, 128, 64, 256)


def from_archive(path: Path, *, device: str = "cpu", progress: Progress = no_progress) -> NetworkGenerator:
    """Return the generator of a TorchScript or torch.export file: z float32 [N,latent] -> images [N,C,H,W] in -1..1.

    The dimension of the latent is taken from the file's name (`generator-z512.pt`) or from the exported program's
    example input; otherwise 100, 512, 128, 64 and 256 are tried.

    Raises:
        CheckpointError: The file is a pickle, or holds one that is more than tensors, cannot be loaded, or does not
            draw images.
    """
    choose_device(device)
    kind = _kind(path)
    content = path.read_bytes()
    candidates = _named_latent(path)
    network: nn.Module
    try:
        with tensors_only():
            if kind == "TorchScript":
                network = torch.jit.load(io.BytesIO(content), map_location=device).eval()  # type: ignore[no-untyped-call]
            else:
                program = torch.export.load(io.BytesIO(content))
                if device != "cpu":
                    program = move_to_device_pass(program, device)  # constants inside the program move as well
                network = program.module()
                example = program.example_inputs[0] if program.example_inputs else ()
                if example and isinstance(example[0], Tensor) and example[0].ndim == 2:
                    candidates = candidates or (example[0].shape[1],)
    except Exception as error:  # whatever torch raises for a file it cannot read
        problem = (
            f"The file holds a pickle that is more than tensors. {CONVERSION}"
            if isinstance(error, pickle.UnpicklingError)
            else f"The file cannot be loaded as {kind}. Export it with this version of torch."
        )
        raise CheckpointError(problem, file=path.name) from error
    latent, images = _try_latents(network, candidates or USUAL_LATENTS, device, path)
    if images.ndim != 4 or len(images) != 2:
        raise CheckpointError(
            f"The model returns {list(images.shape)} for two latents. Make it return [2,C,H,W].", file=path.name
        )
    if not float(images.abs().max()) <= 1.5:
        raise CheckpointError(
            f"The model returns values up to {float(images.abs().max()):.3g}. Make it end in -1..1 (Tanh).",
            file=path.name,
        )
    identity = hashlib.sha256(content).hexdigest()
    return NetworkGenerator(network, latent=latent, identity=identity, device=device, progress=progress)


def _kind(path: Path) -> str:
    """Return "TorchScript" or "torch.export"; raise CheckpointError for anything else, pickles above all."""
    try:
        with zipfile.ZipFile(path) as archive:
            inner = [name.split("/", 1)[-1] for name in archive.namelist()]
    except (zipfile.BadZipFile, OSError, ValueError) as error:  # ValueError: a name that is not UTF-8
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
    raise CheckpointError(f"The file is a pickle, which runs code when it is loaded. {CONVERSION}", file=path.name)


def _named_latent(path: Path) -> tuple[int, ...]:
    """Return the dimension of the latent that a file's name states, or nothing."""
    parts = path.stem.replace("_", "-").split("-")
    return tuple(int(part[1:]) for part in parts if part[:1] == "z" and part[1:].isdigit())[:1]


def _try_latents(network: nn.Module, candidates: Sequence[int], device: str, path: Path) -> tuple[int, Tensor]:
    """Return the first dimension that the network takes, and the images of two latents."""
    problem: Exception | None = None
    for latent in candidates:
        try:
            with torch.no_grad(), exact_convolutions():
                images = network(torch.zeros(2, latent, device=device))
        except Exception as error:  # a wrong dimension may raise anything inside a foreign model
            problem = error
            continue
        if isinstance(images, Tensor):
            return latent, images
    raise CheckpointError(
        "The model takes none of the usual latents float32 [N,z]. Put the dimension in the file's name, as "
        "generator-z512.pt.",
        file=path.name,
    ) from problem


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
    try:
        weights = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(f"The file holds more than tensors. {CONVERSION}", file=path.name) from error
    except (OSError, RuntimeError, ValueError, EOFError, KeyError) as error:
        raise CheckpointError(
            "The file cannot be read as a state dict; it may be truncated. Copy it again.", file=path.name
        ) from error
    if not isinstance(weights, Mapping) or not all(isinstance(w, Tensor) for w in weights.values()):
        raise CheckpointError(
            "The file holds no state dict. Save model.state_dict(), names to tensors.", file=path.name
        )
    renamed = {str(n).removeprefix("module.").replace("main.", "layers.", 1): w for n, w in weights.items()}
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
