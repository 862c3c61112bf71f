"""Items and functions that worker processes import."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path


class Ends:
    """Ends the worker that unpickles it, as a crashing decoder would."""

    def __reduce__(self) -> tuple[object, tuple[int]]:
        return os._exit, (11,)


class Hangs:
    """Keeps the worker that unpickles it busy, as a hanging decoder would."""

    def __reduce__(self) -> tuple[object, tuple[int]]:
        return time.sleep, (3600,)


@dataclass
class Named:
    """An item that names its file and, where it is bad, ends or holds the worker that unpickles it."""

    file: str
    bad: Ends | Hangs | None = None


def take(_: Path, item: Named) -> str:
    return item.file


def end_once(_: Path, item: tuple[str, str]) -> str:
    name, mark = item
    if name == "20" and not Path(mark).exists():
        Path(mark).touch()
        os._exit(9)
    return name
