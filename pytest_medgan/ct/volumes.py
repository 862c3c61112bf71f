"""NIfTI and NRRD volumes of HU (extra `volumes`), turned to the orientation of an axial CT slice.

The patient is the topmost folder, or the file's name up to its first dot where it lies in none. A file whose name holds
gtv, mask, seg or label is a drawing and no CT: it is left out and counted.
"""

from __future__ import annotations

import re
import warnings
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from pytest_medgan.ct.cohort import ClinicalRow
from pytest_medgan.ct.files import SourceFile
from pytest_medgan.ct.pictures import finish_picture, natural, patient_of, plan_pictures
from pytest_medgan.ct.plan import Job, Plan
from pytest_medgan.errors import DataError
from pytest_medgan.records import DataSettings, Float64, UInt8

_DRAWING = re.compile(r"gtv|mask|seg|label")
_AIR_AT_MOST = -200.0  # HU; a volume without a value below this holds no lung and no air, so it is no CT in HU


@dataclass(frozen=True)
class VolumeJob:
    """One axial plane of a volume to one image."""

    file: str
    kind: str  # "nifti" or "nrrd"
    digest: str
    index: int  # plane, from the feet up
    crop_size: int
    size: int
    window: tuple[float, float]

    def render(self, root: Path) -> UInt8:
        """uint8 [size,size]; neighbouring planes share one reading of the file."""
        volume = read_volume_file(str(root / self.file), self.kind, self.file)
        return finish_picture(
            volume[self.index], crop_size=self.crop_size, size=self.size, window=self.window, file=self.file
        )


@lru_cache(maxsize=1)
def read_volume_file(path: str, kind: str, name: str) -> Float64:
    """A volume of HU, float64 [planes,rows,columns]: planes rise, rows run to the back, columns to the left.

    Raises DataError where it is damaged, oblique, no volume of HU, or its reader is not installed.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            values, axes = _read_nifti(path) if kind == "nifti" else _read_nrrd(path)
    except ImportError as error:
        raise DataError("needs a reader that is not here; install pytest-medgan[volumes]", file=name) from error
    except Exception as error:  # a damaged file can make the readers raise anything at all
        raise DataError(f"is no sound volume ({type(error).__name__}); copy it again", file=name) from error
    if values.ndim != 3 or not np.isfinite(values).all():
        raise DataError("is not one volume of finite numbers; leave it out", file=name)
    if values.min() > _AIR_AT_MOST:
        raise DataError("holds no air, so it is no CT in HU; leave it out", file=name)
    order = np.abs(axes).argmax(axis=0)  # the patient axis (0 left, 1 back, 2 head) of each array axis
    if sorted(order.tolist()) != [0, 1, 2]:
        raise DataError("has an oblique orientation; resample it to axial planes", file=name)
    for axis in range(3):
        if axes[order[axis], axis] < 0:
            values = np.flip(values, axis)
    places = order.tolist()
    return np.ascontiguousarray(np.transpose(values, (places.index(2), places.index(1), places.index(0))))


def _read_nifti(path: str) -> tuple[Float64, Float64]:
    """Values and, per array axis, its direction in left, back, head (columns)."""
    import nibabel

    image: Any = nibabel.load(path)
    affine = np.asarray(image.affine, np.float64)
    to_lps = np.diag([-1.0, -1.0, 1.0])  # NIfTI counts to the right and to the front
    return np.asarray(image.get_fdata(dtype=np.float64)), to_lps @ affine[:3, :3]


def _read_nrrd(path: str) -> tuple[Float64, Float64]:
    import nrrd

    values, header = nrrd.read(path)
    space = str(header.get("space", "")).casefold()
    directions = np.asarray(header["space directions"], np.float64).T
    signs = {
        "left-posterior-superior": (1, 1, 1),
        "lps": (1, 1, 1),
        "right-anterior-superior": (-1, -1, 1),
        "ras": (-1, -1, 1),
        "left-anterior-superior": (1, -1, 1),
        "las": (1, -1, 1),
    }[space]
    return np.asarray(values, np.float64), np.diag(signs).astype(np.float64) @ directions


def count_planes(root: Path, file: tuple[str, str]) -> int:
    """What a worker does with one volume: reads and checks it; the number of axial planes."""
    name, kind = file
    return len(read_volume_file(str(root / name), kind, name))


def plan_volumes(
    files: Sequence[SourceFile],
    planes: dict[str, int],
    digests: dict[str, str],
    table: dict[str, ClinicalRow],
    settings: DataSettings,
) -> Plan:
    """Axial planes of the volumes in `planes` (file -> how many). Raises DataError as `plan_pictures`."""
    jobs: dict[str, list[Job]] = defaultdict(list)
    for file in sorted(files, key=lambda file: natural(file.name)):
        if file.name in planes:
            stem = file.name.rpartition("/")[2].partition(".")[0]
            patient = patient_of(file.name, stem)
            if jobs[patient]:
                raise DataError("is a second volume of one patient; keep one, or give each its folder", file=file.name)
            jobs[patient] += [
                VolumeJob(
                    file.name,
                    file.kind,
                    digests[file.name],
                    index,
                    settings.crop_size,
                    settings.size,
                    settings.window,
                )
                for index in range(planes[file.name])
            ]
    drawings = sum(is_drawing(file) for file in files)
    return plan_pictures(
        jobs,
        settings,
        table,
        inputs=lambda job: job.digest if isinstance(job, VolumeJob) else "",
        window=settings.window,
        warnings=[],
        counts={"files": len(files), "volumes": len(planes)} | ({"skipped: drawing": drawings} if drawings else {}),
    )


def is_drawing(file: SourceFile) -> bool:
    """A volume that marks a region rather than measures one, by its name."""
    return file.kind in ("nifti", "nrrd") and bool(_DRAWING.search(file.name.rpartition("/")[2].casefold()))
