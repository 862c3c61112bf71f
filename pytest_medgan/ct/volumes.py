"""NIfTI, NRRD and MetaImage volumes of HU, turned to the orientation of an axial CT slice.

A file is a drawing of a region and not used if its name or its folder's name says so (gtv, mask, seg, label). A volume
without air is not CT and is passed over. `patient=` decides how patients are identified; by default the topmost folder
is the patient, or the file's name where few folders hold many volumes (as imagesTr does).
"""

from __future__ import annotations

import re
import warnings
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from pathlib import Path

import numpy as np

from pytest_medgan.ct.cohort import ClinicalRow
from pytest_medgan.ct.cubes import CubeJob, plan_cube
from pytest_medgan.ct.grouping import RULES, finish_picture, natural, patient_of, plan_pictures, stem_of
from pytest_medgan.ct.metaimage import read_fields, read_metaimage
from pytest_medgan.ct.nifti import read_nifti
from pytest_medgan.ct.nrrd_file import read_nrrd
from pytest_medgan.ct.plan import Job, Plan
from pytest_medgan.ct.planes import AXIAL
from pytest_medgan.ct.reading import Reading
from pytest_medgan.ct.volume_file import Volume, damaged_error
from pytest_medgan.errors import DataError
from pytest_medgan.ground.listing import VOLUMES, SourceFile
from pytest_medgan.records import DataSettings, Float64, UInt8

_READERS = {"nifti": read_nifti, "nrrd": read_nrrd, "metaimage": read_metaimage}
_DRAWING = re.compile(r"(?<![a-z])(?:i?gtv|mask|seg|label)")
_DRAWING_FOLDER = re.compile(r"(?:labels?|masks?|seg(?:mentations?)?|annotations?)(?:tr|ts)?")
_AIR_AT_MOST = -200.0  # HU; a volume without a value below this holds no lung and no air, so it is not CT in HU
_COLLECTION = 3  # volumes per folder; with more on average, folders are collections and not patients


class ReaderMissingError(DataError):
    """The package that reads a format is not installed; such a file is never passed over."""


@dataclass(frozen=True)
class VolumeProperties:
    """Properties of a volume, needed before its planes are rendered."""

    planes: int  # number of axial planes
    shape: tuple[int, int]  # of one, in pixels
    width: float  # mm of a pixel
    distance: float  # mm between planes
    guessed: bool  # whether the file has no orientation, so that one is assumed


@dataclass(frozen=True)
class VolumeJob:
    """One axial plane of a volume to one image."""

    file: str
    kind: str  # a key of the readers
    digest: str
    index: int  # plane, from the feet up
    crop_size: int
    size: int
    window: tuple[float, float]

    def render(self, root: Path) -> UInt8:
        """Return the image, uint8 [size,size]; neighbouring planes share one reading of the file.

        Raises:
            DataError: The volume is damaged, or smaller than the crop.
        """
        plane = read_plane(root / self.file, self.kind, self.file, self.index, digest=self.digest)
        return finish_picture(plane, crop_size=self.crop_size, size=self.size, window=self.window, file=self.file)


def read_plane(path: Path, kind: str, name: str, index: int, *, digest: str) -> Float64:
    """Return one axial plane in HU, float64 [rows,columns]: rows run to the back, columns to the left.

    Args:
        path: The file.
        kind: A key of the readers.
        name: What messages call it.
        index: The plane, from the feet up.
        digest: Of the file's content. A volume that is still open is used only where its content was the same.

    Raises:
        DataError: As `open_volume`, or values that are not finite.
    """
    volume = _kept_volume(str(path), kind, name, digest)
    plane: Float64 = volume.values[index].astype(np.float64) * volume.slope + volume.intercept
    if not np.isfinite(plane).all():
        raise DataError("A volume holds values that are not finite. Leave it out, or save it without them.", file=name)
    return plane


@lru_cache(maxsize=1)
def _kept_volume(path: str, kind: str, name: str, digest: str) -> Volume:
    """Return a volume (see `open_volume`); the last one stays open, since neighbouring planes follow each other."""
    return open_volume(path, kind, name)


def open_volume(path: str, kind: str, name: str) -> Volume:
    """Return a volume with its values as [planes,rows,columns], from the feet up; its `axes` no longer apply.

    Raises:
        DataError: The file is damaged, oblique or not a volume of HU, or its reader is not installed.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            volume = _READERS[kind](Path(path), name)
    except DataError:
        raise
    except ImportError as error:
        raise ReaderMissingError(
            "A volume needs a reader that is missing. Install pytest-medgan[volumes].", file=name
        ) from error
    except Exception as error:  # a damaged file can make the readers raise anything at all
        raise damaged_error(name) from error
    order = np.abs(volume.axes).argmax(axis=0)  # the patient axis (0 left, 1 back, 2 head) of each array axis
    if not np.isfinite(volume.axes).all() or sorted(order.tolist()) != [0, 1, 2]:
        raise DataError("A volume has an oblique orientation. Resample it to axial planes.", file=name)
    values = volume.values
    for axis in range(3):
        if volume.axes[order[axis], axis] < 0:
            values = np.flip(values, axis)
    places = order.tolist()
    upright = np.transpose(values, (places.index(2), places.index(1), places.index(0)))
    if float(upright.min()) * volume.slope + volume.intercept > _AIR_AT_MOST:
        raise DataError("A volume holds no air, so it is not CT in HU. Leave it out.", file=name)
    return Volume(upright, volume.slope, volume.intercept, volume.axes, volume.guessed)


def inspect_volume(root: Path, file: tuple[str, str]) -> VolumeProperties | DataError:
    """Return the properties of a volume, or the error if it cannot be used; run by a worker."""
    name, kind = file
    try:
        volume = open_volume(str(root / name), kind, name)
    except ReaderMissingError:
        raise
    except DataError as error:
        return error
    lengths = np.linalg.norm(volume.axes, axis=0)  # mm of a step along each array axis
    along = np.abs(volume.axes).argmax(axis=0).tolist()
    rows, columns = volume.values.shape[1:]
    return VolumeProperties(
        len(volume.values),
        (rows, columns),
        float(lengths[along.index(0)]),
        float(lengths[along.index(2)]),
        volume.guessed,
    )


def companions(root: Path, files: Sequence[SourceFile]) -> dict[str, str]:
    """Return header -> the file next to it that holds its values, for MetaImage; both relative to the data root."""
    found = {}
    for file in files:
        if file.kind == "metaimage":
            try:
                fields, _ = read_fields(root / file.name, file.name)
            except (DataError, OSError):
                continue  # `inspect_volume` reports it
            if fields["ElementDataFile"] != "LOCAL":
                folder = f"{file.folder}/" if file.folder else ""
                found[file.name] = folder + fields["ElementDataFile"]
    return found


def plan_volumes(
    reading: Reading, volumes: dict[str, VolumeProperties], digests: dict[str, str], table: dict[str, ClinicalRow]
) -> Plan:
    """Return the plan of the axial planes of volumes.

    Args:
        reading: The source.
        volumes: File -> properties of its volume.
        digests: File -> digest of its content.
        table: The clinical table.

    Raises:
        DataError: As `plan_pictures`, or two volumes of one patient.
    """
    settings = reading.settings
    kinds = {file.name: file.kind for file in reading.files}
    patients, rule = _patients(list(volumes), settings)
    jobs: dict[str, list[Job]] = defaultdict(list)
    for name in sorted(volumes, key=natural):
        if jobs[patients[name]]:
            raise DataError(
                "A folder holds a second volume of one patient. Keep one, or set patient=file if each file is a "
                "patient of its own.",
                file=name,
            )
        axial = [
            VolumeJob(name, kinds[name], digests[name], index, settings.crop_size, settings.size, settings.window)
            for index in range(volumes[name].planes)
        ]
        jobs[patients[name]] += [_cube(axial, volumes[name], settings)] if settings.planes != AXIAL else axial
    guessed = sum(volume.guessed for volume in volumes.values())
    if guessed:
        reading.findings.warn(f"{guessed} volumes have no orientation: their axes are taken as left, back and head")
    return plan_pictures(
        jobs,
        reading,
        table,
        inputs=_digest_of,
        window=settings.window,
        counts={"files": len(reading.files), "volumes": len(volumes)},
        identified_by=rule,
    )


def _cube(axial: Sequence[VolumeJob], volume: VolumeProperties, settings: DataSettings) -> CubeJob:
    """Return the cube of a volume; a plane that has the finished size already is not cropped."""
    pixels = settings.size if volume.shape == (settings.size, settings.size) else settings.crop_size
    return plan_cube(
        axial,
        middle=Fraction(len(axial) - 1, 2),
        side=pixels * volume.width,
        distance=volume.distance,
        settings=settings,
    )


def _digest_of(job: Job) -> str:
    """Return the digest of the file that a job reads."""
    one = job.jobs[0] if isinstance(job, CubeJob) else job
    return one.digest if isinstance(one, VolumeJob) else ""


def _patients(names: Sequence[str], settings: DataSettings) -> tuple[dict[str, str], str]:
    """Return file -> patient, and in words how patients were identified."""
    stems = {name: stem_of(name.rpartition("/")[2]) for name in names}
    tops = Counter(name.partition("/")[0] for name in names if "/" in name)
    collections = tops and sum(tops.values()) >= _COLLECTION * len(tops)
    uses_default_rule = settings.patient == "top" and "patient" not in settings.given
    if settings.patient == "file" or not tops or (uses_default_rule and collections):
        return stems, "the files' names"
    return {name: patient_of(name, stems[name], settings.patient) for name in names}, RULES[settings.patient]


def is_drawing(file: SourceFile) -> bool:
    """Return whether a volume is the drawing of a region, by its name or the name of a folder."""
    if file.kind not in VOLUMES:
        return False
    *folders, name = file.name.casefold().split("/")
    return bool(_DRAWING.search(name)) or any(_DRAWING_FOLDER.fullmatch(folder) for folder in folders)
