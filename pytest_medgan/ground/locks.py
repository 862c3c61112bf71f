"""Let one process at a time work on a file or folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock

from pytest_medgan.ground.files import cannot_write


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock `NAME.lock` beside a path; wait while another process holds it.

    Args:
        path: The file or folder that the work makes. Its parent is made where it does not exist.

    Raises:
        OutputError: The lock cannot be written.
    """
    guard = FileLock(path.with_name(f"{path.name}.lock"))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        guard.acquire()
    except OSError as error:
        raise cannot_write(error, path) from error
    try:
        yield
    finally:
        guard.release()
