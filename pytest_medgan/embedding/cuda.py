"""CUDA: pinned buffers, copies that overlap with computing, convolutions fused with their ReLU, one captured graph.

Before any of it is used, its features of the canned images are compared with a plain pass on the CPU. An engine that
does not agree is an error, never a silent difference.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor
from torch.nn import functional

from pytest_medgan.embedding.arithmetic import arithmetic
from pytest_medgan.embedding.canned import canned_images
from pytest_medgan.embedding.engine import Engine, pad_batches
from pytest_medgan.embedding.operations import Network
from pytest_medgan.embedding.spec import ExtractorSpec
from pytest_medgan.embedding.torch_network import TorchNetwork
from pytest_medgan.errors import ExtractorError

BATCH = 128
BLOCK = 1024
# relative to the pass on the CPU in float32; a random network amplifies rounding more than a trained one
AGREEMENT = {"float32": 1e-3, "tf32": 3e-2, "bfloat16": 1e-1}

Forward = Callable[[Tensor], Tensor]  # uint8 [N,C,H,W] => float32 [N,D], both on the device


class _FusedNetwork(TorchNetwork):
    """Convolution, bias and ReLU as one cuDNN call, where the activation is a ReLU."""

    def convolve(self, name: str, x: Tensor) -> Tensor:
        """Return the convolution `name` and its activation."""
        settings = self.settings[name]
        top, left, bottom, right = settings.padding
        if settings.activation != "relu" or (top, left) != (bottom, right):
            return super().convolve(name, x)
        weight, bias = self.values(name)
        stride = [settings.stride, settings.stride]
        y = torch.cudnn_convolution_relu(x, weight, bias, stride, [top, left], [1, 1], settings.groups)
        return y.to(self.dtype)


def cuda_engine(network: Network, spec: ExtractorSpec, name: str, device: str) -> Engine:
    """Return "graph" (what auto stands for), "folded", "compiled" or "eager" on a CUDA device.

    Raises:
        ExtractorError: There is no such device, or its features do not agree with the CPU's.
    """
    if not torch.cuda.is_available():
        raise ExtractorError("The extractor is to run on CUDA and torch sees no GPU. Leave --medgan-device out.")
    batch = spec.batch or BATCH
    forward = _first_in_agreement(network, spec, name, torch.device(device))
    shape: tuple[int, ...] | None = None
    ready: Forward = forward

    def stream(pixels: Tensor, size: int) -> Iterator[Tensor]:
        nonlocal shape, ready
        wanted = (min(size, batch), *pixels.shape[1:])
        if shape != wanted:  # the batch shrank, or images of another size came
            if name == "graph":
                ready = forward  # frees the old graph's memory
                ready = _capture(forward, wanted, torch.device(device), spec.precision)
            elif name == "compiled":
                ready = pad_batches(forward, wanted[0])
            shape = wanted
        yield from _overlapped(ready, pixels, wanted[0], torch.device(device), spec.precision)

    return Engine(name, batch, BLOCK, stream)


def _first_in_agreement(network: Network, spec: ExtractorSpec, name: str, device: torch.device) -> Forward:
    """Return the first candidate that runs here and computes what the CPU computes.

    Raises:
        ExtractorError: None does.
    """
    pixels = torch.from_numpy(canned_images()).expand(-1, network.channels, -1, -1).contiguous()
    with torch.inference_mode():
        plain = TorchNetwork(network) if network.eager is None else network.eager("cpu")
        expected = plain(network.prepare(pixels))
    gaps = []
    for make in _candidates(network, spec, name, device):
        try:
            with torch.inference_mode(), arithmetic(spec.precision):
                forward = make()
                whole = pad_batches(forward, spec.batch or BATCH) if name == "compiled" else forward  # compiles once
                found = whole(pixels.to(device)).float().cpu()
        except torch.OutOfMemoryError:
            raise ExtractorError(
                f"Eight images do not fit into the memory of {device.type}. Free some of it."
            ) from None
        except RuntimeError:  # no such kernel for this device, layout or precision
            continue
        apart = torch.linalg.vector_norm(found - expected, dim=1) / torch.linalg.vector_norm(expected, dim=1)
        gap = float(apart.max())
        if gap <= AGREEMENT[spec.precision]:
            return forward
        gaps.append(f"{gap:.1e}")
    raise ExtractorError(
        f"engine={name} on {device.type} does not agree with the CPU (gaps: {', '.join(gaps) or 'none ran'}). "
        "Use engine=folded, or the CPU."
    )


def _candidates(
    network: Network, spec: ExtractorSpec, name: str, device: torch.device
) -> Iterator[Callable[[], Forward]]:
    """Yield what `name` may stand for, the fastest first."""
    if name == "eager" and network.eager is not None:
        moved = network.eager(str(device))
        yield lambda: lambda pixels: moved(network.prepare(pixels))
        return
    dtype = torch.bfloat16 if spec.precision == "bfloat16" else torch.float32
    plain = TorchNetwork(network, dtype).to(device)
    if name == "compiled":
        run = torch.compile(plain, dynamic=False)
        yield lambda: lambda pixels: run(network.prepare(pixels))
        return
    fused = _FusedNetwork(network, dtype).to(device)
    yield lambda: lambda pixels: fused(network.prepare(pixels))
    yield lambda: lambda pixels: plain(network.prepare(pixels))


def _capture(forward: Forward, shape: tuple[int, ...], device: torch.device, precision: str) -> Forward:
    """Return a CUDA graph of one batch, in place of hundreds of launches; CUDA wants it warmed up on a side stream."""
    given = torch.zeros(shape, dtype=torch.uint8, device=device)
    side = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
    side.wait_stream(torch.cuda.current_stream(device))
    with torch.inference_mode(), arithmetic(precision):
        with torch.cuda.stream(side):
            for _ in range(3):
                forward(given)
        torch.cuda.current_stream(device).wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            result = forward(given)

    def replay(pixels: Tensor) -> Tensor:
        short = shape[0] - len(pixels)
        given.copy_(functional.pad(pixels, (0, 0, 0, 0, 0, 0, 0, short)) if short else pixels)
        graph.replay()
        return result[: len(pixels)].clone()  # the next replay writes over it

    return replay


def _overlapped(forward: Forward, pixels: Tensor, batch: int, device: torch.device, precision: str) -> Iterator[Tensor]:
    """Yield features batch by batch, copying the next batch to the device and the last one back meanwhile."""
    copies, compute = torch.cuda.Stream(device), torch.cuda.current_stream(device)  # type: ignore[no-untyped-call]
    parts = torch.split(pixels, batch)
    waiting: tuple[Tensor, torch.cuda.Event] | None = None
    upcoming = _send(parts[0], copies, device)
    for index in range(len(parts)):
        arrived, sent = upcoming
        if index + 1 < len(parts):
            upcoming = _send(parts[index + 1], copies, device)
        compute.wait_event(sent)
        arrived.record_stream(compute)
        with torch.inference_mode(), arithmetic(precision):
            features = forward(arrived)
            back = torch.empty(features.shape, dtype=torch.float32, pin_memory=True)
            back.copy_(features, non_blocking=True)
        done = torch.cuda.Event()  # type: ignore[no-untyped-call]
        done.record(compute)
        if waiting is not None:
            yield _received(*waiting)
        waiting = back, done
    if waiting is not None:
        yield _received(*waiting)


def _send(part: Tensor, copies: torch.cuda.Stream, device: torch.device) -> tuple[Tensor, torch.cuda.Event]:
    """Start copying a batch to the device; return it and the event that follows the copy."""
    event = torch.cuda.Event()  # type: ignore[no-untyped-call]
    with torch.cuda.stream(copies):
        arrived = part.pin_memory().to(device, non_blocking=True)
        event.record(copies)
    return arrived, event


def _received(features: Tensor, done: torch.cuda.Event) -> Tensor:
    """Return features once their copy has ended."""
    done.synchronize()
    return features
