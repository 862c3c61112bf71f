"""Embedding on several processes (`torchrun --nproc-per-node N ...`): each takes whole batches, all get everything.

The set is cut at multiples of the batch, so that every image stands in the batch it would stand in alone: the features
of N processes are those of one, to the bit where each has as many threads.
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
import torch
from torch import distributed

from pytest_medgan.errors import ExtractorError, MedganError
from pytest_medgan.records import UInt8

T = TypeVar("T")
_Part = dict[str, Any]
LOST = "another process has left early; what it says itself tells why"
FAREWELL = timedelta(seconds=10)  # that one process waits for the others at the end


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


def shared(work: Callable[[], T], *, of: UInt8, by: str) -> list[T]:
    """What every process made of its share of the images `of`, in order of rank; `by` names what is done with them.

    What goes wrong in one process is raised in all of them, so that none waits for another. Raises ExtractorError where
    the processes do not have the same images, or do not do the same with them: one that has left out a step, or taken
    one more, must not have its answer joined to others.
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
            raise ExtractorError(f"process {rank} of {size}: {part['trouble']}")
    if len({part["by"] for part in parts}) > 1:
        raise ExtractorError("the processes have parted: each does something else with its images; start all alike")
    if len({part["images"] for part in parts}) > 1:
        raise ExtractorError(
            "the processes have different images; a generator must draw the same from one seed in all of them"
        )
    return [part["answer"] for part in parts]


def agreed(value: T) -> T:
    """The first process's value, in all of them: what each has computed may differ in the last bits between machines,
    and a verdict must not."""
    if place()[1] == 1:
        return value
    box = [value]
    try:
        distributed.broadcast_object_list(box, src=0)
    except RuntimeError as error:
        raise ExtractorError(LOST) from error
    return box[0]


def join() -> None:
    """Joins the processes that torchrun started, for as long as this one lives; without torchrun it does nothing.

    Workers of pytest-xdist stay outside: several would stand in one place.
    """
    if _waiting() and "PYTEST_XDIST_WORKER" not in os.environ:
        atexit.register(_meet())


def _meet() -> Callable[[], None]:
    """Starts the process group; returns how to leave it: together where the others come too, since the first process
    may hold what all of them meet by, and alone where they are still at work, so that they learn of it."""
    distributed.init_process_group("gloo")  # features are gathered on the host, on GPUs too
    # a group of its own: of monitored_barrier, the first process alone heeds the timeout
    farewell: Any = distributed.new_group(timeout=FAREWELL)

    def leave() -> None:
        if distributed.is_initialized():
            with suppress(RuntimeError):  # another one has died, or is still at work
                distributed.barrier(farewell)
            distributed.destroy_process_group()

    return leave


def _waiting() -> bool:
    """Whether torchrun's environment describes a group that is not there yet."""
    return "RANK" in os.environ and int(os.environ.get("WORLD_SIZE", "1")) > 1 and not distributed.is_initialized()


@contextmanager
def processes() -> Iterator[tuple[int, int]]:
    """The process group that torchrun describes in the environment, for as long as the body runs: (rank, size).

    A group that is already there is used and left alone; without torchrun it is (0, 1).
    """
    leave = _meet() if _waiting() else None
    try:
        yield place()
    finally:
        if leave is not None:
            leave()


def local_device(device: str) -> str:
    """ "cuda" as this process's own GPU under torchrun; anything else as it is."""
    if device == "cuda" and "LOCAL_RANK" in os.environ:
        return f"cuda:{int(os.environ['LOCAL_RANK']) % max(torch.cuda.device_count(), 1)}"
    return device
