"""One session's scores among its worker processes: whoever needs a look first computes it, the others read it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from filelock import FileLock

from pytest_medgan.evaluate.plain import scores_from_plain, scores_to_plain
from pytest_medgan.records import Scores, UInt8


@dataclass(frozen=True)
class SharedScores:
    """A folder that lasts as long as the session."""

    folder: Path

    def of(self, key: str, n: int, compute: Callable[[], Scores]) -> Scores:
        """The look at `n` images of the evaluation that `key` names; computed once, by one process at a time."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"{key}-{n}.json"
        with FileLock(self.folder / f"{key}.lock"):
            if not path.exists():
                part = path.with_suffix(f".{os.getpid()}.part")
                part.write_text(json.dumps(scores_to_plain(compute())), encoding="utf-8")
                os.replace(part, path)
            return scores_from_plain(json.loads(path.read_text(encoding="utf-8")))

    def images(self, key: str, seed: int) -> UInt8 | None:
        """What some process has drawn of a seed's sequence, uint8 [N,1,H,W]; None where none has."""
        path = self.folder / f"{key}-{seed}.npy"
        return np.load(path) if path.exists() else None

    def keep_images(self, key: str, seed: int, drawn: UInt8) -> None:
        """Leaves them for the process that computes the next look."""
        part = self.folder / f"{key}-{seed}.{os.getpid()}.part"
        with part.open("wb") as file:
            np.save(file, drawn)
        os.replace(part, self.folder / f"{key}-{seed}.npy")
