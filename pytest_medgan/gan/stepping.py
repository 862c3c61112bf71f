"""Run a trainer's steps one by one: eagerly anywhere, as replayed CUDA graphs on one GPU.

A step is split in two. `inputs` draws everything random on the CPU, a function of the seed and the step alone; `update`
computes on the device and never waits for it. Small networks spend most of a GPU step on launching kernels; a graph
launches them all at once.
"""

from __future__ import annotations

import gc
from collections.abc import Hashable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Protocol

import torch
from torch import Tensor

AHEAD = 64  # steps whose inputs are drawn and copied to the GPU together
WARM_UP = 2  # steps of a mode that run eagerly before it is captured: libraries allocate and choose algorithms then


class Steps(Protocol):
    """Offer the steps of a training."""

    @property
    def device(self) -> torch.device:
        """Where the networks are."""
        ...

    @property
    def steps(self) -> int:
        """Generator updates at most."""
        ...

    def mode(self, step: int) -> tuple[Hashable, Hashable]:
        """Return the name of the step's shapes, and within these the name of its kernels."""
        ...

    def inputs(self, steps: range) -> dict[str, Tensor]:
        """Return random numbers and the schedule's for steps of equal shapes, [len(steps), ...], on the CPU."""
        ...

    def update(self, step: int, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Update the networks from inputs on the device; return the losses, detached."""
        ...


class Eager:
    """Run each step by its own calls."""

    def __init__(self, trainer: Steps) -> None:
        self._trainer = trainer

    def step(self, step: int) -> dict[str, Tensor]:
        """Run update number `step` (from 0) and return its losses."""
        trainer = self._trainer
        drawn = trainer.inputs(range(step, step + 1))
        inputs = {name: rows[0].to(trainer.device) for name, rows in drawn.items()}
        return trainer.update(step, inputs)


class Replayed:
    """Run steps as CUDA graphs: the same kernels and numbers, launched by one call.

    Use it within `own_stream`. Inputs of the next `AHEAD` steps are drawn by a thread while the GPU works.
    """

    def __init__(self, trainer: Steps) -> None:
        self._trainer = trainer
        self._drawer = ThreadPoolExecutor(1)
        self._drawn: tuple[range, Future[dict[str, Tensor]]] | None = None
        self._loaded = range(0)  # steps whose inputs lie in the buffers
        self._shapes: Hashable = None
        self._buffers: dict[str, Tensor] = {}  # each [AHEAD, ...]
        self._at = torch.zeros(1, dtype=torch.int64, device=trainer.device)  # row of the buffers to read next
        self._seen: dict[Hashable, int] = {}  # kernels -> steps run eagerly
        self._graphs: dict[Hashable, tuple[torch.cuda.CUDAGraph, tuple[str, ...], Tensor]] = {}

    def step(self, step: int) -> dict[str, Tensor]:
        """Run update number `step` (from 0) and return its losses."""
        shapes, kernels = self._trainer.mode(step)
        if shapes != self._shapes:
            torch.cuda.current_stream().synchronize()  # graphs still at work must not be freed
            self._shapes, self._seen, self._graphs, self._buffers = shapes, {}, {}, {}
            self._loaded = range(0)
        if step not in self._loaded:
            self._load(step)
        if self._seen.get(kernels, 0) < WARM_UP:
            self._seen[kernels] = self._seen.get(kernels, 0) + 1
            return self._update(step)
        if kernels not in self._graphs:
            self._graphs[kernels] = self._capture(step)
        graph, names, losses = self._graphs[kernels]
        graph.replay()
        return dict(zip(names, losses.clone(), strict=True))

    def _update(self, step: int) -> dict[str, Tensor]:
        """Run a step on the buffers' next row."""
        inputs = {name: rows.index_select(0, self._at)[0] for name, rows in self._buffers.items()}
        losses = self._trainer.update(step, inputs)
        self._at += 1
        return losses

    def _capture(self, step: int) -> tuple[torch.cuda.CUDAGraph, tuple[str, ...], Tensor]:
        """Record a step without running it."""
        if self._drawn is not None:
            self._drawn[1].result()  # the thread claims pinned memory, which is better done outside a recording
        graph = torch.cuda.CUDAGraph()
        gc.disable()  # a tensor that the collector frees meanwhile would end the recording
        try:
            graph.capture_begin(capture_error_mode="thread_local")
            try:
                losses = self._update(step)
                kept = torch.stack([loss.float() for loss in losses.values()])
            finally:
                graph.capture_end()
        finally:
            gc.enable()
        return graph, tuple(losses), kept

    def _load(self, step: int) -> None:
        """Fill the buffers with the inputs of `step` and those after it, and have the next ones drawn."""
        steps = self._span(step)
        if self._drawn is None or self._drawn[0] != steps:
            self._drawn = (steps, self._drawer.submit(self._draw, steps))
        drawn = self._drawn[1].result()
        if not self._buffers:
            self._buffers = {
                name: torch.zeros((AHEAD, *rows.shape[1:]), dtype=rows.dtype, device=self._trainer.device)
                for name, rows in drawn.items()
            }
        for name, rows in drawn.items():
            self._buffers[name][: len(rows)].copy_(rows, non_blocking=True)
        self._at.zero_()
        self._loaded = steps
        following = self._span(steps.stop) if steps.stop < self._trainer.steps else None
        self._drawn = None if following is None else (following, self._drawer.submit(self._draw, following))

    def _span(self, first: int) -> range:
        """Return the steps from `first` that share its shapes, at most AHEAD."""
        shapes = self._trainer.mode(first)[0]
        stop = first + 1
        while stop < min(first + AHEAD, self._trainer.steps) and self._trainer.mode(stop)[0] == shapes:
            stop += 1
        return range(first, stop)

    def _draw(self, steps: range) -> dict[str, Tensor]:
        """Return the inputs of several steps in memory that the GPU can read while it works."""
        return {name: rows.contiguous().pin_memory() for name, rows in self._trainer.inputs(steps).items()}


def stepper(trainer: Steps, *, graph: bool) -> Eager | Replayed:
    """Return the way to run a trainer's steps; graphs only where they are wanted and the trainer is on a GPU."""
    return Replayed(trainer) if graph and trainer.device.type == "cuda" else Eager(trainer)


@contextmanager
def own_stream(device: torch.device) -> Iterator[None]:
    """Run the body's GPU work in one stream of its own, which a graph needs; nothing changes on the CPU."""
    if device.type != "cuda":
        yield
        return
    stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
    stream.wait_stream(torch.cuda.current_stream(device))
    with torch.cuda.stream(stream):
        yield
    torch.cuda.current_stream(device).wait_stream(stream)
