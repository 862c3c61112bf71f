"""Folders of PNG or TIFF, 8 or 16 bit.

8-bit values are grey levels as they stand. 16-bit ones are grey of full scale (65535 is white, as PNG defines it)
unless a table says what they mean in HU; signed and floating-point TIFFs are HU. Nothing is stretched to an image's
own range.
The patient is the topmost folder, or the `patient` of a table with columns `file` and `patient`, which may also have
`slope` and `intercept` (value * slope + intercept = HU).
"""

from __future__ import annotations

import csv
import io
import warnings
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from pytest_medgan.ct.cohort import ClinicalRow
from pytest_medgan.ct.files import SourceFile
from pytest_medgan.ct.pictures import ALONE, GREY, finish_picture, natural, patient_of, plan_pictures
from pytest_medgan.ct.plan import Job, Plan
from pytest_medgan.errors import DataError
from pytest_medgan.records import DataSettings, Float64, UInt8

_EIGHT, _SIXTEEN, _SIGNED = ("L",), ("I;16", "I;16L", "I;16B", "I;16N"), ("I", "F", "I;16S", "I;16BS")
_LARGEST = 8192  # pixels a side


@dataclass(frozen=True)
class Meaning:
    """What the table says about one file."""

    patient: str
    rescale: tuple[float, float] | None  # slope, intercept to HU


@dataclass(frozen=True)
class RasterJob:
    """One picture to one image."""

    file: str
    digest: str
    rescale: tuple[float, float] | None
    crop_size: int
    size: int
    window: tuple[float, float]  # HU, for values that are HU

    def render(self, root: Path) -> UInt8:
        """uint8 [size,size]; raises DataError for a damaged, coloured or wrongly sized picture."""
        values, grey = read_raster(root, self.file, self.rescale)
        window = GREY if grey else self.window
        return finish_picture(values, crop_size=self.crop_size, size=self.size, window=window, file=self.file)


def read_raster(root: Path, name: str, rescale: tuple[float, float] | None) -> tuple[Float64, bool]:
    """A picture's values, float64 [H,W], and whether they are grey 0..255 rather than HU."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(root / name) as picture:
                mode, frames = picture.mode, getattr(picture, "n_frames", 1)
                if mode in (*_EIGHT, *_SIXTEEN, *_SIGNED) and max(picture.size) <= _LARGEST and frames == 1:
                    values = np.asarray(picture).astype(np.float64)
                else:
                    values = np.empty((0, 0))
    except Exception as error:  # a damaged picture can make Pillow raise anything at all
        raise DataError(f"is no sound picture ({type(error).__name__}); copy it again", file=name) from error
    if not values.size:
        raise DataError(
            "is too large, has several pages, or is in colour or with a palette; save it as one grey picture", file=name
        )
    if not np.isfinite(values).all():
        raise DataError("holds values that are not finite; save it again", file=name)
    if rescale is not None:
        return values * rescale[0] + rescale[1], False
    if mode in _EIGHT:
        return values, True
    return (values * 255.0 / 65535.0, True) if mode in _SIXTEEN else (values, False)


def plan_rasters(
    root: Path,
    files: Sequence[SourceFile],
    digests: dict[str, str],
    table: dict[str, ClinicalRow],
    settings: DataSettings,
) -> Plan:
    """Pictures under `root`, each patient's in natural order of their names. Raises DataError as `plan_pictures`."""
    pictures = [file for file in files if file.kind in ("png", "tiff")]
    strangers = [file for file in files if file.kind == "other" and file.suffix in (".png", ".tif", ".tiff")]
    if strangers:
        raise DataError("is named like a picture but is none; copy it again, or remove it", file=strangers[0].name)
    meanings = read_meanings(root, files)
    jobs: dict[str, list[Job]] = defaultdict(list)
    for file in sorted(pictures, key=lambda file: natural(file.name)):
        meaning = meanings.get(file.name, Meaning(patient_of(file.name, ALONE), None))
        jobs[meaning.patient].append(
            RasterJob(
                file.name, digests[file.name], meaning.rescale, settings.crop_size, settings.size, settings.window
            )
        )
    unlisted = sum(file.name not in meanings for file in pictures)
    if meanings and unlisted:
        raise DataError(f"{unlisted} pictures are not in the table of files; add them, or remove it")
    values = {_values(root, file.name, meanings) for file in pictures}
    if len(values) > 1:
        raise DataError("some pictures hold grey levels and some HU; give slope and intercept in a table of files")
    notes = []
    if values == {"grey of 16 bits"}:
        notes.append("16-bit pictures were taken as grey of full scale; for HU give slope and intercept in a table")
    return plan_pictures(
        jobs,
        settings,
        table,
        inputs=lambda job: job.digest if isinstance(job, RasterJob) else "",
        window=settings.window if values == {"HU"} else None,
        warnings=notes,
        counts={"files": len(files), "pictures": len(pictures)},
    )


def _values(root: Path, name: str, meanings: dict[str, Meaning]) -> str:
    """What a picture's values are, from its header alone."""
    if name in meanings and meanings[name].rescale is not None:
        return "HU"
    try:
        with Image.open(root / name) as picture:
            mode = picture.mode
    except Exception as error:  # a damaged picture can make Pillow raise anything at all
        raise DataError(f"is no sound picture ({type(error).__name__}); copy it again", file=name) from error
    if mode in _SIGNED:
        return "HU"
    return "grey of 16 bits" if mode in _SIXTEEN else "grey of 8 bits"


def read_meanings(root: Path, files: Sequence[SourceFile]) -> dict[str, Meaning]:
    """Tables with columns file and patient: file (relative to the table's folder) -> what it says."""
    found: dict[str, Meaning] = {}
    for table in files:
        if table.kind != "csv":
            continue
        try:
            text = (root / table.name).read_bytes().decode("utf-8-sig")
            rows = list(csv.DictReader(io.StringIO(text), delimiter="\t" if table.suffix == ".tsv" else ","))
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise DataError("is no readable table; save it as UTF-8 CSV", file=table.name) from error
        for number, row in enumerate(rows, start=2):
            cells = {str(key).strip().casefold(): str(value or "").strip() for key, value in row.items()}
            if not {"file", "patient"} <= set(cells):
                break
            if not cells["file"] or not cells["patient"]:
                raise DataError(f"line {number} names no file or no patient; fill it in", file=table.name)
            path = f"{table.folder}/{cells['file']}" if table.folder else cells["file"]
            found[path] = Meaning(cells["patient"], _rescale(cells, number, table.name))
    return found


def _rescale(cells: dict[str, str], number: int, name: str) -> tuple[float, float] | None:
    if not cells.get("slope") and not cells.get("intercept"):
        return None
    try:
        slope, intercept = float(cells.get("slope") or 1), float(cells.get("intercept") or 0)
    except ValueError as error:
        raise DataError(f"line {number}: slope or intercept is no number; correct it", file=name) from error
    if not np.isfinite([slope, intercept]).all() or slope <= 0:
        raise DataError(f"line {number}: slope or intercept is out of range; correct it", file=name)
    return slope, intercept
