"""The engines that run a folded network, and which of them `engine=auto` stands for.

The order of preference is that of benchmarks/embedding.md. It is fixed rather than timed on every run, so that the same
command gives the same digits twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor

from pytest_medgan.embedding.cuda import cuda_engine
from pytest_medgan.embedding.engine import Engine, pad_batches, stream_side_by_side
from pytest_medgan.embedding.onnx_graph import INPUT, onnx_model
from pytest_medgan.embedding.operations import Network
from pytest_medgan.embedding.spec import ExtractorSpec
from pytest_medgan.embedding.torch_network import TorchNetwork
from pytest_medgan.errors import ExtractorError

CPU_BATCH = 16
RUNTIME_BATCH = 8  # of ONNX Runtime, which keeps what a batch needed
AT_WORK = 4  # parts of a batch computed at a time, at most
BLOCK = 128


def make_engine(network: Network, spec: ExtractorSpec, device: str) -> Engine:
    """Return the engine that `spec` asks for, on `device`.

    Raises:
        ExtractorError: It does not run here.
    """
    kind = torch.device(device).type
    name = spec.engine if spec.engine != "auto" else preferred_engine(kind, spec.precision)
    if kind == "cpu" and spec.precision == "tf32":
        raise ExtractorError("precision=tf32 is a format of CUDA devices. Use float32 or bfloat16 on a CPU.")
    if name in ("onnxruntime", "eager") and spec.precision != "float32":
        raise ExtractorError(f"engine={name} computes in float32 alone. Leave engine= out for {spec.precision}.")
    if kind != "cpu" and name == "onnxruntime":
        raise ExtractorError(f"engine={name} runs on a CPU alone. Leave engine= out on {kind}.")
    if kind == "cpu" and name == "graph":
        raise ExtractorError("engine=graph captures a CUDA graph. Leave engine= out on a CPU.")
    if name == "eager" and network.eager is None:
        raise ExtractorError(f"engine=eager does not exist for {network.name}. Leave engine= out.")
    if kind != "cpu":
        return cuda_engine(network, spec, name, device)
    return _cpu_engine(network, spec, name)


def preferred_engine(kind: str, precision: str) -> str:
    """Return the name that "auto" stands for on a kind of device: the fastest that is installed."""
    if kind == "cuda":
        return "graph"
    if kind == "cpu" and precision == "float32" and find_spec("onnxruntime") and find_spec("onnx"):
        return "onnxruntime"
    return "folded"


def _cpu_engine(network: Network, spec: ExtractorSpec, name: str) -> Engine:
    """Return an engine of the CPU by its name."""
    threads = torch.get_num_threads()
    if name == "eager" and network.eager is not None:
        return _batched(network.prepare, name, network.eager("cpu"))
    if name == "onnxruntime":
        try:
            workers = min(threads, AT_WORK)
            session = _onnxruntime(onnx_model(network), workers)
            return _side_by_side(network.prepare, name, session, RUNTIME_BATCH, workers)
        except ImportError as error:
            raise ExtractorError(
                f"engine=onnxruntime needs the package {error.name}. Install it by pip install 'pytest-medgan[onnx]', "
                "or leave engine= out."
            ) from None
    folded = TorchNetwork(network, torch.bfloat16 if spec.precision == "bfloat16" else torch.float32)
    if name == "compiled":
        return _batched(network.prepare, name, torch.compile(folded, dynamic=False), pad=True)
    # each part has all of torch's threads, so on many cores parts would get into one another's way
    return _side_by_side(network.prepare, name, folded, CPU_BATCH, threads if threads <= AT_WORK else 1)


def _batched(
    prepare: Callable[[Tensor], Tensor],
    name: str,
    forward: Callable[[Tensor], Tensor],
    *,
    pad: bool = False,
) -> Engine:
    """Return an engine that computes one batch after another, each filled up where `pad` is set."""

    def stream(pixels: Tensor, size: int) -> Iterator[Tensor]:
        run = pad_batches(forward, size) if pad else forward
        for part in torch.split(pixels, size):
            with torch.inference_mode():  # not around the yield: the caller's code must not run in it
                features = run(prepare(part))
            yield features

    return Engine(name, CPU_BATCH, BLOCK, stream)


def _side_by_side(
    prepare: Callable[[Tensor], Tensor], name: str, forward: Callable[[Tensor], Tensor], batch: int, workers: int
) -> Engine:
    """Return an engine that computes several parts of a batch at a time."""

    def run(part: Tensor) -> Tensor:
        with torch.inference_mode():
            return forward(prepare(part))

    return Engine(name, batch, BLOCK, stream_side_by_side(run, workers))


def _onnxruntime(model: bytes, workers: int) -> Callable[[Tensor], Tensor]:
    """Return a session of ONNX Runtime as a function that so many threads call at a time."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    # all calls share the session's own threads, one fewer than this number, and each call has its caller's thread
    options.intra_op_num_threads = torch.get_num_threads() - workers + 1
    options.log_severity_level = 3  # errors only
    session: Any = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return lambda images: torch.from_numpy(session.run(None, {INPUT: images.numpy()})[0])
