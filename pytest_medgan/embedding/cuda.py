"""CUDA: pinned buffers, copies that overlap with computing, convolutions fused with their ReLU, one captured graph.

Before any of it is trusted, its features of the canned images are compared with torchvision's own pass on the CPU; an
engine that does not agree is an error, never a silent difference.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional

from pytest_medgan.embedding.arithmetic import arithmetic
from pytest_medgan.embedding.canned import canned_images
from pytest_medgan.embedding.engines import Engine, grey_convolutions, padded
from pytest_medgan.embedding.folded import FoldedInception
from pytest_medgan.embedding.inception import maps, prepare, to_three_channels
from pytest_medgan.embedding.spec import ExtractorSpec
from pytest_medgan.errors import ExtractorError

BATCH = 128
BLOCK = 1024
# relative to the eager float32 pass; the random network amplifies rounding more than a trained one
AGREEMENT = {"float32": 1e-3, "tf32": 3e-2, "bfloat16": 1e-1}

Forward = Callable[[Tensor], Tensor]  # uint8 [N,1,H,W] => float32 [N,2048], both on the device


class _FusedInception(FoldedInception):
    """Convolution, bias and ReLU as one cuDNN call."""

    def convolve(self, name: str, x: Tensor) -> Tensor:
        weight, bias = self.values(name)
        settings = self.convolutions[name]
        stride = [settings.stride, settings.stride]
        y = torch.cudnn_convolution_relu(x, weight, bias, stride, list(settings.padding), [1, 1], 1)
        return y.to(self.dtype)


def cuda_engine(network: nn.Module, spec: ExtractorSpec, name: str, device: str) -> Engine:
    """ "graph" (what auto takes), "folded", "compiled" or "eager" on a CUDA device.

    Raises ExtractorError where there is no such device, or where its features do not agree with the CPU's.
    """
    if not torch.cuda.is_available():
        raise ExtractorError("the extractor was asked to run on CUDA and torch sees no GPU; leave --medgan-device out")
    batch = spec.batch or BATCH
    forward = _agreeing(network, spec, name, torch.device(device))
    shape: tuple[int, ...] | None = None
    ready: Forward = forward

    def stream(pixels: Tensor, size: int) -> Iterator[Tensor]:
        nonlocal shape, ready
        wanted = (min(size, batch), *pixels.shape[1:])
        if shape != wanted:  # the batch shrank, or images of another size came
            if name == "graph":
                ready = forward  # lets the old graph's memory go
                ready = _capture(forward, wanted, torch.device(device), spec.precision)
            elif name == "compiled":
                ready = padded(forward, wanted[0])
            shape = wanted
        yield from _overlapped(ready, pixels, wanted[0], torch.device(device), spec.precision)

    return Engine(name, batch, BLOCK, stream)


def _agreeing(network: nn.Module, spec: ExtractorSpec, name: str, device: torch.device) -> Forward:
    """The first candidate that runs here and computes what the CPU computes. Raises ExtractorError when none does."""
    pixels = torch.from_numpy(canned_images())
    with torch.inference_mode():
        plain = maps(network, to_three_channels(prepare(pixels), spec.normalisation)).mean((2, 3))
    gaps = []
    for make in _candidates(network, spec, name, device):
        try:
            with torch.inference_mode(), arithmetic(spec.precision):
                forward = make()
                whole = padded(forward, spec.batch or BATCH) if name == "compiled" else forward  # compiles once
                ours = whole(pixels.to(device)).float().cpu()
        except torch.OutOfMemoryError:
            raise ExtractorError(f"eight images do not fit into the memory of {device.type}; free some") from None
        except RuntimeError:  # no such kernel for this device, layout or precision
            continue
        gap = float((torch.linalg.vector_norm(ours - plain, dim=1) / torch.linalg.vector_norm(plain, dim=1)).max())
        if gap <= AGREEMENT[spec.precision]:
            return forward
        gaps.append(f"{gap:.1e}")
    raise ExtractorError(
        f"no way to run engine={name} on {device.type} agrees with the CPU (gaps: {', '.join(gaps) or 'none ran'}); "
        "try engine=eager, or the CPU"
    )


def _candidates(
    network: nn.Module, spec: ExtractorSpec, name: str, device: torch.device
) -> Iterator[Callable[[], Forward]]:
    """What `name` may stand for, the fastest first."""
    if name == "eager":
        moved = copy.deepcopy(network).to(device)
        yield lambda: lambda pixels: maps(moved, to_three_channels(prepare(pixels), spec.normalisation)).mean((2, 3))
        return
    dtype = torch.bfloat16 if spec.precision == "bfloat16" else torch.float32
    convolutions = grey_convolutions(network, spec.normalisation)
    plain = FoldedInception(convolutions, dtype).to(device)
    if name == "compiled":
        run = torch.compile(plain, dynamic=False)
        yield lambda: lambda pixels: run(prepare(pixels))
        return
    fused = _FusedInception(convolutions, dtype).to(device)
    yield lambda: lambda pixels: fused(prepare(pixels))
    yield lambda: lambda pixels: plain(prepare(pixels))


def _capture(forward: Forward, shape: tuple[int, ...], device: torch.device, precision: str) -> Forward:
    """A CUDA graph of one batch: hundreds of launches become one. Warmed up on a side stream, as CUDA asks."""
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
    """Features batch by batch, while the next batch is on its way over and the last one on its way back."""
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
    """A batch on its way to the device, and the event that says it is there."""
    event = torch.cuda.Event()  # type: ignore[no-untyped-call]
    with torch.cuda.stream(copies):
        arrived = part.pin_memory().to(device, non_blocking=True)
        event.record(copies)
    return arrived, event


def _received(features: Tensor, done: torch.cuda.Event) -> Tensor:
    done.synchronize()
    return features
