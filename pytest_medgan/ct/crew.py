"""Process the files of one folder, in this process or in several workers."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from pytest_medgan.errors import DataError
from pytest_medgan.ground.pool import Pool, WorkerLostError
from pytest_medgan.ground.processes import available_cores
from pytest_medgan.records import Progress

Item = TypeVar("Item")
Result = TypeVar("Result")

_CHUNK = 16  # items handed over at a time
_PATIENCE = 300.0  # seconds for one chunk; a slice takes milliseconds
_MOST = 8  # workers; the disk is no faster with more
WORTH_WORKERS = 600  # files; below this a worker's start costs more than it saves


def worker_count(files: int) -> int:
    """Return how many workers to start for `files` files; 0 if this process alone is fastest."""
    cores = available_cores()
    return min(cores, _MOST) if files >= WORTH_WORKERS and cores > 1 and sys.executable else 0


class Crew:
    """Workers that process the files under one root. `map` keeps the order of results and raises the first error.

    Args:
        root: The folder; it is the first argument of every piece of work.
        workers: Processes; 0 works in this process.
    """

    def __init__(self, root: Path, workers: int) -> None:
        self._root = root
        self._workers = workers
        self._pool = Pool(max(workers, 1))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.__exit__(kind, error, trace)

    def map(
        self,
        work: Callable[[Path, Item], Result],
        items: Sequence[Item],
        *,
        what: str,
        progress: Progress,
        apart: bool = False,
    ) -> list[Result]:
        """Apply `work(root, item)` to every item.

        Args:
            work: A function of a module; items and results are pickled where workers do the work.
            items: What to work on; an error names the attribute `file` of an item that has one.
            what: The activity, for `progress`.
            progress: Called with the number of items done.
            apart: Keep the work out of this process even for few items: a damaged file can crash a decoder written in
                C, or hang it, and then only the worker ends.

        Raises:
            DataError: A worker was lost on an item, even when it had the item alone.
            Exception: What the first failing item raised, in the order of the items.
        """
        task = partial(work, self._root)
        results: list[Result] = []
        progress(what, 0, len(items))
        if not apart and (not self._workers or len(items) <= _CHUNK):
            for number, item in enumerate(items, start=1):
                results.append(task(item))
                if number % _CHUNK == 0:
                    progress(what, number, len(items))
            if len(items) % _CHUNK:
                progress(what, len(items), len(items))
            return results
        try:
            for part in self._pool.stream(task, items, chunk=_CHUNK, timeout=_PATIENCE):
                results += part
                progress(what, len(results), len(items))
        except WorkerLostError:
            # the worker held several items: one at a time shows which one it was
            for item in items[len(results) :]:
                results.append(self._alone(task, item))
                progress(what, len(results), len(items))
        return results

    def _alone(self, task: Callable[[Item], Result], item: Item) -> Result:
        """Apply `task` to one item in a worker of its own."""
        try:
            with Pool(1) as pool:
                ((result,),) = pool.stream(task, [item], timeout=_PATIENCE)
        except WorkerLostError as error:
            file = getattr(item, "file", None)
            raise DataError(
                "A decoder crashed or hung on a file. Copy it again, or leave it out.",
                file=file if isinstance(file, str) else None,
            ) from error
        return result
