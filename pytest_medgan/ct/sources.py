"""Detect the kind of a source by its content, and plan it."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from pytest_medgan.ct.arrays import plan_arrays
from pytest_medgan.ct.companions import companions
from pytest_medgan.ct.contours import read_structures
from pytest_medgan.ct.headers import read_headers
from pytest_medgan.ct.idle_options import refuse_idle, refuse_idle_crop_size
from pytest_medgan.ct.plan import Plan
from pytest_medgan.ct.planes import AXIAL
from pytest_medgan.ct.rasters import plan_rasters
from pytest_medgan.ct.reading import Reading
from pytest_medgan.ct.regions import StructureFile
from pytest_medgan.ct.segmentation import read_segmentation
from pytest_medgan.ct.slices import Cause, Faulty, Skipped
from pytest_medgan.ct.studies import plan_studies
from pytest_medgan.ct.volumes import VolumeProperties, inspect_volume, is_drawing, plan_volumes
from pytest_medgan.errors import DataError
from pytest_medgan.ground.digests import digest_file
from pytest_medgan.ground.listing import PICTURES, VOLUMES

_STRUCTURES = {"RTSTRUCT": read_structures, "SEG": read_segmentation}
_IDLE_FOR_DICOM = {  # option -> why it has no effect, and what to do
    "range": "on DICOM files, which say how their values become HU. Leave range= out; window= sets black and white.",
    "patient": "on DICOM files, which name their patients. Leave patient= out.",
}
_IDLE_FOR_VOLUMES = {
    "range": "on volumes, whose values are HU. Leave range= out; window= sets black and white.",
    "roi": "on volumes, which have no structure sets. Leave roi= out.",
}
_ARCHIVES = (".zip", ".tar", ".tgz", ".gz", ".bz2", ".xz", ".7z", ".rar")
_KINDS = {
    **dict.fromkeys(PICTURES, "pictures"),
    **dict.fromkeys(VOLUMES, "volumes"),
    "npy": "arrays",
    "npz": "arrays",
}


def plan_source(reading: Reading) -> Plan:
    """Return the plan of a source of any kind; if it holds DICOM files, only they are used.

    Raises:
        DataError: The source holds no images, or several kinds of them.
    """
    if reading.names("dicom"):
        return _plan_dicom(reading)
    kinds = {_KINDS[file.kind] for file in reading.files if file.kind in _KINDS}
    if not kinds and any(file.suffix in _ARCHIVES for file in reading.files):
        raise DataError("The data source holds archives and no image outside of them. Unpack them.")
    if not kinds:
        raise DataError("The data source holds no DICOM file and no other image. Name a folder of studies, or phantom.")
    if len(kinds) > 1:
        raise DataError(f"The data source holds {' and '.join(sorted(kinds))}. Give each kind a folder of its own.")
    if kinds == {"volumes"}:
        return _plan_volumes(reading)
    if (planes := reading.settings.planes) != AXIAL:
        raise DataError(f"planes={planes} needs volumes or DICOM series. Give them, or leave planes= out.")
    names = reading.names(*_KINDS)
    hashed = reading.crew.map(
        digest_content, [(name,) for name in names], what="reading files", progress=reading.progress
    )
    if kinds == {"pictures"}:
        return plan_rasters(reading, dict(zip(names, hashed, strict=True)), reading.clinical_table())
    if len(names) > 1:
        raise DataError("The folder holds several array files. Name one of them.")
    return plan_arrays(reading, names[0], hashed[0])


def digest_content(root: Path, names: tuple[str, ...]) -> str:
    """Return the digest of files that belong together; run by a worker."""
    return "/".join(digest_file(root / name) for name in names)


def read_structure_file(root: Path, item: tuple[Skipped, str | None]) -> StructureFile | Faulty:
    """Read an RTSTRUCT or SEG; run by a worker. The second part of `item` is the region's name."""
    skipped, roi = item
    try:
        return _STRUCTURES[skipped.reason](root, skipped.file, skipped.digest, roi)
    except DataError as error:
        return Faulty(skipped.file, str(error), Cause.DAMAGED, skipped.patient)


def _plan_dicom(reading: Reading) -> Plan:
    """Return the plan of a folder with DICOM files."""
    settings, crew = reading.settings, reading.crew
    refuse_idle(settings, _IDLE_FOR_DICOM)
    read_one = partial(read_headers, allow_synthetic=settings.generated)
    read = crew.map(read_one, reading.names("dicom"), what="reading headers", progress=reading.progress)
    found = [item for items in read for item in items]
    drawn = [item for item in found if isinstance(item, Skipped) and item.reason in _STRUCTURES]
    if not drawn:
        refuse_idle(settings, {"roi": "on studies without RTSTRUCT or SEG. Leave roi= out, or add these files."})
    wanted = [(item, settings.roi) for item in drawn] if settings.crop != "image" else []
    structures = crew.map(read_structure_file, wanted, what="reading structures", progress=reading.progress)
    return plan_studies(reading, found, structures, reading.clinical_table())


def _plan_volumes(reading: Reading) -> Plan:
    """Return the plan of a folder with volumes."""
    refuse_idle(reading.settings, _IDLE_FOR_VOLUMES)
    drawings = [file.name for file in reading.files if is_drawing(file)]
    reading.findings.skip("label map", drawings)
    values = companions(reading.root, reading.files)
    known = frozenset(values.values())
    used = [file for file in reading.files if file.kind in VOLUMES and file.name not in (*drawings, *known)]
    reading.skip_others(*VOLUMES, known=known | frozenset(drawings))
    seen = reading.crew.map(
        inspect_volume, [(file.name, file.kind) for file in used], what="reading volumes", progress=reading.progress
    )
    volumes: dict[str, VolumeProperties] = {}
    for file, volume in zip(used, seen, strict=True):
        if isinstance(volume, VolumeProperties):
            volumes[file.name] = volume
        else:
            reading.findings.pass_over(volume, "volume that cannot be used")
    if not volumes:
        errors = [volume for volume in seen if isinstance(volume, DataError)]
        raise errors[0] if errors else DataError("The folder holds label maps and no CT volume. Add the volumes.")
    refuse_idle_crop_size(reading.settings, {volume.shape for volume in volumes.values()}, "volumes with planes")
    together = [(name, *([values[name]] if name in values else [])) for name in volumes]
    hashed = reading.crew.map(digest_content, together, what="reading files", progress=reading.progress)
    return plan_volumes(reading, volumes, dict(zip(volumes, hashed, strict=True)), reading.clinical_table())
