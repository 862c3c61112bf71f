"""NIfTI, NRRD and MetaImage volumes of HU, turned to the orientation of an axial CT slice.

A file is a drawing of a region and not used if its name or its folder's name says so (gtv, mask, seg, label). A volume
without air is not CT and is passed over. `patient=` decides how patients are identified; by default the topmost folder
is the patient, or the file's name where few folders hold many volumes (as imagesTr does).
"""

from __future__ import annotations

import re
import warnings
from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache, partial
from pathlib import Path

import numpy as np

from pytest_medgan.ct.cohort import ClinicalRow
from pytest_medgan.ct.cubes import CubeJob, check_square, is_square, plan_cube, tilted_error
from pytest_medgan.ct.finished import check_crop, settings_for
from pytest_medgan.ct.grouping import finish_picture, natural, plan_pictures
from pytest_medgan.ct.metaimage import read_metaimage
from pytest_medgan.ct.nifti import read_nifti
from pytest_medgan.ct.nrrd_file import read_nrrd
from pytest_medgan.ct.plan import Job, Plan
from pytest_medgan.ct.planes import AXIAL
from pytest_medgan.ct.reading import Reading
from pytest_medgan.ct.series import EDGE_TOLERANCE
from pytest_medgan.ct.volume_file import Volume, damaged_error
from pytest_medgan.ct.volume_patients import patients_of, second_volume_error
from pytest_medgan.errors import DataError
from pytest_medgan.ground.listing import VOLUMES, SourceFile
from pytest_medgan.records import DataSettings, Float64, UInt8

_READERS = {"nifti": read_nifti, "nrrd": read_nrrd, "metaimage": read_metaimage}
_DRAWING = re.compile(r"(?<![a-z])(?:i?gtv|mask|seg|label)")
_DRAWING_FOLDER = re.compile(r"(?:labels?|masks?|seg(?:mentations?)?|annotations?)(?:tr|ts)?")
_AIR_AT_MOST = -200.0  # HU; a volume without a value below this holds no lung and no air, so it is not CT in HU


class ReaderMissingError(DataError):
    """The package that reads a format is not installed; such a file is never passed over."""


@dataclass(frozen=True)
class VolumeProperties:
    """Properties of a volume, needed before its planes are rendered."""

    planes: int  # number of axial planes
    shape: tuple[int, int]  # of one, in pixels
    width: float  # mm of a pixel, from the right to the left
    height: float  # mm of a pixel, from the front to the back
    distance: float  # mm between planes, along their normal
    sideways: float  # mm from one plane to the next beside the normal: a tilted gantry
    guessed: bool  # whether the file has no orientation, so that one is assumed
    disputed: bool  # whether the file states another orientation or spacing too


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
    return replace(volume, values=upright)


def inspect_volume(root: Path, file: tuple[str, str]) -> VolumeProperties | DataError:
    """Return the properties of a volume, or the error if it cannot be used; run by a worker."""
    name, kind = file
    try:
        volume = open_volume(str(root / name), kind, name)
    except ReaderMissingError:
        raise
    except DataError as error:
        return error
    along = np.abs(volume.axes).argmax(axis=0).tolist()
    left, back, head = (volume.axes[:, along.index(axis)] for axis in range(3))  # mm, a step in each direction
    normal = np.cross(left, back) / np.linalg.norm(np.cross(left, back))
    rows, columns = volume.values.shape[1:]
    return VolumeProperties(
        len(volume.values),
        (rows, columns),
        width=float(np.linalg.norm(left)),
        height=float(np.linalg.norm(back)),
        distance=abs(float(head @ normal)),
        sideways=float(np.linalg.norm(head - (head @ normal) * normal)),
        guessed=volume.guessed,
        disputed=volume.disputed,
    )


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
    settings = settings_for(reading.settings, [volume.shape for volume in volumes.values()])
    check_crop(settings, "image")
    reading = replace(reading, settings=settings)
    kinds = {file.name: file.kind for file in reading.files}
    patients, rule = patients_of(list(volumes), settings, reading.findings)
    jobs: dict[str, list[Job]] = defaultdict(list)
    for name in sorted(volumes, key=natural):
        if jobs[patients[name]]:
            raise second_volume_error(name, patients, rule)
        axial = [
            VolumeJob(name, kinds[name], digests[name], index, settings.crop_size, settings.size, settings.window)
            for index in range(volumes[name].planes)
        ]
        jobs[patients[name]] += [_cube(axial, volumes[name], settings)] if settings.planes != AXIAL else axial
    # nibabel takes the second axis of such a NIfTI file to run to the front
    guessed = Counter("front" if kinds[name] == "nifti" else "back" for name in volumes if volumes[name].guessed)
    for second, count in sorted(guessed.items()):
        reading.findings.warn(f"{count} volumes have no orientation: their axes are taken as left, {second} and head")
    oblong = sum(not is_square(one.height, one.width, settings.crop_size) for one in volumes.values())
    if oblong:
        reading.findings.warn(f"{oblong} volumes have pixels that are not square: their images are stretched")
    disputed = sum(volume.disputed for volume in volumes.values())
    if disputed:
        reading.findings.warn(
            f"{disputed} NIfTI volumes state two geometries that differ: the sform is taken, not the qform or pixdim"
        )
    # their cubes were once made without the spacing of their voxels, and must not be taken for today's
    mended = {
        name for name, one in volumes.items() if kinds[name] == "metaimage" or (kinds[name] == "nrrd" and one.guessed)
    }
    return plan_pictures(
        jobs,
        reading,
        table,
        inputs=partial(_digest_of, mended=mended),
        window=settings.window,
        counts={"files": len(reading.files), "volumes": len(volumes)},
        identified_by=rule,
    )


def _cube(axial: Sequence[VolumeJob], volume: VolumeProperties, settings: DataSettings) -> CubeJob:
    """Return the cube of a volume; a plane that has the finished size already is not cropped."""
    pixels = settings.size if volume.shape == (settings.size, settings.size) else settings.crop_size
    side = pixels * volume.width
    if volume.distance > 0 and volume.sideways / volume.distance * side > EDGE_TOLERANCE:
        raise tilted_error(settings.planes, axial[0].file)
    check_square(volume.height, volume.width, pixels, settings.planes, axial[0].file)
    return plan_cube(
        axial,
        middle=Fraction(len(axial) - 1, 2),
        side=side,
        distance=volume.distance,
        settings=settings,
    )


def _digest_of(job: Job, *, mended: Collection[str]) -> str:
    """Return what names the content that a job reads; the cubes of some files have a digest of their own."""
    one = job.jobs[0] if isinstance(job, CubeJob) else job
    if not isinstance(one, VolumeJob):
        return ""
    return f"{one.digest} mm" if isinstance(job, CubeJob) and one.file in mended else one.digest


def is_drawing(file: SourceFile) -> bool:
    """Return whether a volume is the drawing of a region, by its name or the name of a folder."""
    if file.kind not in VOLUMES:
        return False
    *folders, name = file.name.casefold().split("/")
    return bool(_DRAWING.search(name)) or any(_DRAWING_FOLDER.fullmatch(folder) for folder in folders)
