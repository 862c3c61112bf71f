"""Looking after a folder of stored features: what is in it, what to throw out, one file of it for a CI cache."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import tarfile
import time
from dataclasses import dataclass
from pathlib import Path

from pytest_medgan.embedding.blocks import (
    SUFFIX,
    TEMPORARY,
    DamagedBlockError,
    read_block,
    read_header,
    write_atomically,
)
from pytest_medgan.errors import DataError, SettingsError

ABOUT = "about.json"
_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
STALE = 3600.0  # seconds after which a file that is still being written belongs to nobody
_MEMBER = re.compile(r"[0-9a-f]{24}/([0-9a-f]{32}\.block|about\.json)")


def parse_size(text: str, option: str = "--medgan-cache-limit") -> int:
    """ "500M" or "2 GB" to bytes. Raises SettingsError, naming the option, on anything else."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmgt]?)b?", text.strip().lower())
    if found is None:
        raise SettingsError(f"{option} takes a size such as 500M or 2G, not {text!r}")
    return int(float(found[1]) * _UNITS[found[2]])


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
    """What went."""

    files: int
    size: int  # bytes


@dataclass(frozen=True)
class _File:
    path: Path
    size: int
    used: float


def block_files(folder: Path) -> list[_File]:
    """Every stored block, the one unused for longest first. A file that vanishes meanwhile is left out."""
    found = []
    for path in folder.glob(f"*/*{SUFFIX}"):
        with contextlib.suppress(OSError):
            facts = path.stat()
            found.append(_File(path, facts.st_size, facts.st_mtime))
    return sorted(found, key=lambda file: (file.used, file.path))


def look(folder: Path) -> list[SpaceSummary]:
    """One summary a feature space, the latest used first."""
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
    """The stored blocks of one feature space."""
    return [file for file in block_files(space.parent) if file.path.parent == space]


def _about(space: Path) -> dict[str, str]:
    try:
        about = json.loads((space / ABOUT).read_text())
        return {"identity": str(about["identity"]), "numeric_class": str(about["numeric_class"])}
    except (OSError, ValueError, KeyError, TypeError):
        return {"identity": "unknown", "numeric_class": "unknown"}


def make_room(folder: Path, limit: int) -> Removed:
    """Removes the blocks unused for longest until all together hold at most `limit` bytes."""
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
    """Removes what `limit` (bytes) and `older_than` (seconds unused) name, damaged blocks where `check` is set, and
    always what interrupted writers left behind."""
    now = time.time()
    gone: list[_File] = []
    for left in folder.glob(f"**/{TEMPORARY}*"):
        with contextlib.suppress(OSError):
            facts = left.stat()
            if now - facts.st_mtime > STALE and _remove(left):
                gone.append(_File(left, facts.st_size, facts.st_mtime))
    for file in block_files(folder):
        old = older_than is not None and now - file.used > older_than
        if (old or (check and not _whole(file.path))) and _remove(file.path):
            gone.append(file)
    over = make_room(folder, limit) if limit is not None else Removed(0, 0)
    _sweep(folder)
    return Removed(len(gone) + over.files, sum(file.size for file in gone) + over.size)


def _sweep(folder: Path) -> None:
    """Removes the folders of feature spaces that have no block left."""
    for about in folder.glob(f"*/{ABOUT}"):
        if not any(about.parent.glob(f"*{SUFFIX}")):
            with contextlib.suppress(OSError):
                about.unlink()
                about.parent.rmdir()


def _whole(file: Path) -> bool:
    try:
        read_block(file)
    except DamagedBlockError:
        return False
    except OSError:
        return True  # gone, or not ours to read: nothing to remove
    return True


def _remove(file: Path) -> bool:
    try:
        file.unlink()
    except OSError:
        return False
    return True


# --------------------------------------------------------------------------------------------------- export, import


def export(folder: Path, file: Path) -> int:
    """Writes every whole block into one tar file for a CI cache, and returns how many.

    Equal blocks give equal files. Raises DataError where there is none, or the file cannot be written.
    """
    count = 0
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        temporary = file.with_name(f"{TEMPORARY}{os.getpid()}-{file.name}")
        with tarfile.open(temporary, "w") as archive:
            for space in sorted({f.path.parent for f in block_files(folder)}):
                members = [space / ABOUT, *sorted(f.path for f in block_files_of(space) if _whole(f.path))]
                for member in members:
                    with contextlib.suppress(FileNotFoundError):
                        _add(archive, f"{space.name}/{member.name}", member.read_bytes())
                        count += member.name != ABOUT
        if count:
            temporary.replace(file)
        else:
            temporary.unlink()
    except OSError as error:
        raise DataError(f"features cannot be exported: {error.strerror}; name another file", file=str(file)) from None
    if not count:
        raise DataError("no stored features to export; run a gate first, or give --cache-dir")
    return count


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    """A member without owner or time."""
    member = tarfile.TarInfo(name)
    member.size = len(content)
    archive.addfile(member, io.BytesIO(content))


def bring_in(folder: Path, file: Path) -> int:
    """Adds the whole blocks of an exported file to the folder, and returns how many; damaged ones are left out.

    Raises DataError where the file is no such export or the folder cannot be written.
    """
    count = 0
    try:
        with tarfile.open(file, "r:") as archive:
            for member in archive:
                stream = archive.extractfile(member) if member.isreg() else None
                if stream is None or not _MEMBER.fullmatch(member.name):
                    raise DataError(
                        "the file holds something other than stored features; export it again", file=str(file)
                    )
                target = folder / member.name
                target.parent.mkdir(parents=True, exist_ok=True)
                if target.exists():
                    continue
                write_atomically(target, [stream.read()])
                if target.suffix == SUFFIX:
                    count += _keep_if_whole(target)
    except tarfile.TarError:
        raise DataError(
            "the file is no export of stored features; make one by `medgan cache export`", file=str(file)
        ) from None
    except OSError as error:
        raise DataError(f"features cannot be imported: {error.strerror}", file=str(file)) from None
    return count


def _keep_if_whole(file: Path) -> bool:
    whole = _whole(file)
    if not whole:
        _remove(file)
    return whole
