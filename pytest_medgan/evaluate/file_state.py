"""Whether the files that a string names are still those that were read."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path


def file_state(spec: str) -> tuple[tuple[str, int, int], ...]:
    """Return names, sizes and times of the files that a generator's string names; empty where it names none.

    Of a folder these are its own entries and those of its folders, which hold the parts of a pipeline. With a file come
    the files beside it that hold its data, such as model.onnx.data and model.bin of model.onnx.

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
                found.update(_data_files(path))
            elif path.is_dir():
                found.update((*path.glob("*"), *path.glob("*/*")))
    states = []
    for file in sorted(found):
        with suppress(OSError):
            stat = file.stat()
            states.append((str(file), stat.st_size, stat.st_mtime_ns))
    return tuple(states)


def _data_files(path: Path) -> list[Path]:
    """Return the files of a file's folder whose name begins with its name or has the same stem."""
    alike = [file for file in path.parent.iterdir() if file.name.startswith(path.name) or file.stem == path.stem]
    return [file for file in alike if file.is_file()]
