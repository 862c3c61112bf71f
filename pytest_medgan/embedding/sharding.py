"""Embedding on several processes (`torchrun --nproc-per-node N ...`): each takes whole batches, all get everything.

The set is cut at multiples of the batch, so that every image stands in the batch it would stand in alone: the features
of N processes are those of one, to the bit where each has as many threads.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import distributed

from pytest_medgan.records import Float32


def place() -> tuple[int, int]:
    """This process's rank and the number of processes; (0, 1) where there is no process group."""
    if distributed.is_available() and distributed.is_initialized():
        return distributed.get_rank(), distributed.get_world_size()
    return 0, 1


def share(count: int, unit: int, rank: int, size: int) -> slice:
    """The rows of `count` that belong to `rank`: whole units, as even as they come."""
    units = -(-count // unit)
    first, last = units * rank // size, units * (rank + 1) // size
    return slice(min(first * unit, count), min(last * unit, count))


def everyone(mine: tuple[Float32, Float32 | None] | None) -> list[tuple[Float32, Float32 | None]]:
    """What every process computed, in order of rank; those that had nothing to do are left out."""
    _, size = place()
    parts: list[Any] = [None] * size
    distributed.all_gather_object(parts, mine)
    return [part for part in parts if part is not None]


@contextmanager
def processes() -> Iterator[tuple[int, int]]:
    """The process group that torchrun describes in the environment, for as long as the body runs: (rank, size).

    A group that is already there is used and left alone; without torchrun it is (0, 1).
    """
    waiting = "RANK" in os.environ and int(os.environ.get("WORLD_SIZE", "1")) > 1 and not distributed.is_initialized()
    if waiting:
        distributed.init_process_group("gloo")  # features are gathered on the host, on GPUs too
    try:
        yield place()
    finally:
        if waiting:
            distributed.destroy_process_group()


def local_device(device: str) -> str:
    """ "cuda" as this process's own GPU under torchrun; anything else as it is."""
    if device == "cuda" and "LOCAL_RANK" in os.environ:
        return f"cuda:{int(os.environ['LOCAL_RANK']) % max(torch.cuda.device_count(), 1)}"
    return device
