"""A .npy or .npz of grey pictures: uint8 `pixels` [N,H,W] or [N,1,H,W], and in an .npz optionally `patient` (or
`groups`) [N] and `labels` [N]. A set that `medgan prepare` wrote is taken as it is (store.py)."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from pytest_medgan.ct.cohort import UNKNOWN, ClinicalRow
from pytest_medgan.ct.pictures import ALONE, GREY, finish_picture, plan_pictures
from pytest_medgan.ct.plan import Job, Plan
from pytest_medgan.errors import DataError
from pytest_medgan.records import DataSettings, UInt8

_PATIENT_KEYS = ("groups", "patient", "patients", "patient_id")


@dataclass(frozen=True, eq=False)
class ArrayJob:
    """One picture of an array to one image."""

    picture: UInt8
    crop_size: int
    size: int
    file: str

    def render(self, root: Path) -> UInt8:
        """uint8 [size,size]."""
        values = self.picture.astype(np.float64)
        return finish_picture(values, crop_size=self.crop_size, size=self.size, window=GREY, file=self.file)


def plan_arrays(root: Path, name: str, digest: str, settings: DataSettings) -> Plan:
    """The pictures of one .npy or .npz file, each patient's in their order in the file.

    Raises DataError for an array of another type or shape, or with NaN.
    """
    pixels, patients, labels = read_arrays(root / name, name)
    jobs: dict[str, list[Job]] = defaultdict(list)
    outcomes: dict[str, set[int]] = defaultdict(set)
    for picture, patient, label in zip(pixels, patients, labels, strict=True):
        jobs[patient].append(ArrayJob(picture, settings.crop_size, settings.size, name))
        outcomes[patient].add(label)
    if any(len(own) > 1 for own in outcomes.values()):
        raise DataError("labels one patient in two ways; give each patient one label", file=name)
    table = {patient: ClinicalRow(patient, "", own.pop()) for patient, own in outcomes.items()}
    return plan_pictures(
        jobs,
        settings,
        table,
        inputs=lambda job: digest,
        window=None,
        warnings=[],
        counts={"files": 1, "pictures": len(pixels)},
    )


def read_arrays(path: Path, name: str) -> tuple[UInt8, list[str], list[int]]:
    """uint8 [N,H,W], and a patient and a label of each. Raises DataError."""
    try:
        with path.open("rb") as stream:
            loaded = np.load(stream, allow_pickle=False)
            alone = isinstance(loaded, np.ndarray)
            arrays = {"pixels": loaded} if alone else {key: loaded[key] for key in loaded.files}
    except (OSError, ValueError, EOFError, BadZipFile, KeyError) as error:
        raise DataError(f"is no sound array file ({type(error).__name__}); save it again", file=name) from error
    if "description" in arrays:  # a sound one is read by store.load_prepared
        raise DataError("was written by medgan prepare and is damaged, or of another version; make it again", file=name)
    if "pixels" not in arrays:
        raise DataError("has no array named pixels; save it with one", file=name)
    pixels = arrays["pixels"]
    if pixels.ndim == 4 and pixels.shape[1] == 1:
        pixels = pixels[:, 0]
    if pixels.dtype.kind == "f" and not np.isfinite(pixels).all():
        raise DataError("pixels hold NaN or infinity; save grey levels 0..255", file=name)
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or not pixels.size:
        raise DataError(
            f"pixels are {pixels.dtype} {list(pixels.shape)}; save uint8 [N,H,W] or [N,1,H,W], grey 0..255", file=name
        )
    key = next((key for key in _PATIENT_KEYS if key in arrays), None)
    patients = [ALONE] * len(pixels) if key is None else [str(value) for value in arrays[key].ravel().tolist()]
    labels = _labels(arrays.get("labels"), len(pixels), name)
    if len(patients) != len(pixels):
        raise DataError(f"has {len(pixels)} pictures and {len(patients)} patients; give one a picture", file=name)
    return pixels, patients, labels


def _labels(values: npt.NDArray[np.generic] | None, count: int, name: str) -> list[int]:
    if values is None:
        return [UNKNOWN] * count
    if values.shape != (count,) or values.dtype.kind not in "iub" or not set(values.tolist()) <= {-1, 0, 1}:
        raise DataError("labels are not one of 1, 0 or -1 a picture; correct them", file=name)
    return [int(value) for value in values.tolist()]
