"""What an engine is: one way to compute the features of a network."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace

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
    """Return a stream that computes as many batches at a time as there are workers, and yields them in order.

    A small network leaves most threads within a batch idle, or lets them wait for one another at full speed, which
    takes the cores from whatever else computes on the machine.

    Args:
        run: uint8 [n,C,H,W] -> features [n,D]; it is called in several threads.
        workers: Batches at a time.
    """

    def stream(pixels: Tensor, size: int) -> Iterator[Tensor]:
        begun: deque[Future[Tensor]] = deque()
        with ThreadPoolExecutor(workers) as pool:
            for part in torch.split(pixels, size):
                begun.append(pool.submit(run, part))
                if len(begun) > workers:
                    yield begun.popleft().result()
            while begun:
                yield begun.popleft().result()

    return stream


def pad_batches(forward: Callable[[Tensor], Tensor], size: int) -> Callable[[Tensor], Tensor]:
    """Return `forward` with every batch filled up to `size` images, so that it is compiled once for each size."""

    def run(images: Tensor) -> Tensor:
        short = size - len(images)
        whole = torch.cat([images, images[-1:].expand(short, -1, -1, -1)]) if short > 0 else images
        result: Tensor = forward(whole)[: len(images)]
        return result

    return run
