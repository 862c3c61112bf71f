"""Share work among processes with loky, which never runs the caller's main module again and never forks threads."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from pytest_medgan.ground.processes import available_cores
from pytest_medgan.records.arrays import Progress, no_progress

Item = TypeVar("Item")
Result = TypeVar("Result")


class WorkerLostError(Exception):
    """A worker process ended or did not answer in time while it held the given chunk."""

    def __init__(self, first: int, count: int) -> None:
        super().__init__(f"items {first} to {first + count - 1}")
        self.first = first  # index of the chunk's first item
        self.count = count  # items in the chunk


def map_in_processes(
    work: Callable[[Item], Result],
    items: Sequence[Item],
    *,
    workers: int | None = None,
    chunk: int = 1,
    timeout: float | None = None,
    what: str = "",
    progress: Progress = no_progress,
    environment: Mapping[str, str] | None = None,
) -> list[Result]:
    """Apply a function to every item, in worker processes.

    Args:
        work: A function of a module; arguments and results are pickled.
        items: The arguments, one per call.
        workers: Processes to start; None starts one per core, at most one per chunk.
        chunk: Items handed over at a time.
        timeout: Seconds that one chunk may take; None waits for ever.
        what: The activity, for `progress`.
        progress: Called with the number of items done.
        environment: Variables set in the workers.

    Returns:
        The results in the order of the items.

    Raises:
        WorkerLostError: A worker was killed, crashed or exceeded `timeout`.
        Exception: What `work` raised for the first failing item, in the order of the items.
    """
    from joblib.externals.loky import ProcessPoolExecutor, TimeoutError
    from joblib.externals.loky.process_executor import TerminatedWorkerError

    starts = range(0, len(items), chunk)
    count = min(workers or available_cores(), max(len(starts), 1))
    results: list[Result] = []
    executor = ProcessPoolExecutor(max_workers=count, env=dict(environment or {}))
    finished = False
    try:
        futures = [executor.submit(_apply, work, list(items[start : start + chunk])) for start in starts]
        progress(what, 0, len(items))
        for start, future in zip(starts, futures, strict=True):
            size = min(chunk, len(items) - start)
            try:
                results += future.result(timeout)
            except (TerminatedWorkerError, TimeoutError) as error:
                raise WorkerLostError(start, size) from error
            progress(what, len(results), len(items))
        finished = True
    finally:
        executor.shutdown(wait=True, kill_workers=not finished)
    return results


def _apply(work: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
    """Apply `work` to each item, in a worker."""
    return [work(item) for item in items]
