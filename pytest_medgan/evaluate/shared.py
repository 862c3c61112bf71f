"""Scores and images that the processes of one session share: the first process that needs a look computes it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from filelock import FileLock

from pytest_medgan.errors import OutputError
from pytest_medgan.ground import files
from pytest_medgan.ground.plain import from_plain, to_plain
from pytest_medgan.records import Scores, UInt8


@dataclass(frozen=True)
class SharedScores:
    """A folder that lasts as long as the session. Where it cannot be used each process computes for itself."""

    folder: Path

    def of(self, key: str, n: int, compute: Callable[[], Scores]) -> Scores:
        """Return a look, computed once, by one process at a time.

        Args:
            key: Names the evaluation.
            n: Images per sample group.
            compute: Computes the look.
        """
        path = self.folder / f"{key}-{n}.json"
        with self.locked(key):
            with suppress(OSError):
                return from_plain(Scores, json.loads(path.read_text(encoding="utf-8")), "scores")
            scores = compute()
            text = json.dumps(to_plain(scores))
            self._leave(path, lambda file: file.write(text.encode()))
        return scores

    @contextmanager
    def locked(self, key: str) -> Iterator[None]:
        """Hold the lock of an evaluation, where the file system has locks and room for one; not to be held twice."""
        lock = FileLock(self.folder / f"{key}.lock")
        with suppress(OSError, NotImplementedError):
            self.folder.mkdir(parents=True, exist_ok=True)
            lock.acquire()
        try:
            yield
        finally:
            with suppress(OSError, NotImplementedError):
                lock.release()

    def images(self, key: str, seed: int) -> UInt8 | None:
        """Return what some process has drawn of a seed's sequence, uint8 [N,C,H,W]; None where none has."""
        with suppress(OSError):
            drawn: UInt8 = np.load(self.folder / f"{key}-{seed}.npy", allow_pickle=False)
            return drawn
        return None

    def keep_images(self, key: str, seed: int, drawn: UInt8) -> None:
        """Leave images for the process that computes the next look."""
        self._leave(self.folder / f"{key}-{seed}.npy", lambda file: np.save(file, drawn))

    def _leave(self, path: Path, write: Callable[[BinaryIO], object]) -> None:
        """Write a file for the other processes. On a full disk they compute for themselves and no test fails."""
        with suppress(OutputError):
            files.write_file(path, write)
