"""Distribute work over processes with loky: it does not rerun the caller's main module and does not fork."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from queue import Empty
from types import TracebackType
from typing import Any, Self, TypeVar

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


class Pool:
    """Worker processes that several calls share; they start with the first call and end with the context.

    Args:
        workers: Processes to start.
        environment: Variables set in the workers.
    """

    def __init__(self, workers: int, environment: Mapping[str, str] | None = None) -> None:
        self._workers = workers
        self._environment = dict(environment or {})
        self._executor: Any = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close(kill=kind is not None)

    def close(self, *, kill: bool = False) -> None:
        """End the workers; `kill` does not wait for the chunks that they process. The next call starts new ones."""
        executor, self._executor = self._executor, None
        if executor is None:
            return
        if kill:  # what was not handed over yet: loky's thread would look for it after it has forgotten it, and fail
            with suppress(Empty):
                while True:
                    executor._work_ids.get_nowait()
        executor.shutdown(wait=True, kill_workers=kill)

    def stream(
        self,
        work: Callable[[Item], Result],
        items: Sequence[Item],
        *,
        chunk: int = 1,
        timeout: float | None = None,
    ) -> Iterator[list[Result]]:
        """Apply a function to every item, in worker processes.

        Args:
            work: A function of a module; arguments and results are pickled.
            items: The arguments, one per call.
            chunk: Items handed over at a time.
            timeout: Seconds that one chunk may take; None waits without a limit.

        Yields:
            The results of chunk after chunk, in the order of the items.

        Raises:
            WorkerLostError: A worker was killed, crashed or exceeded `timeout`; all workers are ended.
            Exception: What `work` raised for the first failing item, in the order of the items.
        """
        from joblib.externals.loky import ProcessPoolExecutor, TimeoutError
        from joblib.externals.loky.process_executor import TerminatedWorkerError

        if self._executor is None:
            self._executor = ProcessPoolExecutor(max_workers=self._workers, env=self._environment)
        starts = range(0, len(items), chunk)
        futures = [self._executor.submit(_apply, work, list(items[start : start + chunk])) for start in starts]
        try:
            for start, future in zip(starts, futures, strict=True):
                try:
                    results: list[Result] = future.result(timeout)
                except (TerminatedWorkerError, TimeoutError) as error:
                    self.close(kill=True)
                    raise WorkerLostError(start, min(chunk, len(items) - start)) from error
                yield results
        finally:
            if not all(future.done() for future in futures):  # an error or the caller left them
                self.close(kill=True)


def _keep_worker() -> None:
    """Keep the worker process that calls this, however much memory it takes.

    Where psutil is installed, loky takes a worker that has grown by 300 MB for one that leaks memory, and replaces it
    with a warning. A worker that holds a model or a large study grows that much, and where warnings are errors, as
    pytest can make them, the warning ends loky's own thread: what the worker was given is then never answered.
    """
    from joblib.externals.loky import process_executor

    process_executor._USE_PSUTIL = False


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
    """Apply a function to every item, in worker processes that end with this call.

    Args:
        work: A function of a module; arguments and results are pickled.
        items: The arguments, one per call.
        workers: Processes to start; None starts one per core, at most one per chunk.
        chunk: Items handed over at a time.
        timeout: Seconds that one chunk may take; None waits without a limit.
        what: The activity, for `progress`.
        progress: Called with the number of items done.
        environment: Variables set in the workers.

    Returns:
        The results in the order of the items.

    Raises:
        WorkerLostError: A worker was killed, crashed or exceeded `timeout`.
        Exception: What `work` raised for the first failing item, in the order of the items.
    """
    count = min(workers or available_cores(), max(-(-len(items) // chunk), 1))
    results: list[Result] = []
    progress(what, 0, len(items))
    with Pool(count, environment) as pool:
        for part in pool.stream(work, items, chunk=chunk, timeout=timeout):
            results += part
            progress(what, len(results), len(items))
    return results


def _apply(work: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
    """Apply `work` to each item, in a worker."""
    _keep_worker()
    return [work(item) for item in items]
