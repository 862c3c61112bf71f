"""Embed on several processes (`torchrun --nproc-per-node N ...`): each takes whole batches, all get all features.

A set is cut at multiples of the batch, so every image is in the batch that it would be in with one process. The
features of N processes are those of one, to the bit where each has as many threads.
"""

from __future__ import annotations

import atexit
import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any, TypeVar

import numpy as np
from torch import distributed

from pytest_medgan.errors import ExtractorError, MedganError
from pytest_medgan.ground.processes import started_by_torchrun
from pytest_medgan.records import UInt8

T = TypeVar("T")
_Part = dict[str, Any]
LOST = "Another process ended early. Read its own message for the reason."
FAREWELL = timedelta(seconds=10)  # how long one process waits for the others at the end


def place() -> tuple[int, int]:
    """Return this process's rank and the number of processes; (0, 1) where there is no process group."""
    if distributed.is_available() and distributed.is_initialized():
        return distributed.get_rank(), distributed.get_world_size()
    return 0, 1


def share(count: int, unit: int, rank: int, size: int) -> slice:
    """Return the rows of `count` that belong to `rank`: whole units, as evenly as possible."""
    units = -(-count // unit)
    first, last = units * rank // size, units * (rank + 1) // size
    return slice(min(first * unit, count), min(last * unit, count))


def shared(work: Callable[[], T], *, of: UInt8, by: str) -> list[T]:
    """Return what every process made of its share of the same images, in order of rank.

    An error in one process is raised in all of them, so that none waits for another.

    Args:
        work: Makes this process's part.
        of: All images, the same in every process.
        by: What is done with them, in words. Processes must agree on it: an answer of another step must not be joined.

    Raises:
        ExtractorError: A process failed or ended, or the processes have different images or steps.
    """
    _, size = place()
    if size == 1:
        return [work()]
    images = hashlib.sha256(np.ascontiguousarray(of).data).hexdigest()
    mine: _Part = {"images": images, "by": by, "answer": None, "trouble": None}
    failure: Exception | None = None
    try:
        mine["answer"] = work()
    except Exception as error:
        failure, mine["trouble"] = error, str(error) if isinstance(error, MedganError) else repr(error)
    parts: list[Any] = [None] * size
    try:
        distributed.all_gather_object(parts, mine)
    except RuntimeError as error:
        raise failure or ExtractorError(LOST) from error
    if failure is not None:
        raise failure
    for rank, part in enumerate(parts):
        if part["trouble"] is not None:
            raise ExtractorError(f"In process {rank} of {size}: {part['trouble']}")
    if len({part["by"] for part in parts}) > 1:
        raise ExtractorError("The processes compute different things. Start all of them with the same settings.")
    if len({part["images"] for part in parts}) > 1:
        raise ExtractorError(
            "The processes have different images. A generator must draw the same from one seed in all of them."
        )
    return [part["answer"] for part in parts]


def agreed(value: T) -> T:
    """Return the first process's value in all of them: values may differ in their last bits, a verdict must not."""
    if place()[1] == 1:
        return value
    box = [value]
    try:
        distributed.broadcast_object_list(box, src=0)
    except RuntimeError as error:
        raise ExtractorError(LOST) from error
    return box[0]


def join() -> None:
    """Join the process group of torchrun until this process ends; without torchrun do nothing.

    Workers of pytest-xdist stay outside: several of them would have one rank.
    """
    if _must_join() and "PYTEST_XDIST_WORKER" not in os.environ:
        atexit.register(_join_group())


def _join_group() -> Callable[[], None]:
    """Start the process group and return how to leave it.

    The processes leave together, because the first one may hold the store that all of them use. A process that the
    others keep waiting leaves alone, so that they notice.
    """
    distributed.init_process_group("gloo")  # features are gathered on the host, on GPUs too
    # a group of its own: of monitored_barrier, the first process alone heeds the timeout
    farewell: Any = distributed.new_group(timeout=FAREWELL)

    def leave() -> None:
        if distributed.is_initialized():
            with suppress(RuntimeError):  # another one has died, or is still at work
                distributed.barrier(farewell)
            distributed.destroy_process_group()

    return leave


def _must_join() -> bool:
    """Whether torchrun started this process and its group does not exist yet."""
    return started_by_torchrun() and not distributed.is_initialized()


@contextmanager
def processes() -> Iterator[tuple[int, int]]:
    """Hold the process group of torchrun while the body runs, and yield (rank, size).

    A group that exists already is used and kept; without torchrun the pair is (0, 1).
    """
    leave = _join_group() if _must_join() else None
    try:
        yield place()
    finally:
        if leave is not None:
            leave()
