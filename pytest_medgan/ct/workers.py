"""Work spread over processes of our own.

multiprocessing would import the caller's main module again, which a script without a `__main__` guard and a test run
do not survive, and forking a process that holds threads is unsafe. So each worker is a fresh interpreter that imports
this file alone and is fed over pipes. It pays only for many files; a few are read here.
"""

from __future__ import annotations

import os
import pickle
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from queue import SimpleQueue
from types import TracebackType
from typing import Any, BinaryIO, Self, TypeVar

from pytest_medgan.errors import DataError, MedganError
from pytest_medgan.records import Progress

Item = TypeVar("Item")
Result = TypeVar("Result")

_BOOT = (
    "import pickle, struct, sys; pipe = sys.stdin.buffer; "
    "sys.path[:] = pickle.loads(pipe.read(struct.unpack('<Q', pipe.read(8))[0])); "
    "from pytest_medgan.ct.workers import serve; serve()"
)
_CHUNK = 16  # items handed over at a time
_PATIENCE = 300.0  # seconds for one chunk; a slice takes milliseconds
WORTH_WORKERS = 600  # files; below this a worker's start costs more than it saves


def worker_count(files: int) -> int:
    """How many workers to start for `files` files; 0 where the work is best done in this process."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, 8) if files >= WORTH_WORKERS and cores > 1 and sys.executable else 0


class Crew:
    """Workers on the files under one root. `map` keeps the order of its items, whoever did them."""

    def __init__(self, root: Path, workers: int) -> None:
        self._root = root
        self._workers = [_start() for _ in range(workers)]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for worker in self._workers:
            if kind is not None:
                worker.kill()
            for pipe in (worker.stdin, worker.stdout):
                if pipe is not None:
                    pipe.close()
            worker.wait()

    def map(
        self,
        work: Callable[[Path, Item], Result],
        items: Sequence[Item],
        *,
        what: str,
        progress: Progress,
        apart: bool = False,
    ) -> list[Result]:
        """`work(root, item)` of every item; `work` is a function of a module, items and results can be pickled.

        `apart` keeps the work out of this process even for few items: a damaged file can crash a decoder written in C,
        or hang it, and then only the worker ends.

        Raises what the first failing item raised, in the items' order, however the work was shared out.
        """
        if apart and not self._workers and items and sys.executable:
            self._workers.append(_start())
        if not self._workers or (len(items) <= _CHUNK and not apart):
            return self._alone(work, items, what, progress)
        chunks = [items[start : start + _CHUNK] for start in range(0, len(items), _CHUNK)]
        waiting: SimpleQueue[int] = SimpleQueue()
        done: SimpleQueue[tuple[int, list[Result] | Exception]] = SimpleQueue()
        for number in range(len(chunks)):
            waiting.put(number)
        threads = [
            threading.Thread(target=self._feed, args=(worker, work, chunks, waiting, done), daemon=True)
            for worker in self._workers
        ]
        for thread in threads:
            thread.start()
        return self._gather(len(items), chunks, done, what, progress)

    def _alone(
        self, work: Callable[[Path, Item], Result], items: Sequence[Item], what: str, progress: Progress
    ) -> list[Result]:
        results = []
        for number, item in enumerate(items):
            if number % _CHUNK == 0:
                progress(what, number, len(items))
            results.append(work(self._root, item))
        progress(what, len(items), len(items))
        return results

    def _feed(
        self,
        worker: subprocess.Popen[bytes],
        work: Callable[[Path, Item], Result],
        chunks: Sequence[Sequence[Item]],
        waiting: SimpleQueue[int],
        done: SimpleQueue[tuple[int, list[Result] | Exception]],
    ) -> None:
        """One thread a worker: hands it chunks in order until none is left or one has failed."""
        while not waiting.empty():
            try:
                number = waiting.get_nowait()
            except Exception:  # another thread took the last one
                return
            try:
                answer = _ask(worker, (work, self._root, list(chunks[number])))
            except Exception as error:  # the worker is gone, or the answer could not be read
                first = getattr(chunks[number][0], "file", None)
                answer = DataError(
                    "a decoder crashed or hung on this file or one of the next 15; copy them again, or leave them out",
                    file=first if isinstance(first, str) else None,
                )
                answer.__cause__ = error
            if isinstance(answer, Exception):
                _drain(waiting)  # earlier chunks are already in hand, later ones no longer matter
            done.put((number, answer))

    def _gather(
        self,
        total: int,
        chunks: Sequence[Sequence[Item]],
        done: SimpleQueue[tuple[int, list[Result] | Exception]],
        what: str,
        progress: Progress,
    ) -> list[Result]:
        finished: dict[int, list[Result]] = {}
        failed: dict[int, Exception] = {}
        count = 0
        progress(what, 0, total)
        while len(finished) + len(failed) < len(chunks):
            if failed and all(number in finished for number in range(min(failed))):
                raise failed[min(failed)]
            number, answer = done.get()
            if isinstance(answer, Exception):
                failed[number] = answer
            else:
                finished[number] = answer
                count += len(answer)
                progress(what, count, total)
        if failed:
            raise failed[min(failed)]
        return [result for number in range(len(chunks)) for result in finished[number]]


def _drain(waiting: SimpleQueue[int]) -> None:
    while not waiting.empty():
        try:
            waiting.get_nowait()
        except Exception:  # another thread took it
            return


def _start() -> subprocess.Popen[bytes]:
    # isolated, so that no setting of the caller's environment changes what a worker computes
    worker = subprocess.Popen(
        [sys.executable, "-I", "-c", _BOOT],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    if worker.stdin is not None:
        _write(worker.stdin, [entry or os.getcwd() for entry in sys.path])
    return worker


def _ask(worker: subprocess.Popen[bytes], job: object) -> Any:
    if worker.stdin is None or worker.stdout is None:
        raise BrokenPipeError
    limit = threading.Timer(_PATIENCE, worker.kill)
    limit.daemon = True
    limit.start()
    try:
        _write(worker.stdin, job)
        return _read(worker.stdout)
    finally:
        limit.cancel()


def _write(pipe: BinaryIO | Any, value: object) -> None:
    frame = pickle.dumps(value, protocol=pickle.HIGHEST_PROTOCOL)
    pipe.write(struct.pack("<Q", len(frame)))
    pipe.write(frame)
    pipe.flush()


def _read(pipe: BinaryIO | Any) -> Any:
    head = pipe.read(8)
    if len(head) < 8:
        raise EOFError
    frame = pipe.read(struct.unpack("<Q", head)[0])
    return pickle.loads(frame)  # from our own child, over its own pipe


def serve() -> None:
    """A worker's life: read a chunk, answer it, until the pipe closes."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a decoder prints must not reach the answers
    while True:
        try:
            work, root, items = _read(sys.stdin.buffer)
        except EOFError:
            return
        answer: object
        try:
            answer = [work(root, item) for item in items]
        except MedganError as error:
            answer = error
        except Exception as error:  # carried to the parent, which raises it
            answer = DataError(f"a worker failed ({type(error).__name__}: {error}); report this")
        _write(answers, answer)
