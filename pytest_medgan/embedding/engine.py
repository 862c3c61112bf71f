"""What an engine is: one way to compute the features of a network."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from os import getpid

import torch
from torch import Tensor

# (uint8 [N,C,H,W] on the CPU, images at once) -> float32 features of one batch after another, on the CPU
TensorStream = Callable[[Tensor, int], Iterator[Tensor]]


@dataclass(frozen=True, eq=False)
class Engine:
    """One way to compute features."""

    name: str
    batch: int  # images at once that suit it
    block: int  # images it is best handed together
    stream: TensorStream


def add_colour_engine(grey: Engine, make: Callable[[], Engine]) -> Engine:
    """Return an engine for grey images and for colours.

    Args:
        grey: The engine of grey images.
        make: Makes the engine of colours, when the first come.
    """
    made: list[Engine] = []

    def stream(pixels: Tensor, size: int) -> Iterator[Tensor]:
        if pixels.shape[1] == 1:
            yield from grey.stream(pixels, size)
            return
        if not made:
            made.append(make())
        yield from made[0].stream(pixels, size)

    return replace(grey, stream=stream)


def stream_side_by_side(run: Callable[[Tensor], Tensor], workers: int) -> TensorStream:
    """Return a stream that divides each batch among threads and yields their answers in order.

    Layers of a small network are too small for several threads, and threads that wait for one another keep their cores
    busy.

    Args:
        run: uint8 [n,C,H,W] -> features [n,D]; it is called in several threads.
        workers: Parts of a batch computed at a time; a batch of one image is computed alone.
    """
    pools: dict[int, ThreadPoolExecutor] = {}  # one for the engine's life: new threads would take memory of their own

    def stream(pixels: Tensor, size: int) -> Iterator[Tensor]:
        at_once = min(workers, size)
        ahead = at_once + 1 if at_once == workers else at_once  # one waits for a thread while the caller is busy
        pool = pools.get(getpid())  # a forked process has none of its parent's threads
        if pool is None:
            pools.clear()
            pool = pools[getpid()] = ThreadPoolExecutor(workers)
        begun: deque[Future[Tensor]] = deque()
        try:
            for batch in torch.split(pixels, size):
                for part in torch.split(batch, size // at_once):
                    if len(begun) == ahead:
                        yield begun.popleft().result()
                    begun.append(pool.submit(run, part))
            while begun:
                yield begun.popleft().result()
        finally:  # after an error nothing more is begun, and nothing is left at work
            for future in begun:
                future.cancel()
            wait(begun)

    return stream


def pad_batches(forward: Callable[[Tensor], Tensor], size: int) -> Callable[[Tensor], Tensor]:
    """Return `forward` with every batch filled up to `size` images, so that it is compiled once for each size."""

    def run(images: Tensor) -> Tensor:
        short = size - len(images)
        whole = torch.cat([images, images[-1:].expand(short, -1, -1, -1)]) if short > 0 else images
        result: Tensor = forward(whole)[: len(images)]
        return result

    return run
