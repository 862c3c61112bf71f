"""A .npy or .npz of pictures.

It holds `pixels` [N,H,W] or [N,1,H,W], with `channels=3` [N,3,H,W], uint8 or, with `range=`, any numbers, and in an
.npz optionally `patient` (or `groups`) [N] and `labels` [N]. A set that `medgan prepare` wrote is read by `store`.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pytest_medgan.ct.cohort import UNKNOWN, ClinicalRow
from pytest_medgan.ct.grouping import ALONE, GREY, finish_colours, finish_picture, plan_pictures
from pytest_medgan.ct.idle_options import refuse_idle, refuse_idle_crop_size
from pytest_medgan.ct.plan import Job, Plan
from pytest_medgan.ct.reading import Reading
from pytest_medgan.errors import DataError
from pytest_medgan.ground.arrays import ALONE as PIXELS
from pytest_medgan.ground.arrays import picture_images, read_arrays
from pytest_medgan.records import UInt8

_IDLE = {  # option -> why it has no effect, and what to do
    "window": "on an array, which holds grey levels. Leave window= out; range= says what black and white are.",
    "roi": "on an array, which has no structure sets. Leave roi= out.",
    "patient": "on an array, which names the patients itself. Leave patient= out; the array patient [N] names them.",
}
_NOBODY = ("", "nan", "None", "NaT")  # how numpy and pandas write that no patient is known
_PATIENT_KEYS = ("groups", "patient", "patients", "patient_id")


@dataclass(frozen=True, eq=False)
class ArrayJob:
    """The task of making one image from one picture of an array."""

    picture: UInt8  # [H,W], or in colour [3,H,W]
    crop_size: int
    size: int
    file: str

    def render(self, root: Path) -> UInt8:
        """Return the image, uint8 [size,size], or in colour [1,3,size,size]."""
        if self.picture.ndim == 3:
            colours = np.moveaxis(self.picture, 0, -1)
            return finish_colours(colours, crop_size=self.crop_size, size=self.size, file=self.file)
        values = self.picture.astype(np.float64)
        return finish_picture(values, crop_size=self.crop_size, size=self.size, window=GREY, file=self.file)


def plan_arrays(reading: Reading, name: str, digest: str) -> Plan:
    """Return the plan of one .npy or .npz file, each patient's pictures in their order in the file.

    Args:
        reading: The source.
        name: The file, relative to the data root.
        digest: Of its content.

    Raises:
        DataError: The array has another type or shape, or labels contradict each other.
    """
    settings = reading.settings
    refuse_idle(settings, _IDLE)
    pixels, patients, labels = read_pictures(reading.root / name, name, settings.range, settings.channels)
    if set(patients) == {ALONE} and settings.split == "patient":
        raise DataError(
            "The pictures of an array file have no patients, which split=patient needs. Save an .npz that also has an "
            "array named patient [N], or use split=slice.",
            file=name,
        )
    refuse_idle_crop_size(settings, {(pixels.shape[-2], pixels.shape[-1])}, "pictures")
    jobs: dict[str, list[Job]] = defaultdict(list)
    outcomes: dict[str, set[int]] = defaultdict(set)
    for picture, patient, label in zip(pixels, patients, labels, strict=True):
        jobs[patient].append(ArrayJob(picture, settings.crop_size, settings.size, name))
        outcomes[patient].add(label)
    if any(len(own) > 1 for own in outcomes.values()):
        raise DataError("The labels of an array file contradict each other for one patient. Correct them.", file=name)
    table = {patient: ClinicalRow(patient, "", own.pop()) for patient, own in outcomes.items()}
    return plan_pictures(
        jobs,
        reading,
        table,
        inputs=lambda job: digest,
        window=None,
        counts={"files": 1, "pictures": len(pixels)},
        identified_by="an array of the file",
    )


def read_pictures(
    path: Path, name: str, limits: tuple[float, float] | None = None, channels: int = 1
) -> tuple[UInt8, list[str], list[int]]:
    """Read an array file.

    Args:
        path: The file.
        name: Its name in messages.
        limits: The values of black and white; None for uint8.
        channels: 3 for colours.

    Returns:
        uint8 [N,H,W] or [N,3,H,W], and the patient and the label of each.

    Raises:
        DataError: The file is damaged, or lacks what it must hold.
    """
    wanted = (PIXELS, "labels", "description", *_PATIENT_KEYS)
    arrays = read_arrays(path, name=name, only=wanted)
    if "description" in arrays:  # a valid one is read by store.load_prepared
        raise DataError(
            "An array file was written by medgan prepare and is damaged, or of another version. Make it again.",
            file=name,
        )
    if PIXELS not in arrays:
        raise DataError("An array file has no array named pixels. Save it with one.", file=name)
    pixels = picture_images(arrays[PIXELS], name=name, limits=limits, channels=channels)
    key = next((key for key in _PATIENT_KEYS if key in arrays), None)
    patients = [ALONE] * len(pixels) if key is None else _patients(arrays[key], key, name)
    labels = _labels(arrays.get("labels"), len(pixels), name)
    if len(patients) != len(pixels):
        raise DataError(
            f"An array file has {len(pixels)} pictures and {len(patients)} patients. Give one patient per picture.",
            file=name,
        )
    return pixels, patients, labels


def _patients(values: npt.NDArray[np.generic], key: str, name: str) -> list[str]:
    """Return the patient of each picture; raise DataError where one has none."""
    found = [str(value).strip() for value in values.ravel().tolist()]
    unnamed = sum(value in _NOBODY for value in found)
    if unnamed:
        raise DataError(
            f"The array {key} of an array file is empty or NaN for {unnamed} pictures. Name the patient of each, or "
            "leave these pictures out.",
            file=name,
        )
    return found


def _labels(values: npt.NDArray[np.generic] | None, count: int, name: str) -> list[int]:
    """Return one label per picture; unknown if the file has none."""
    if values is None:
        return [UNKNOWN] * count
    if values.shape != (count,) or values.dtype.kind not in "iub" or not set(values.tolist()) <= {-1, 0, 1}:
        raise DataError("The labels of an array file must be 1, 0 or -1, one per picture. Correct them.", file=name)
    return [int(value) for value in values.tolist()]
