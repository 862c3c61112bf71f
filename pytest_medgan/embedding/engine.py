"""What an engine is: one way to compute the features of a network."""

from __future__ import annotations

from collections.abc import Callable, Iterator
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


def pad_batches(forward: Callable[[Tensor], Tensor], size: int) -> Callable[[Tensor], Tensor]:
    """Return `forward` with every batch filled up to `size` images, so that it is compiled once for each size."""

    def run(images: Tensor) -> Tensor:
        short = size - len(images)
        whole = torch.cat([images, images[-1:].expand(short, -1, -1, -1)]) if short > 0 else images
        result: Tensor = forward(whole)[: len(images)]
        return result

    return run
