"""Prepared sets on disk: written whole or not at all, checked when read, without any identifier of a patient."""

from __future__ import annotations

import errno
import hashlib
import json
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt
from filelock import FileLock

from pytest_medgan.errors import DataError
from pytest_medgan.records import DataSettings, Int64, Names, UInt8

FORMAT = 1


@dataclass(frozen=True)
class ImageSettings:
    """The settings that decide which images there are and how they look, as they took effect."""

    crop: str  # "tumour" or "image"
    crop_size: int
    size: int
    window: tuple[float, float]
    slices: int | None
    patients: int | None
    histologies: tuple[str, ...]

    @classmethod
    def of(cls, settings: DataSettings, crop: str) -> ImageSettings:
        """Those of `settings`, with the crop that `auto` came to."""
        return cls(
            crop=crop,
            crop_size=settings.crop_size,
            size=settings.size,
            window=(float(settings.window[0]), float(settings.window[1])),
            slices=settings.slices,
            patients=settings.patients,
            histologies=tuple(settings.histologies),
        )

    def as_fields(self) -> dict[str, Any]:
        """Field by field."""
        return {**asdict(self), "window": self.window, "histologies": self.histologies}


@dataclass(frozen=True, eq=False)
class Prepared:
    """Every image of a data set, before the split."""

    pixels: UInt8  # [N,1,size,size]
    groups: Names  # [N], pseudonyms
    labels: npt.NDArray[np.int8]  # [N]
    window: tuple[float, float] | None  # HU of grey 0 and 255
    settings: ImageSettings
    digest: str  # of the source's files, the settings and the choice of patients
    warnings: tuple[str, ...]
    counts: Mapping[str, int]


def save_prepared(path: Path, prepared: Prepared, roles: Mapping[str, Int64] | None = None) -> None:
    """Writes an .npz with pixels, groups, labels and a JSON description that holds a checksum; `roles` rides along.

    Raises DataError where the disk is full or the folder cannot be written; nothing half-written stays behind.
    """
    description = {
        "format": FORMAT,
        "window": prepared.window,
        "settings": prepared.settings.as_fields(),
        "digest": prepared.digest,
        "warnings": prepared.warnings,
        "counts": dict(prepared.counts),
        "checksum": _checksum(prepared.pixels, prepared.groups, prepared.labels),
    }
    temporary = _beside(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as stream:
            np.savez(
                stream,
                pixels=prepared.pixels,
                groups=prepared.groups,
                labels=prepared.labels,
                description=np.array(json.dumps(description, sort_keys=True)),
                **(roles or {}),  # type: ignore[arg-type]  # savez has one more named argument of another type
            )
        temporary.replace(path)
    except OSError as error:
        raise _unwritable(error, "the prepared set was not stored") from error
    finally:
        with suppress(OSError):  # gone already where all went well
            temporary.unlink(missing_ok=True)


def _beside(path: Path) -> Path:
    """A name of our own in the same folder, so that the finished file can be put in place in one step."""
    return path.with_name(f".partial-{secrets.token_hex(8)}{path.suffix}")


def _unwritable(error: OSError, what: str) -> DataError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DataError(f"the disk is full, {what}; free some space or name another folder")
    return DataError(f"the folder cannot be written ({error.strerror}), {what}; name another one")


def load_prepared(path: Path) -> Prepared | None:
    """A stored set; None where there is none, or it is damaged or not ours."""
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as stored:
            if "description" not in stored:
                return None
            description = json.loads(str(stored["description"]))
            pixels, groups, labels = stored["pixels"], stored["groups"], stored["labels"]
    except (OSError, ValueError, KeyError, EOFError, BadZipFile, AttributeError, TypeError):
        return None
    if description.get("format") != FORMAT or description.get("checksum") != _checksum(pixels, groups, labels):
        return None
    window, settings = description["window"], description["settings"]
    return Prepared(
        pixels=pixels,
        groups=groups,
        labels=labels,
        window=None if window is None else (float(window[0]), float(window[1])),
        settings=ImageSettings(
            **{**settings, "window": tuple(settings["window"]), "histologies": tuple(settings["histologies"])}
        ),
        digest=str(description["digest"]),
        warnings=tuple(description["warnings"]),
        counts={str(name): int(count) for name, count in description["counts"].items()},
    )


def _checksum(pixels: UInt8, groups: Names, labels: npt.NDArray[np.int8]) -> str:
    digest = hashlib.blake2b(digest_size=32)
    for array in (pixels, labels):
        digest.update(f"{array.dtype.str} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    digest.update("\n".join(groups.tolist()).encode())
    return digest.hexdigest()


def remember(path: Path, key: str) -> None:
    """Writes a pointer to a stored set, whole or not at all. Raises DataError where it cannot."""
    temporary = _beside(path)
    try:
        temporary.write_text(key)
        temporary.replace(path)
    except OSError as error:
        raise _unwritable(error, "the prepared set was not noted") from error


def recall(path: Path) -> str | None:
    """What `remember` wrote; None where there is nothing."""
    try:
        key = path.read_text()
    except (OSError, UnicodeDecodeError):
        return None
    return key if len(key) == 64 and key.isalnum() else None


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """One process at a time, by a file beside `path`. Raises DataError where it cannot be written."""
    guard = FileLock(path.with_name(f"{path.name}.lock"))
    try:
        guard.acquire()
    except OSError as error:
        raise _unwritable(error, "nothing was prepared") from error
    try:
        yield
    finally:
        guard.release()


def make_folder(folder: Path) -> None:
    """Raises DataError where the folder cannot be made."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(error, "nothing was prepared") from error
