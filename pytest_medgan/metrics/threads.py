"""How many of torch's threads a piece of work gets.

Torch keeps one number of threads for the whole process, so only one caller may change it at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Lock
from typing import TypeVar

import torch

First = TypeVar("First")
Second = TypeVar("Second")

_changed = Lock()  # held while the number of threads differs from the user's choice


@contextmanager
def full_float32() -> Iterator[None]:
    """Multiply matrices in float32 without TF32 or bfloat16, whatever the process has chosen."""
    chosen = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(chosen)


@contextmanager
def one_thread() -> Iterator[None]:
    """Run on one thread, where a second one gains little.

    Eigenvalue solvers are the case: on a busy machine they wait for the second thread and take up to eight times as
    long.
    """
    if not _changed.acquire(blocking=False):
        yield
        return
    chosen = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(chosen)
        _changed.release()


def run_side_by_side(
    first: Callable[[], First], second: Callable[[], Second], device: torch.device
) -> tuple[First, Second]:
    """Return the results of both functions, which run at the same time on a CPU with several threads.

    Each gets half of the threads: two halves finish sooner than two turns where a function gains little from more
    threads, as eigenvalue solvers do. On one thread, on a GPU, or inside another call they take turns.

    Args:
        first: Runs in the calling thread.
        second: Runs in a thread of its own where the two run at the same time.
        device: The device that both work on.

    Returns:
        Both results. An exception of either is raised after both have ended.
    """
    threads = torch.get_num_threads()
    if device.type != "cpu" or threads < 2 or not _changed.acquire(blocking=False):
        return first(), second()
    try:
        torch.set_num_threads(threads // 2)
        # chosen here for both: the one that ends first must not reset the precision under the other
        with full_float32(), ThreadPoolExecutor(1) as pool:
            pending = pool.submit(second)
            return first(), pending.result()
    finally:
        torch.set_num_threads(threads)
        _changed.release()
