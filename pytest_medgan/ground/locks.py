"""Locks, so that only one process at a time works on a file or folder."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from pytest_medgan.ground.files import cannot_write

POLL = 0.02  # seconds between two attempts to hold a lock


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock `NAME.lock` next to a path; wait while another process holds it.

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


@contextmanager
def locked_folder(folder: Path, wait: float) -> Iterator[None]:
    """Hold a folder's own lock, which leaves no file behind among the user's files.

    A folder cannot be locked by some systems and network drives; there a hidden file in it is locked, and stays.

    Args:
        folder: Made where it does not exist.
        wait: Seconds to wait while another process holds the lock.

    Raises:
        OutputError: The folder cannot be made or locked.
        TimeoutError: Another process holds the lock for longer.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        held = _hold_folder(folder, wait)
    except TimeoutError:
        raise
    except OSError as error:
        raise cannot_write(error, folder) from error
    try:
        yield
    finally:
        if isinstance(held, int):
            os.close(held)
        else:
            held.release()


def _hold_folder(folder: Path, wait: float) -> int | FileLock:
    """Return the descriptor whose closing gives the folder free, or the lock of a file where there is no other way."""
    try:
        import fcntl

        held = os.open(folder, os.O_RDONLY)
    except (ImportError, PermissionError):
        return _hold_file(folder, wait)
    end = time.monotonic() + wait
    while True:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > end:
                os.close(held)
                raise TimeoutError from None
            time.sleep(POLL)
        except OSError:
            os.close(held)
            return _hold_file(folder, wait)
        else:
            return held


def _hold_file(folder: Path, wait: float) -> FileLock:
    """Hold the lock of a hidden file in a folder."""
    guard = FileLock(folder / ".medgan.lock", timeout=wait)
    try:
        guard.acquire()
    except Timeout:
        raise TimeoutError from None
    return guard
