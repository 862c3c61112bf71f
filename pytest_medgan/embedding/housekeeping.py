"""Look after a folder of stored features: what is in it, what to remove, one file of it for a CI cache."""

from __future__ import annotations

import contextlib
import io
import json
import math
import re
import tarfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from pytest_medgan.embedding.blocks import SUFFIX, DamagedBlockError, read_block, read_header
from pytest_medgan.errors import DataError, SettingsError
from pytest_medgan.ground.files import write_bytes, write_file

ABOUT = "about.json"
_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
STALE = 3600.0  # seconds after which a file that is still being written was left by a killed process
_MEMBER = re.compile(r"[0-9a-f]{24}/([0-9a-f]{32}\.block|about\.json)")


def parse_size(text: str, option: str = "--medgan-cache-limit") -> int:
    """Return a size such as "500M" or "2 GB" in bytes.

    Args:
        text: A number with k, M, G or T behind it, or none for bytes; powers of 1,000.
        option: Where the text comes from, as the message calls it.

    Raises:
        SettingsError: The text is something else.

    Examples:
        >>> parse_size("2 GB")
        2000000000
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmgt]?)b?", text.strip().lower())
    size = math.inf if found is None else float(found[1]) * _UNITS[found[2]]
    if not math.isfinite(size):
        raise SettingsError(f"{option} takes a size such as 500M or 2G, not {text!r}.")
    return int(size)


@dataclass(frozen=True)
class SpaceSummary:
    """The stored features of one feature space."""

    key: str  # the folder's name
    identity: str
    numeric_class: str
    blocks: int
    images: int
    size: int  # bytes
    used: float  # when last read or written, seconds since the epoch


@dataclass(frozen=True)
class Removed:
    """What was removed."""

    files: int
    size: int  # bytes


@dataclass(frozen=True)
class _File:
    """A stored block."""

    path: Path
    size: int
    used: float


def block_files(folder: Path) -> list[_File]:
    """Return every stored block, the one unused for longest first; a file that vanishes meanwhile is left out."""
    found = []
    for path in folder.glob(f"*/*{SUFFIX}"):
        with contextlib.suppress(OSError):
            facts = path.stat()
            found.append(_File(path, facts.st_size, facts.st_mtime))
    return sorted(found, key=lambda file: (file.used, file.path))


def summarise(folder: Path) -> list[SpaceSummary]:
    """Return one summary per feature space, the latest used first."""
    summaries = []
    for space in sorted({file.path.parent for file in block_files(folder)}):
        files = block_files_of(space)
        about = _about(space)
        images = 0
        for file in files:
            with contextlib.suppress(DamagedBlockError, OSError):
                images += len(read_header(file.path).images)
        size, used = sum(file.size for file in files), max(file.used for file in files)
        summaries.append(
            SpaceSummary(space.name, about["identity"], about["numeric_class"], len(files), images, size, used)
        )
    return sorted(summaries, key=lambda s: -s.used)


def block_files_of(space: Path) -> list[_File]:
    """Return the stored blocks of one feature space."""
    return [file for file in block_files(space.parent) if file.path.parent == space]


def _about(space: Path) -> dict[str, str]:
    """Return identity and numeric class of a feature space."""
    try:
        about = json.loads((space / ABOUT).read_text())
        return {"identity": str(about["identity"]), "numeric_class": str(about["numeric_class"])}
    except (OSError, ValueError, KeyError, TypeError):
        return {"identity": "unknown", "numeric_class": "unknown"}


def make_room(folder: Path, limit: int) -> Removed:
    """Remove the blocks unused for longest until all together hold at most `limit` bytes."""
    files = block_files(folder)
    total = sum(file.size for file in files)
    gone = []
    for file in files:
        if total <= limit:
            break
        if _remove(file.path):
            gone.append(file)
        total -= file.size
    return Removed(len(gone), sum(file.size for file in gone))


def prune(folder: Path, *, limit: int | None = None, older_than: float | None = None, check: bool = False) -> Removed:
    """Remove blocks, and what killed writers left.

    Args:
        folder: The folder of stored features.
        limit: Bytes to keep at most; None keeps all.
        older_than: Seconds unused after which a block is removed; None removes none for its age.
        check: Whether to read every block and remove damaged ones.
    """
    now = time.time()
    gone: list[_File] = []
    for left in folder.glob("**/.*.part"):
        with contextlib.suppress(OSError):
            facts = left.stat()
            if now - facts.st_mtime > STALE and _remove(left):
                gone.append(_File(left, facts.st_size, facts.st_mtime))
    for file in block_files(folder):
        old = older_than is not None and now - file.used > older_than
        if (old or (check and not _whole(file.path))) and _remove(file.path):
            gone.append(file)
    over = make_room(folder, limit) if limit is not None else Removed(0, 0)
    _remove_empty_spaces(folder)
    return Removed(len(gone) + over.files, sum(file.size for file in gone) + over.size)


def _remove_empty_spaces(folder: Path) -> None:
    """Remove the folders of feature spaces that have no block left."""
    for about in folder.glob(f"*/{ABOUT}"):
        if not any(about.parent.glob(f"*{SUFFIX}")):
            with contextlib.suppress(OSError):
                about.unlink()
                about.parent.rmdir()


def _whole(file: Path) -> bool:
    """Whether a block is what was written."""
    try:
        read_block(file)
    except DamagedBlockError:
        return False
    except OSError:
        return True  # gone, or not readable for us: nothing to remove
    return True


def _remove(file: Path) -> bool:
    """Remove a file; return whether it was there and could be removed."""
    try:
        file.unlink()
    except OSError:
        return False
    return True


# --------------------------------------------------------------------------------------------------- export, import


def export(folder: Path, file: Path) -> int:
    """Write every whole block into one tar file for a CI cache. Equal blocks give equal files.

    Returns:
        The number of blocks.

    Raises:
        DataError: There is no block.
        OutputError: The file cannot be written.
    """
    spaces = sorted({found.path.parent for found in block_files(folder)})
    members = [
        member
        for space in spaces
        for member in (space / ABOUT, *sorted(f.path for f in block_files_of(space) if _whole(f.path)))
    ]
    if not any(member.suffix == SUFFIX for member in members):
        raise DataError("There are no stored features to export. Run a gate first, or give --cache-dir.")
    count = 0

    def write(stream: BinaryIO) -> None:
        nonlocal count
        with tarfile.open(fileobj=stream, mode="w") as archive:
            for member in members:
                with contextlib.suppress(FileNotFoundError):
                    _add(archive, f"{member.parent.name}/{member.name}", member.read_bytes())
                    count += member.name != ABOUT

    write_file(file, write)
    return count


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    """Add a member without owner or time."""
    member = tarfile.TarInfo(name)
    member.size = len(content)
    archive.addfile(member, io.BytesIO(content))


def import_blocks(folder: Path, file: Path) -> int:
    """Add the whole blocks of an exported file to the folder; damaged ones are left out.

    Returns:
        The number of blocks added.

    Raises:
        DataError: The file is no such export or cannot be read.
        OutputError: The folder cannot be written.
    """
    count = 0
    try:
        with tarfile.open(file, "r:") as archive:
            for member in archive:
                stream = archive.extractfile(member) if member.isreg() else None
                if stream is None or not _MEMBER.fullmatch(member.name):
                    raise DataError(
                        "The file holds something other than stored features. Export it again.", file=str(file)
                    )
                target = folder / member.name
                if target.exists():
                    continue
                write_bytes(target, stream.read())
                if target.suffix == SUFFIX:
                    count += _keep_if_whole(target)
    except tarfile.TarError:
        raise DataError(
            "The file is no export of stored features. Make one by `medgan cache export`.", file=str(file)
        ) from None
    except OSError as error:
        reason = error.strerror or "no reason given"
        raise DataError(
            f"The file of stored features cannot be read ({reason}). Check its name and permissions.", file=str(file)
        ) from None
    return count


def _keep_if_whole(file: Path) -> bool:
    """Remove a damaged block; return whether it was whole."""
    whole = _whole(file)
    if not whole:
        _remove(file)
    return whole
