"""Control how many of torch's threads a task uses.

Torch keeps one number of threads for the whole process, so only one caller may change it at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Lock
from typing import Any, TypeVar

import torch

T = TypeVar("T")
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
    """Run on one thread, for tasks that gain little from a second one.

    Eigenvalue solvers are such tasks: on a busy machine they wait for the second thread and take up to eight times as
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


def run_tasks(tasks: Sequence[Callable[[], T]], device: torch.device) -> list[T]:
    """Return the results of all tasks, of which two run at a time on a CPU with several threads.

    Each of the two gets half of the threads. This is faster than one task after the other if a task gains little from
    more threads, as eigenvalue solvers do. On one thread, on a GPU, or inside another call, tasks run one by one.

    Args:
        tasks: Started in this order. One that needs the result of another waits for it by itself.
        device: The device that all of them work on.

    Returns:
        The results in the order of the tasks. An exception is raised after the other running task has ended.
    """
    threads = torch.get_num_threads()
    if device.type != "cpu" or threads < 2 or len(tasks) < 2 or not _changed.acquire(blocking=False):
        return [task() for task in tasks]
    results: dict[int, T] = {}
    waiting, taking = iter(enumerate(tasks)), Lock()

    def work() -> None:
        while True:
            with taking:
                place, task = next(waiting, (-1, None))
            if task is None:
                return
            results[place] = task()

    try:
        torch.set_num_threads(threads // 2)
        # set here for both: the task that ends first must not reset the precision of the other
        with full_float32(), ThreadPoolExecutor(1) as pool:
            other = pool.submit(work)
            work()
            other.result()
    finally:
        torch.set_num_threads(threads)
        _changed.release()
    return [results[place] for place in range(len(tasks))]


def run_side_by_side(
    first: Callable[[], First], second: Callable[[], Second], device: torch.device
) -> tuple[First, Second]:
    """Return the results of two tasks of `run_tasks`."""
    tasks: list[Callable[[], Any]] = [first, second]
    found = run_tasks(tasks, device)
    return found[0], found[1]
