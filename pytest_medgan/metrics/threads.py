"""How many of torch's threads a piece of work gets. The number is the whole process's: one changes it at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Lock
from typing import TypeVar

import torch

One = TypeVar("One")
Other = TypeVar("Other")

_changed = Lock()  # held while the number of threads is not the user's own


@contextmanager
def full_float32() -> Iterator[None]:
    """Matrix products in float32 proper: no TF32 or bfloat16, whatever the process has chosen."""
    chosen = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(chosen)


@contextmanager
def one_thread() -> Iterator[None]:
    """Eigenvalues on one thread: a second gains little there, and on a busy machine waiting for it costs eightfold."""
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


def side_by_side(one: Callable[[], One], other: Callable[[], Other], device: torch.device) -> tuple[One, Other]:
    """Both results. On a CPU each side gets half of the threads; on one thread, or a GPU, they take turns.

    Two halves do more than the whole in turns where a side gains little from more threads, as eigenvalues do. What
    either raises is raised when both have ended.
    """
    threads = torch.get_num_threads()
    if device.type != "cpu" or threads < 2 or not _changed.acquire(blocking=False):
        return one(), other()
    try:
        torch.set_num_threads(threads // 2)
        # chosen for both here, lest the side that ends first put back the process's choice under the other
        with full_float32(), ThreadPoolExecutor(1) as pool:
            beside = pool.submit(other)
            return one(), beside.result()
    finally:
        torch.set_num_threads(threads)
        _changed.release()
