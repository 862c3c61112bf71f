"""Whether the files that a string names are still those that were read."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path


def file_state(spec: str) -> tuple[tuple[str, int, int], ...]:
    """Return names, sizes and times of the files that a generator's string names; empty where it names none.

    Of a folder these are its own entries and those of its folders, which hold the parts of a pipeline.

    Args:
        spec: Such as "model.pt,latent=512", a folder, or "package.module:build,weights=FILE".
    """
    parts = spec.split(",")
    names = {spec, *parts, *(part.partition("=")[2] for part in parts)} - {""}
    found: set[Path] = set()
    for path in map(Path, names):
        with suppress(OSError, ValueError):
            if path.is_file():
                found.add(path)
            elif path.is_dir():
                found.update((*path.glob("*"), *path.glob("*/*")))
    states = []
    for file in sorted(found):
        with suppress(OSError):
            stat = file.stat()
            states.append((str(file), stat.st_size, stat.st_mtime_ns))
    return tuple(states)
