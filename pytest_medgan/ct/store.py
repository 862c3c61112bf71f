"""Prepared sets on disk: written whole or not at all, checked when read, without any identifier of a patient."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pytest_medgan.ct.grouping import RULES
from pytest_medgan.ct.planes import AXIAL, PLANES
from pytest_medgan.errors import DataError
from pytest_medgan.ground.arrays import read_arrays
from pytest_medgan.ground.files import write_file, write_text
from pytest_medgan.records import DataSettings, Int64, Names, UInt8

FORMAT = 1
CHANNELS = (1, 3)  # of an image: grey, or red, green and blue
_NEW = {
    "roi": None,
    "range": None,
    "patient": "top",
    "planes": AXIAL,
    "channels": 1,
}  # settings that name nothing where they are left as they are


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
    roi: str | None = None
    range: tuple[float, float] | None = None
    patient: str = "top"
    planes: str = AXIAL
    channels: int = 1

    @classmethod
    def of(cls, settings: DataSettings, crop: str) -> ImageSettings:
        """Return those of `settings`, with the crop that `auto` came to."""
        return cls(
            crop=crop,
            crop_size=settings.crop_size,
            size=settings.size,
            window=(float(settings.window[0]), float(settings.window[1])),
            slices=settings.slices,
            patients=settings.patients,
            histologies=tuple(settings.histologies),
            roi=settings.roi,
            range=settings.range,
            patient=settings.patient,
            planes=settings.planes,
            channels=settings.channels,
        )

    @classmethod
    def read(cls, fields: Mapping[str, Any]) -> ImageSettings:
        """Return settings out of JSON. Raises ValueError where a word is none that a setting takes."""
        values = dict(fields)
        words = ((values["crop"], ("tumour", "image")), (values.get("patient", "top"), RULES))
        if any(word not in known for word, known in (*words, (values.get("planes", AXIAL), PLANES))):
            raise ValueError("unknown word")
        if values.get("channels", 1) not in CHANNELS:
            raise ValueError("another number of channels")
        for name in ("window", "histologies", "range"):
            values[name] = tuple(values[name]) if values.get(name) is not None else None
        return cls(**values)

    def as_fields(self) -> dict[str, Any]:
        """Return every field by name."""
        return {**asdict(self), "window": self.window, "histologies": self.histologies, "range": self.range}

    def as_identity(self) -> dict[str, Any]:
        """Return the fields that name the images; later settings name nothing while they are at their defaults."""
        return {name: value for name, value in self.as_fields().items() if name not in _NEW or value != _NEW[name]}


@dataclass(frozen=True, eq=False)
class Prepared:
    """Every image of a data set, before the split."""

    pixels: UInt8  # [N,1,size,size], in colour [N,3,size,size]; volumes [N,1,size,size,size]
    groups: Names  # [N], pseudonyms
    labels: npt.NDArray[np.int8]  # [N]
    window: tuple[float, float] | None  # HU of grey 0 and 255
    settings: ImageSettings
    digest: str  # of the source's files, the settings and the choice of patients
    warnings: tuple[str, ...]
    counts: Mapping[str, int]
    named: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # files and names; never stored


def save_prepared(path: Path, prepared: Prepared, roles: Mapping[str, Int64] | None = None) -> None:
    """Write an .npz with pixels, groups, labels and a JSON description that holds a checksum.

    Args:
        path: The file.
        prepared: Every image.
        roles: Arrays of row numbers that ride along, by name.

    Raises:
        OutputError: The file cannot be written; what stood there is untouched.
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
    arrays: dict[str, Any] = {
        "pixels": prepared.pixels,
        "groups": prepared.groups,
        "labels": prepared.labels,
        "description": np.array(json.dumps(description, sort_keys=True)),
        **(roles or {}),
    }
    write_file(path, lambda stream: np.savez(stream, **arrays))


def load_prepared(path: Path) -> Prepared | None:
    """Return a stored set; None where there is none, or it is damaged or of another kind."""
    try:
        stored = read_arrays(path, name=path.name, only=("pixels", "groups", "labels", "description"))
        description = json.loads(str(stored["description"]))
        pixels, groups, labels = stored["pixels"], stored["groups"], stored["labels"]
        if description["format"] != FORMAT or description["checksum"] != _checksum(pixels, groups, labels):
            return None
        window = description["window"]
        return Prepared(
            pixels=pixels,
            groups=groups,
            labels=labels,
            window=None if window is None else (float(window[0]), float(window[1])),
            settings=ImageSettings.read(description["settings"]),
            digest=str(description["digest"]),
            warnings=tuple(map(str, description["warnings"])),
            counts={str(name): int(count) for name, count in description["counts"].items()},
        )
    except (DataError, ValueError, KeyError, TypeError, AttributeError, IndexError):
        return None


def _checksum(pixels: UInt8, groups: Names, labels: npt.NDArray[np.int8]) -> str:
    """Return a digest of everything that an image is."""
    digest = hashlib.blake2b(digest_size=32)
    for array in (pixels, labels):
        digest.update(f"{array.dtype.str} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    digest.update("\n".join(groups.tolist()).encode())
    return digest.hexdigest()


@dataclass(frozen=True)
class Note:
    """What reading a source came to: the stored set, and what was said on the way to it."""

    digest: str  # of the set
    warnings: tuple[str, ...]
    counts: Mapping[str, int]


def remember(path: Path, note: Note) -> None:
    """Write a note. Raises OutputError where it cannot be written."""
    write_text(path, json.dumps({"digest": note.digest, "warnings": note.warnings, "counts": dict(note.counts)}))


def recall(path: Path) -> Note | None:
    """Return what `remember` wrote; None where there is nothing, or something else."""
    try:
        note = json.loads(path.read_text(encoding="utf-8"))
        digest, warnings = str(note["digest"]), tuple(map(str, note["warnings"]))
        counts = {str(name): int(count) for name, count in note["counts"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return Note(digest, warnings, counts) if len(digest) == 64 and digest.isalnum() else None
