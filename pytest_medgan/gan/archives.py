"""Networks in files that other programs wrote: TorchScript, torch.export, and state dicts of known architectures.

No Python code from such a file runs: TorchScript is read by torch's C++ reader, which knows plain types alone, and
wherever torch would unpickle in Python it is limited to `weights_only`.
"""

from __future__ import annotations

import hashlib
import io
import pickle
import zipfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.export.passes import move_to_device_pass

from pytest_medgan.errors import CheckpointError
from pytest_medgan.gan.architecture import NetworkConfig
from pytest_medgan.gan.checkpoint import CONVERSION, is_bare_pickle
from pytest_medgan.gan.class_inputs import ClassChoice, ClassNetwork, NetworkInput, fit_class
from pytest_medgan.gan.conditions import Conditions
from pytest_medgan.gan.description import ENTRY, read_description
from pytest_medgan.gan.latent_inputs import find_latents, shape_network
from pytest_medgan.gan.networks import Joined, noise_of, restore_generator
from pytest_medgan.gan.probing import (
    GREY_LEVEL,
    PROBED_VOLUMES,
    PROBES,
    Rescaled,
    check_network,
    check_shape,
    find_volume_shape,
    probing_latents,
)
from pytest_medgan.gan.sampling import NetworkGenerator, choose_device
from pytest_medgan.gan.state_files import read_state
from pytest_medgan.ground.digests import digest_values
from pytest_medgan.ground.torch_files import file_operators, tensors_only
from pytest_medgan.ground.user_code import name_kind
from pytest_medgan.records import Progress, no_progress

_DYNAMIC = "export it with a batch dimension that is dynamic"
_PICKLE = f"The file is a pickle, which runs code when it is loaded. {CONVERSION}"


def from_archive(
    path: Path,
    *,
    latent: int | tuple[int, ...] | None = None,
    values: tuple[float, float] | None = None,
    choice: ClassChoice | None = None,
    device: str = "cpu",
    progress: Progress = no_progress,
) -> NetworkGenerator:
    """Return the generator of a TorchScript or torch.export file: z [N,latent] or [N,...] -> images [N,C,H,W].

    It may draw volumes, [N,1,D,H,W]. Latents have the floating point type that the file states of its input or, of
    TorchScript, that of the weights.

    Args:
        path: The file.
        latent: Shape of a latent, or how many numbers it has; None takes it from what the file says of itself
            (`medgan convert` writes it), from its name (`generator-z512.pt`) or from the exported program's example
            input, and otherwise tries 100, 512, 128, 64 and 256. Where the file states no shape, [N,latent] is tried
            before [N,latent,1,1].
        values: What the model returns for black and for white; None takes what the file says of itself, or else -1 and
            1, and a model with few values below -0.25 is then refused, since it may well mean 0 and 1.
        choice: The class to draw, for a model with a second input that takes one (see `class_inputs`).
        device: "cpu" or "cuda".
        progress: Called while images are drawn.

    Raises:
        CheckpointError: The file is a pickle, or holds one that is more than tensors, or TorchScript that opens files;
            it cannot be loaded, takes another class, does not draw images, or draws them in another range.
    """
    choose_device(device)
    content = path.read_bytes()
    opened = _open(path, content, device, takes_class=choice is not None)
    network, inputs = opened.network, opened.inputs
    given = fit_class(inputs, choice, file=path.name) if inputs else None
    if given is not None:
        network = ClassNetwork(network, given, by_name=given.name in opened.by_name)
    said = read_description(opened.description, path.name)
    values = said.values if values is None else values
    shape = (latent,) if isinstance(latent, int) else latent
    latents = find_latents(opened.network, inputs, shape, described=said.candidates, path=path)
    try:
        network, found, images = shape_network(network, latents, device=device, file=path.name, action=_DYNAMIC)
    except CheckpointError as error:
        if opened.batch not in (None, 2):
            raise _fixed_batch(opened.batch, path) from error
        if given is None:
            raise
        is_open = opened.inputs[given.place].shape is None
        action = (
            "correct latent=, or add classes=NUMBER where it takes classes one-hot" if is_open else "or correct latent="
        )
        raise CheckpointError(
            f"The model fails with class={given.label}, given as {given.form}. Choose a class that it has, {action}.",
            file=path.name,
        ) from error
    check_shape(images, 2, is_volume=True, file=path.name)
    volume = find_volume_shape(images)
    if values is not None:
        network = Rescaled(network, *values)
    count = PROBES if volume is None else PROBED_VOLUMES
    _check(network, found, path, count=count, device=device, is_said=values is not None, is_fixed=opened.batch == 2)
    identity = hashlib.sha256(content + (b"" if values in (None, (-1.0, 1.0)) else repr(values).encode())).hexdigest()
    if given is not None:
        identity = digest_values(identity, "class", given.label, given.shape)
    if shape is not None and len(shape) > 1:
        identity = digest_values(identity, "latent", shape)
    noise = said.noise if (found,) == said.candidates else 0
    generator = NetworkGenerator(
        Joined(network) if noise else network,
        latent=found - noise,
        identity=identity,
        device=device,
        noise=noise,
        volume_shape=volume,
        progress=progress,
    )
    generator.condition = Conditions(None if given is None else given.label).text
    return generator


def _check(
    network: nn.Module, latent: int, path: Path, *, count: int, device: str, is_said: bool, is_fixed: bool
) -> None:
    """Check the images of a network that draws two of them.

    Args:
        network: The network.
        latent: Numbers of a latent.
        path: Its file.
        count: Images or volumes to check.
        device: "cpu" or "cuda".
        is_said: Whether the range of its values was said.
        is_fixed: Whether the file says that it draws two images and no other number.

    Raises:
        CheckpointError: It fails on more than two, or `check_network` refuses it.
    """
    try:
        # a whole grey level: TorchScript rounds otherwise once it has compiled the graph
        check_network(
            network, latent, device=device, is_said=is_said, count=count, file=path.name, tolerance=GREY_LEVEL
        )
    except CheckpointError:
        raise
    except Exception as error:  # whatever torch raises inside a foreign network
        if is_fixed or _fails(network, latent, device):
            raise _fixed_batch(2, path) from error
        raise CheckpointError(
            f"The model draws 2 images and fails on {count} ({name_kind(error)}). Call it on {count} latents in "
            "Python to see what it says.",
            file=path.name,
        ) from error


@dataclass(frozen=True)
class _Opened:
    """A network as its file holds it."""

    network: nn.Module
    inputs: Sequence[NetworkInput]
    description: str | bytes  # what the file says of itself; empty where it says nothing
    by_name: frozenset[str] = frozenset()  # inputs that are given by name
    batch: int | None = None  # images of a call; None where it is open, or the file does not say


def _fails(network: nn.Module, latent: int, device: str) -> bool:
    """Return whether a network that draws two images fails on three."""
    try:
        network(probing_latents(latent)[:3].to(device))
    except Exception:  # whatever torch raises for a shape that was not exported
        return True
    return False


def _fixed_batch(batch: int | None, path: Path) -> CheckpointError:
    """Return the error of a network that draws so many images and no other number."""
    return CheckpointError(
        f"The model draws {batch} image{'s' * (batch != 1)} at once and no other number. {_DYNAMIC.capitalize()}.",
        file=path.name,
    )


def _open(path: Path, content: bytes, device: str, *, takes_class: bool) -> _Opened:
    """Return the network of a TorchScript or torch.export file."""
    kind = _kind(path)
    extra: dict[str, Any] = {ENTRY: ""}
    operators: tuple[str, ...] = ()
    try:
        with tensors_only():
            if kind == "TorchScript":
                network: nn.Module = torch.jit.load(  # type: ignore[no-untyped-call]
                    io.BytesIO(content), map_location=device, _extra_files=extra
                ).eval()
                operators = file_operators(network)
                opened = _Opened(network, _scripted_inputs(network, takes_class=takes_class), extra[ENTRY])
            else:
                program = torch.export.load(io.BytesIO(content), extra_files=extra)
                if device != "cpu":
                    program = move_to_device_pass(program, device)  # constants inside the program move as well
                by_name = frozenset(program.example_inputs[1] if program.example_inputs else ())
                inputs, batch = _exported_inputs(program)
                opened = _Opened(program.module(), inputs, extra[ENTRY], by_name, batch)
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
    return opened


def _scripted_inputs(network: Any, *, takes_class: bool) -> list[NetworkInput]:
    """Return the inputs of a TorchScript module that are given: those without a default, and the class."""
    _, *taken = network.forward.schema.arguments  # the first is the module itself
    given = (each for at, each in enumerate(taken) if at < 1 + takes_class or not each.has_default_value())
    return [NetworkInput(each.name) for each in given]


def _exported_inputs(program: torch.export.ExportedProgram) -> tuple[list[NetworkInput], int | None]:
    """Return the inputs of an exported program that are tensors, and the batch where it fixes one."""
    held = {node.name: node.meta.get("val") for node in program.graph.nodes if node.op == "placeholder"}
    tensors = {name: held[name] for name in program.graph_signature.user_inputs if isinstance(held.get(name), Tensor)}
    shapes = {
        name: tuple(size if isinstance(size, int) else None for size in value.shape) for name, value in tensors.items()
    }
    inputs = [NetworkInput(name, value.dtype, shapes[name][1:]) for name, value in tensors.items()]
    return inputs, next((shape[0] for shape in shapes.values() if shape), None)


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
    renamed = {  # half precision would not fit the latents, which are float32
        name.replace("main.", "layers.", 1): weight.float() if weight.is_floating_point() else weight
        for name, weight in read_state(path).items()
    }
    try:
        network = restore_generator(config, renamed)
    except CheckpointError as error:
        raise CheckpointError(str(error), file=path.name) from error
    digest = hashlib.sha256(repr(config).encode())
    for name, weight in sorted(renamed.items()):
        digest.update(f"{name} {weight.dtype} {tuple(weight.shape)}".encode())
        digest.update(weight.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return NetworkGenerator(
        network,
        latent=config.latent,
        identity=digest.hexdigest(),
        device=device,
        noise=noise_of(config),
        progress=progress,
    )
