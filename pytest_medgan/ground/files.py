"""Write files and folders completely or not at all.

The package writes every lasting file with these functions. A reader sees either the old content or the new content,
even after `kill -9` and on a full disk.
"""

from __future__ import annotations

import glob
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from pytest_medgan.errors import OutputError


def write_file(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Write a file in one step.

    The content goes to a temporary file in the same folder, is flushed to the disk and renamed. An existing file keeps
    its permissions. The folder is made where it does not exist. A link stays a link: the file that it names is written.

    Args:
        path: The file to create or replace.
        write: Called with the open binary stream.

    Raises:
        OutputError: The file cannot be written. The old file at `path` is unchanged and no temporary file is left.
    """
    temporary: str | None = None
    target = _followed(path)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=".part")
        with os.fdopen(handle, "wb") as stream:
            write(stream)
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(temporary, target.stat().st_mode & 0o777 if target.exists() else 0o666 & ~_umask())
        os.replace(temporary, target)
        temporary = None
        _sync_folder(target.parent)
    except OSError as error:
        raise cannot_write(error, path) from error
    finally:
        if temporary is not None:
            with suppress(OSError):
                os.unlink(temporary)


def write_bytes(path: Path, content: bytes) -> None:
    """Write bytes in one step; see `write_file`."""
    write_file(path, lambda stream: stream.write(content))


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text in one step, its line ends unchanged; see `write_file`."""
    write_bytes(path, text.encode("utf-8"))


@contextmanager
def new_folder(path: Path, *, durable: bool = True) -> Iterator[Path]:
    """Fill a folder and put it in place of `path` in one step.

    Args:
        path: The folder to create or replace. A link stays a link: the folder that it names is replaced.
        durable: Whether the content must survive a power cut. Use False for content that can be computed again, because
            flushing many files to the disk takes seconds.

    Yields:
        An empty folder next to `path`. When the body ends without an error, it takes the place of `path`, whose old
        content is removed; otherwise it is removed and `path` is untouched.

    Raises:
        OutputError: The folder cannot be made, filled or renamed.
    """
    fresh: Path | None = None
    target = _followed(path)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        fresh = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}.", suffix=".part"))
        fresh.chmod(0o777 & ~_umask())
        yield fresh
        for file in fresh.rglob("*") if durable else ():
            if file.is_file():
                _sync_file(file)
        _swap_folders(fresh, target)
        fresh = None
        _sync_folder(target.parent)
    except OSError as error:
        raise cannot_write(error, path) from error
    finally:
        if fresh is not None:
            shutil.rmtree(fresh, ignore_errors=True)


def make_private_folder(folder: Path) -> None:
    """Make a folder that version control ignores, as `.pytest_cache` does: it may hold pixels of patients.

    A folder that exists already under another name than `.medgan` is the user's own and stays as it is.

    Raises:
        OutputError: The folder cannot be made.
    """
    ignore = folder / ".gitignore"
    try:
        own = not folder.exists() or folder.name == ".medgan"
        folder.mkdir(parents=True, exist_ok=True)
        if own and not ignore.exists():
            write_text(ignore, "# Made by pytest-medgan. The folder may hold images of patients.\n*\n")
    except OSError as error:
        raise cannot_write(error, folder) from error


def remove_leftovers(path: Path) -> None:
    """Remove temporary files that killed writers of `path` left next to it. The caller must hold the lock."""
    target = _followed(path)
    for leftover in target.parent.glob(f".{glob.escape(target.name)}.*.part"):
        if leftover.is_dir():
            shutil.rmtree(leftover, ignore_errors=True)
        else:
            leftover.unlink(missing_ok=True)


def cannot_write(error: OSError, path: Path) -> OutputError:
    """Return the one-line error for a file or folder that the system refused to write."""
    reason = error.strerror or "the system gave no reason"
    return OutputError(
        f"A file cannot be written ({reason[0].lower()}{reason[1:]}). Free space or choose a folder you may write to.",
        file=path.name,
    )


def _followed(path: Path) -> Path:
    """Return what a link names, where a rename would replace the link itself; any other path unchanged."""
    return Path(os.path.realpath(path)) if path.is_symlink() else path


def _swap_folders(fresh: Path, path: Path) -> None:
    """Rename `fresh` to `path`, moving an existing folder aside first and removing it last."""
    if not path.exists():
        os.rename(fresh, path)
        return
    aside = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}.", suffix=".old"))
    os.rename(path, aside / path.name)
    try:
        os.rename(fresh, path)
    except OSError:
        os.rename(aside / path.name, path)
        aside.rmdir()
        raise
    shutil.rmtree(aside, ignore_errors=True)


def _umask() -> int:
    """Return the process's umask, which can only be read by setting it."""
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _sync_file(path: Path) -> None:
    """Flush a file's content to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _sync_folder(folder: Path) -> None:
    """Make a rename survive a power cut, where the system lets a folder be opened."""
    with suppress(OSError):
        _sync_file(folder)
