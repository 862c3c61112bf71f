"""What runs the folded network, and which of them `engine=auto` takes.

The order of preference is the order of benchmarks/embedding.md, fixed rather than timed anew on every run, so that the
same command gives the same digits twice. Every float32 engine agrees with plain eager torchvision within 1e-5 relative;
a test holds each of them to it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor, nn

from pytest_medgan.embedding.folded import FoldedInception
from pytest_medgan.embedding.inception import channel_affine, maps, prepare, to_three_channels
from pytest_medgan.embedding.onnx_graph import onnx_model
from pytest_medgan.embedding.spec import ExtractorSpec
from pytest_medgan.embedding.topology import FIRST, Convolution, fold, fold_input
from pytest_medgan.errors import ExtractorError

CPU_BATCH = 16
RUNTIME_BATCH = 8  # of ONNX Runtime and OpenVINO, which keep what a batch needed: half the memory, 3% slower than 16
# (uint8 [N,1,H,W] on the CPU, images at once) -> float32 features of one batch after another, on the CPU
Stream = Callable[[Tensor, int], Iterator[Tensor]]


@dataclass(frozen=True, eq=False)
class Engine:
    """One way to compute features."""

    name: str
    batch: int  # images at once that suit it
    block: int  # images it likes to be handed together
    stream: Stream


def make_engine(network: nn.Module, spec: ExtractorSpec, device: str) -> Engine:
    """The engine `spec` asks for, on `device`. Raises ExtractorError where it cannot run here."""
    kind = torch.device(device).type
    name = spec.engine if spec.engine != "auto" else choose(kind, spec.precision)
    if kind == "cpu" and spec.precision == "tf32":
        raise ExtractorError("precision=tf32 is a CUDA format; on a CPU use float32 or bfloat16")
    if name in ("onnxruntime", "openvino", "eager") and spec.precision != "float32":
        raise ExtractorError(f"engine={name} computes in float32; leave engine= out for precision={spec.precision}")
    if kind != "cpu" and name in ("onnxruntime", "openvino"):
        raise ExtractorError(f"engine={name} runs on a CPU; leave engine= out on {kind}")
    if kind == "cpu" and name == "graph":
        raise ExtractorError("engine=graph captures a CUDA graph; leave engine= out on a CPU")
    if kind != "cpu":
        from pytest_medgan.embedding.cuda import cuda_engine

        return cuda_engine(network, spec, name, device)
    return _cpu_engine(network, spec, name)


def choose(kind: str, precision: str) -> str:
    """The name that "auto" stands for on this kind of device: the fastest that is installed."""
    if kind == "cuda":
        return "graph"
    if kind == "cpu" and precision == "float32" and find_spec("onnxruntime") and find_spec("onnx"):
        return "onnxruntime"
    return "folded"


def grey_convolutions(network: nn.Module, normalisation: str) -> dict[str, Convolution]:
    """The folded network for one grey channel in (-1, 1)."""
    convolutions = fold(network)
    convolutions[FIRST] = fold_input(convolutions[FIRST], *channel_affine(normalisation))
    return convolutions


def _cpu_engine(network: nn.Module, spec: ExtractorSpec, name: str) -> Engine:
    if name == "eager":
        return _simple(name, lambda grey: maps(network, to_three_channels(grey, spec.normalisation)).mean((2, 3)))
    convolutions = grey_convolutions(network, spec.normalisation)
    try:
        if name == "onnxruntime":
            return _simple(name, _onnxruntime(onnx_model(convolutions)), RUNTIME_BATCH)
        if name == "openvino":
            return _simple(name, _openvino(onnx_model(convolutions)), RUNTIME_BATCH)
    except ImportError as error:
        raise ExtractorError(
            f"engine={name} needs the package {error.name}; pip install 'pytest-medgan[onnx]' (and openvino for it), "
            "or leave engine= out"
        ) from None
    folded = FoldedInception(convolutions, torch.bfloat16 if spec.precision == "bfloat16" else torch.float32)
    if name == "compiled":
        return _simple(name, torch.compile(folded, dynamic=False), pad=True)
    return _simple(name, folded)


def _simple(name: str, forward: Callable[[Tensor], Tensor], batch: int = CPU_BATCH, *, pad: bool = False) -> Engine:
    """An engine that takes prepared batches one after another, of any size or, where `pad` is set, of one."""

    def stream(pixels: Tensor, size: int) -> Iterator[Tensor]:
        run = padded(forward, size) if pad else forward
        for part in torch.split(pixels, size):
            with torch.inference_mode():  # not around the yield: the caller's code is no part of it
                features = run(prepare(part))
            yield features

    return Engine(name, batch, 128, stream)


def padded(forward: Callable[[Tensor], Tensor], size: int) -> Callable[[Tensor], Tensor]:
    """`forward` with every batch filled up to `size` images, so that it is compiled once for each size."""

    def run(images: Tensor) -> Tensor:
        short = size - len(images)
        whole = torch.cat([images, images[-1:].expand(short, -1, -1, -1)]) if short > 0 else images
        result: Tensor = forward(whole)[: len(images)]
        return result

    return run


def _onnxruntime(model: bytes) -> Callable[[Tensor], Tensor]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3  # errors only
    session: Any = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return lambda grey: torch.from_numpy(session.run(None, {"grey": grey.numpy()})[0])


def _openvino(model: bytes) -> Callable[[Tensor], Tensor]:
    import openvino

    core = openvino.Core()
    hints = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": torch.get_num_threads()}
    ready: Any = core.compile_model(core.read_model(model), "CPU", hints)
    return lambda grey: torch.from_numpy(ready(grey.numpy())[0].copy())
