"""Which kind of source a folder or file is, by its content, and the plan that its kind makes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pytest_medgan.ct.arrays import plan_arrays
from pytest_medgan.ct.cohort import read_tables
from pytest_medgan.ct.files import SourceFile, content_digest
from pytest_medgan.ct.headers import read_headers
from pytest_medgan.ct.plan import Plan
from pytest_medgan.ct.rasters import plan_rasters
from pytest_medgan.ct.regions import StructureFile
from pytest_medgan.ct.segmentation import read_segmentation
from pytest_medgan.ct.slices import Skipped
from pytest_medgan.ct.studies import plan_studies
from pytest_medgan.ct.tumour import read_structures
from pytest_medgan.ct.volumes import count_planes, is_drawing, plan_volumes
from pytest_medgan.ct.workers import Crew
from pytest_medgan.errors import DataError
from pytest_medgan.records import DataSettings, Progress

_READERS = {"RTSTRUCT": read_structures, "SEG": read_segmentation}
_KINDS = {
    "png": "pictures",
    "tiff": "pictures",
    "nifti": "volumes",
    "nrrd": "volumes",
    "npy": "arrays",
    "npz": "arrays",
}


def plan_source(
    root: Path, files: Sequence[SourceFile], settings: DataSettings, crew: Crew, progress: Progress
) -> Plan:
    """The plan of whatever lies under `root`; DICOM goes before anything else that lies beside it.

    Raises DataError for a source that holds no images, or several kinds of them.
    """
    if any(file.kind == "dicom" or file.suffix == ".dcm" for file in files):
        return _plan_dicom(root, files, settings, crew, progress)
    kinds = {_KINDS[file.kind] for file in files if file.kind in _KINDS}
    if not kinds:
        raise DataError("the source holds no DICOM file and no other image; give a folder of CT studies, or phantom")
    if len(kinds) > 1:
        raise DataError(f"the source holds {' and '.join(sorted(kinds))}; give each kind a folder of its own")
    tables = [file.name for file in files if file.kind == "csv"]
    used = [file for file in files if file.kind in _KINDS and not is_drawing(file)]
    hashed = crew.map(digest_file, [file.name for file in used], what="reading files", progress=progress)
    digests = dict(zip([file.name for file in used], hashed, strict=True))
    if kinds == {"pictures"}:
        return plan_rasters(root, files, digests, read_tables(root, tables), settings)
    if kinds == {"volumes"}:
        named = [(file.name, file.kind) for file in used]
        planes = crew.map(count_planes, named, what="reading volumes", progress=progress)
        counted = dict(zip(digests, planes, strict=True))
        return plan_volumes(files, counted, digests, read_tables(root, tables), settings)
    if len(used) > 1:
        raise DataError("the folder holds several array files; name one of them")
    return plan_arrays(root, used[0].name, digests[used[0].name], settings)


def digest_file(root: Path, name: str) -> str:
    """What a worker does with one file that is hashed as a whole."""
    return content_digest(root / name)


def read_structure_file(root: Path, item: Skipped) -> StructureFile:
    """What a worker does with one RTSTRUCT or SEG."""
    return _READERS[item.reason](root, item.file, item.digest)


def _plan_dicom(
    root: Path, files: Sequence[SourceFile], settings: DataSettings, crew: Crew, progress: Progress
) -> Plan:
    dicom = [file.name for file in files if file.kind == "dicom"]
    found = crew.map(read_headers, dicom, what="reading headers", progress=progress)
    headers = [item for items in found for item in items]
    drawn = [item for item in headers if isinstance(item, Skipped) and item.reason in _READERS]
    wanted = drawn if settings.crop != "image" else []
    structures = crew.map(read_structure_file, wanted, what="reading structures", progress=progress)
    table = read_tables(root, [file.name for file in files if file.kind == "csv"])
    return plan_studies(files, headers, structures, table, settings)
