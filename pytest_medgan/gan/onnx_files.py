"""Generators in ONNX files, run by onnxruntime (extra `onnx`): z float32 [N,latent] -> images [N,C,H,W].

A second input may take the class of the images (see `class_inputs`).

The graph is read before anything is computed (see `onnx_contents`). Weights in files of their own enter its identity.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from pytest_medgan.errors import CheckpointError, SettingsError
from pytest_medgan.gan.class_inputs import ClassChoice, ClassInput, NetworkInput, fit_class, order_inputs
from pytest_medgan.gan.conditions import Conditions
from pytest_medgan.gan.onnx_contents import damaged, files_of_weights
from pytest_medgan.gan.probing import (
    PROBED_VOLUMES,
    PROBES,
    Rescaled,
    check_network,
    check_shape,
    find_volume_shape,
)
from pytest_medgan.gan.sampling import NetworkGenerator, choose_device
from pytest_medgan.ground.digests import digest_file, digest_values
from pytest_medgan.records import Progress, no_progress

SUFFIX = ".onnx"
MOST_NUMBERS = 1 << 24  # in the latents of one call; a graph that asks for more is damaged or hostile
_TYPES: dict[str, type[np.floating[Any]]] = {
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
    "tensor(float16)": np.float16,
}
_CLASS_TYPES = {
    "tensor(int64)": torch.int64,
    "tensor(int32)": torch.int32,
    "tensor(int16)": torch.int16,
    "tensor(int8)": torch.int8,
    "tensor(uint8)": torch.uint8,
    "tensor(bool)": torch.bool,
    "tensor(float)": torch.float32,
    "tensor(double)": torch.float64,
    "tensor(float16)": torch.float16,
    "tensor(bfloat16)": torch.bfloat16,
}


@dataclass(frozen=True)
class Signature:
    """How a graph is called."""

    takes: str  # name of the input
    dtype: type[np.floating[Any]]  # of the input
    batch: int | None  # latents at once; None: any number
    shape: tuple[int, ...]  # of one latent
    returns: str  # name of the output
    given: ClassInput | None = None  # the class, where it takes one


class OnnxNetwork(nn.Module):
    """A session of onnxruntime as a network: float32 [N,latent] -> float32 [N,C,H,W]."""

    def __init__(self, session: Any, signature: Signature) -> None:
        super().__init__()
        self._session, self._signature = session, signature

    def forward(self, z: Tensor) -> Tensor:
        """Return images, in whatever range the graph returns them; a fixed batch is filled up with zeros."""
        own, rows = self._signature, z.cpu().numpy().astype(self._signature.dtype)
        batch = own.batch or len(rows)
        images = []
        for start in range(0, len(rows), batch):
            part = rows[start : start + batch]
            whole = np.zeros((batch, *own.shape), own.dtype)
            whole[: len(part)] = part.reshape(len(part), *own.shape)
            feed = {own.takes: whole}
            if own.given is not None:
                feed[own.given.name] = own.given.of(batch if own.batch else len(part), torch.device("cpu")).numpy()
            (answer,) = self._session.run([own.returns], feed)
            answer = np.asarray(answer, np.float32)
            images.append(answer[: len(part)] if own.batch else answer)
        return torch.from_numpy(np.concatenate(images)).to(z.device)


def from_onnx(
    path: Path,
    *,
    latent: tuple[int, ...] | None = None,
    values: tuple[float, float] | None = None,
    choice: ClassChoice | None = None,
    device: str = "cpu",
    progress: Progress = no_progress,
) -> NetworkGenerator:
    """Return the generator of an ONNX file.

    Args:
        path: The file.
        latent: Shape of a latent, or how many numbers it has, where the graph leaves it open.
        values: What the graph returns for black and for white; None stands for -1 and 1, and a graph with few
            values below -0.25 is then refused, since it may well mean 0 and 1.
        choice: The class to draw, for a graph that takes one.
        device: "cpu" or "cuda".
        progress: Called while images are drawn.

    Raises:
        CheckpointError: onnxruntime is not installed; the file is damaged, takes more than a latent and a class, or a
            class that was not said, draws random numbers of its own, or does not draw images in its range.
        SettingsError: The machine, or the installed onnxruntime, has no such device.
    """
    choose_device(device)
    files = [(file.name, digest_file(file)) for file in files_of_weights(path)]
    session = _open_session(path, device)
    signature = _read_signature(session, latent, choice, path)
    drawn = () if signature.given is None else ("class", signature.given.label, signature.given.shape)
    identity = digest_values("onnx", digest_file(path), files, signature.shape, values or (-1.0, 1.0), *drawn)
    network: nn.Module = OnnxNetwork(session, signature)
    numbers = math.prod(signature.shape)
    try:
        images = network(torch.zeros(2, numbers, device=device))
        check_shape(images, 2, is_volume=True, file=path.name)
        shape = find_volume_shape(images)
        if values is not None:
            network = Rescaled(network, *values)
        count, is_said = PROBES if shape is None else PROBED_VOLUMES, values is not None
        check_network(network, numbers, device=device, is_said=is_said, count=count, file=path.name)
    except CheckpointError:
        raise
    except Exception as error:  # whatever onnxruntime raises inside a foreign graph
        action = "Export it with a batch dimension that is dynamic, or put latent=NUMBER behind the name."
        if signature.given is not None:
            action = f"Choose a class that it has. If that fails too: {action[0].lower()}{action[1:]}"
        raise CheckpointError(
            f"The model fails on latents of {_shown(signature)}{_with_class(signature)}. {action}",
            file=path.name,
        ) from error
    generator = NetworkGenerator(
        network, latent=numbers, identity=identity, device=device, volume_shape=shape, progress=progress
    )
    generator.condition = Conditions(None if signature.given is None else signature.given.label).text
    return generator


def _with_class(signature: Signature) -> str:
    """Return the class that a graph was given, in words; nothing where it takes none."""
    return "" if signature.given is None else f" with class={signature.given.label}"


def _shown(signature: Signature) -> str:
    """Return the shape of a graph's input in words."""
    return f"[{', '.join(map(str, (signature.batch or 'N', *signature.shape)))}]"


def _open_session(path: Path, device: str) -> Any:
    """Return a session that computes the same numbers each time, on as many threads as torch.

    Raises:
        CheckpointError: onnxruntime does not take the file.
        SettingsError: onnxruntime knows no GPU.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.use_deterministic_compute = True
    options.log_severity_level = 4  # its own lines on stderr; what matters is raised
    providers: list[Any] = ["CPUExecutionProvider"]
    if device.startswith("cuda"):
        if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
            raise SettingsError(
                f"device {device!r} is not available to onnxruntime. Install onnxruntime-gpu, or use cpu."
            )
        exact = {"use_tf32": "0", "cudnn_conv_algo_search": "DEFAULT", "device_id": device.partition(":")[2] or "0"}
        providers.insert(0, ("CUDAExecutionProvider", exact))
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=providers)
    except Exception as error:  # onnxruntime's errors have no common class
        raise damaged(path) from error


def _read_signature(session: Any, latent: tuple[int, ...] | None, choice: ClassChoice | None, path: Path) -> Signature:
    """Return how a graph is called.

    Raises:
        CheckpointError: It takes or returns something else than one latent, a class where it is said, and images.
    """
    inputs, outputs = {each.name: each for each in session.get_inputs()}, session.get_outputs()
    if not inputs:
        raise CheckpointError("The model takes nothing. Export one that takes the latent.", file=path.name)
    described = [
        NetworkInput(name, _CLASS_TYPES.get(each.type, torch.complex64), tuple(map(_fixed, each.shape[1:])))
        for name, each in inputs.items()
    ]
    given = fit_class(described, choice, file=path.name)
    takes = inputs[order_inputs(described)[0].name]
    if takes.type not in _TYPES or len(takes.shape) < 2:
        raise CheckpointError(
            f"The model's input {takes.name!r} is {takes.type} of {len(takes.shape)} dimensions. Export one that takes "
            "latents float32 [N,z].",
            file=path.name,
        )
    batch, shape = _fixed(takes.shape[0]), _latent_shape(takes.shape[1:], latent, path)
    if (batch or 1) * math.prod(shape) > MOST_NUMBERS:
        raise CheckpointError(
            f"The model's latents have more than {MOST_NUMBERS} numbers in one call. Export it again.", file=path.name
        )
    pictures = [each for each in outputs if len(each.shape) in (4, 5)] or outputs
    if len(pictures) != 1:
        names = ", ".join(repr(each.name) for each in pictures)
        raise CheckpointError(f"The model returns {names}. Export one that returns the images alone.", file=path.name)
    return Signature(takes.name, _TYPES[takes.type], batch, shape, pictures[0].name, given)


def _fixed(size: object) -> int | None:
    """Return a size that a graph fixes, or None where it is open."""
    return size if isinstance(size, int) and size > 0 else None


def _latent_shape(shape: list[object], latent: tuple[int, ...] | None, path: Path) -> tuple[int, ...]:
    """Return the shape of one latent; where the graph leaves a size open, what was said decides.

    Raises:
        CheckpointError: The graph leaves it open and nothing was said, or it takes another shape.
    """
    fixed = [_fixed(size) for size in shape]
    shown = "x".join("?" if size is None else str(size) for size in fixed)
    if latent is None and None in fixed:
        raise CheckpointError(
            f"The model does not say how many numbers a latent has (its input is {shown}). Put latent=NUMBER behind "
            "the name, such as generator.onnx,latent=512.",
            file=path.name,
        )
    found = latent or tuple(size or 0 for size in fixed)
    if len(found) == 1:  # a number of numbers: the open size takes what the fixed ones leave
        known = math.prod(size or 1 for size in fixed)
        found = tuple(size or found[0] // known for size in fixed)
    is_equal = latent is None or math.prod(found) == math.prod(latent)
    if not is_equal or len(found) != len(fixed) or any(a not in (None, b) for a, b in zip(fixed, found, strict=True)):
        raise CheckpointError(f"The model takes latents of {shown}. Correct latent=, or leave it out.", file=path.name)
    return found
