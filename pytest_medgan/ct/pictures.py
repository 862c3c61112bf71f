"""Pictures that are grey already, or volumes in other formats, cut to size by the same rule as CT slices."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction

from pytest_medgan.ct.cohort import UNKNOWN, ClinicalRow, choose_patients
from pytest_medgan.ct.images import crop_corner, finish_image
from pytest_medgan.ct.plan import Job, Plan
from pytest_medgan.ct.studies import choose_slices
from pytest_medgan.errors import DataError
from pytest_medgan.records import DataSettings, Float64, UInt8

GREY = (0.0, 255.0)  # the window of pictures that are grey already
ALONE = "unknown"  # the one patient of pictures whose patients are not known


def finish_picture(values: Float64, *, crop_size: int, size: int, window: tuple[float, float], file: str) -> UInt8:
    """One picture, float64 [H,W] HU or grey -> uint8 [size,size]; one that has that size already is not cropped.

    Raises DataError for a picture smaller than the crop.
    """
    if values.shape == (size, size):
        crop_size = size
    elif min(values.shape) < crop_size:
        rows, columns = values.shape
        raise DataError(
            f"is {rows}x{columns}, smaller than crop_size {crop_size}; give a smaller one, or {size}x{size} pictures",
            file=file,
        )
    corner = crop_corner(values.shape[0], values.shape[1], None, crop_size)
    return finish_image(values, corner=corner, crop_size=crop_size, size=size, window=window)


def natural(name: str) -> tuple[tuple[int, int, str], ...]:
    """A key that puts slice-9 before slice-10."""
    return tuple((0, int(part), "") if part.isdigit() else (1, 0, part) for part in re.split(r"(\d+)", name) if part)


def patient_of(name: str, alone: str) -> str:
    """The patient a file belongs to: its topmost folder, or `alone` where it lies in none."""
    folder, slash, _ = name.partition("/")
    return folder if slash else alone


def plan_pictures(
    jobs: Mapping[str, Sequence[Job]],
    settings: DataSettings,
    table: Mapping[str, ClinicalRow],
    *,
    inputs: Callable[[Job], str],
    window: tuple[float, float] | None,
    warnings: Sequence[str],
    counts: Mapping[str, int],
) -> Plan:
    """A plan of patient -> jobs in order; `inputs` gives the digest of the file a job reads.

    Raises DataError for crop=tumour, which needs contours, and for unknown patients under split=patient.
    """
    if settings.crop == "tumour":
        raise DataError("crop=tumour needs DICOM studies with contours; use crop=image")
    if set(jobs) == {ALONE} and settings.split == "patient":
        raise DataError(
            "the pictures name no patients, which split=patient needs; keep one folder a patient, add a table with "
            "columns file and patient, or use split=slice"
        )
    notes = list(warnings)
    eligible = choose_patients(sorted(jobs), table, settings, notes)
    chosen: list[Job] = []
    owners: list[int] = []
    for row, patient in enumerate(eligible):
        own = jobs[patient]
        middle = Fraction(len(own) - 1, 2)
        chosen += [own[at] for at in choose_slices(len(own), settings.slices, middle)]
        owners += [row] * (len(chosen) - len(owners))
    return Plan(
        patients=tuple(eligible),
        labels=tuple(table[patient].label if patient in table else UNKNOWN for patient in eligible),
        owners=tuple(owners),
        jobs=tuple(chosen),
        inputs=tuple(sorted(inputs(job) for job in chosen)),
        instances=tuple(sorted({inputs(job) for own in jobs.values() for job in own})),
        window=window,
        crop="image",
        warnings=tuple(notes),
        counts=dict(sorted({**counts, "patients": len(eligible), "slices used": len(chosen)}.items())),
    )
