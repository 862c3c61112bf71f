"""Prepared sets on disk: written whole or not at all, checked when read, without any identifier of a patient."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from pytest_medgan.errors import DataError
from pytest_medgan.records import Names, UInt8

FORMAT = 1


@dataclass(frozen=True, eq=False)
class Prepared:
    """Every image of a data set, before the split."""

    pixels: UInt8  # [N,1,size,size]
    groups: Names  # [N], pseudonyms
    labels: npt.NDArray[np.int8]  # [N]
    window: tuple[float, float] | None
    crop: str  # "tumour" or "image"
    digest: str  # of the source's files, the settings and the choice of patients
    warnings: tuple[str, ...]
    counts: Mapping[str, int]


def save_prepared(path: Path, prepared: Prepared) -> None:
    """Writes an .npz with pixels, groups, labels and a JSON description that holds a checksum.

    Raises DataError where the disk is full or the folder cannot be written; nothing half-written stays behind.
    """
    description = {
        "format": FORMAT,
        "window": prepared.window,
        "crop": prepared.crop,
        "digest": prepared.digest,
        "warnings": prepared.warnings,
        "counts": dict(prepared.counts),
        "checksum": _checksum(prepared.pixels, prepared.groups, prepared.labels),
    }
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".partial-", suffix=".npz", delete=False) as stream:
            temporary = Path(stream.name)
            np.savez(
                stream,
                pixels=prepared.pixels,
                groups=prepared.groups,
                labels=prepared.labels,
                description=np.array(json.dumps(description, sort_keys=True)),
            )
        os.replace(temporary, path)
        temporary = None
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        what = "the disk is full" if full else f"cannot be written ({error.strerror})"
        raise DataError(
            f"{what}: the prepared set was not stored; free some space or name another folder", file=path.name
        ) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def load_prepared(path: Path) -> Prepared | None:
    """A stored set; None where there is none or it is damaged (it is then made again)."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            description = json.loads(str(stored["description"]))
            pixels, groups, labels = stored["pixels"], stored["groups"], stored["labels"]
    except (OSError, ValueError, KeyError, EOFError, BadZipFile):
        return None
    if description.get("format") != FORMAT or description.get("checksum") != _checksum(pixels, groups, labels):
        return None
    window = description["window"]
    return Prepared(
        pixels=pixels,
        groups=groups,
        labels=labels,
        window=None if window is None else (float(window[0]), float(window[1])),
        crop=str(description["crop"]),
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
    """Writes a pointer to a stored set, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=".partial-", delete=False) as stream:
        stream.write(key)
    os.replace(stream.name, path)


def recall(path: Path) -> str | None:
    """What `remember` wrote; None where there is nothing."""
    try:
        key = path.read_text()
    except (OSError, UnicodeDecodeError):
        return None
    return key if len(key) == 64 and key.isalnum() else None
