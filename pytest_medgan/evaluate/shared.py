"""One session's scores among its worker processes: whoever needs a look first computes it, the others read it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from pytest_medgan.evaluate.plain import scores_from_plain, scores_to_plain
from pytest_medgan.records import Scores


@dataclass(frozen=True)
class SharedScores:
    """A folder that lasts as long as the session."""

    folder: Path

    def of(self, key: str, n: int, compute: Callable[[], Scores]) -> Scores:
        """The look at `n` images of the evaluation that `key` names; computed once, by one process at a time."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"{key}-{n}.json"
        with FileLock(path.with_suffix(".lock")):
            if not path.exists():
                part = path.with_suffix(f".{os.getpid()}.part")
                part.write_text(json.dumps(scores_to_plain(compute())), encoding="utf-8")
                os.replace(part, path)
            return scores_from_plain(json.loads(path.read_text(encoding="utf-8")))
