"""Read the mutants of every room from its TOML file."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
FOLDER = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Mutant:
    """One change of meaning."""

    room: str  # the TOML file's name
    file: str  # the source file, relative to the repository
    before: str  # text that stands in the file exactly once
    after: str  # what it becomes
    what: str  # the change in words, one line
    tests: tuple[str, ...]  # test files or folders that should notice it, relative to the repository
    equivalent: str = ""  # why no test can notice it; empty where one must

    @property
    def key(self) -> str:
        """Names the mutant among all."""
        return f"{self.room}: {self.what}"


def read_mutants(rooms: tuple[str, ...] = ()) -> list[Mutant]:
    """Return the mutants of the given rooms, or of all rooms.

    Raises:
        ValueError: A mutant does not fit its file any more, or two have one description.
    """
    found: list[Mutant] = []
    for path in sorted(FOLDER.glob("*.toml")):
        if rooms and path.stem not in rooms:
            continue
        for entry in tomllib.loads(path.read_text(encoding="utf-8")).get("mutant", []):
            mutant = Mutant(path.stem, **{**entry, "tests": tuple(entry["tests"])})
            count = (ROOT / mutant.file).read_text(encoding="utf-8").count(mutant.before)
            if count != 1:
                raise ValueError(f"{mutant.key}: its text stands {count} times in {mutant.file}, not once")
            found.append(mutant)
    keys = [mutant.key for mutant in found]
    if twice := sorted({key for key in keys if keys.count(key) > 1}):
        raise ValueError(f"two mutants are called {twice[0]!r}")
    return found
