"""Plan images that come as pictures or planes of volumes: find the patient of each image."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction

import numpy as np

from pytest_medgan.ct.cohort import UNKNOWN, ClinicalRow, choose_patients
from pytest_medgan.ct.findings import Findings
from pytest_medgan.ct.images import crop_corner, finish_image
from pytest_medgan.ct.plan import Job, Plan
from pytest_medgan.ct.planes import choose_slices
from pytest_medgan.ct.reading import Reading
from pytest_medgan.errors import DataError
from pytest_medgan.records import DataSettings, Float64, UInt8

GREY = (0.0, 255.0)  # the window of pictures stored as grey levels
ALONE = "unknown"  # the one patient of pictures whose patients are not known
RULES = {  # data option patient= -> the rule in words
    "top": "the topmost folder of each file",
    "folder": "the folder that each file lies in",
    "file": "the file's name up to its last number",
}
_FORMATS = re.compile(r"\.(?:png|jpe?g|bmp|tiff?|nii(?:\.gz)?|nrrd|mh[ad])$", re.IGNORECASE)
_FEW_GROUPS, _LARGE_GROUP = 8, 40  # fewer groups with more images each may be classes rather than patients


def finish_picture(values: Float64, *, crop_size: int, size: int, window: tuple[float, float], file: str) -> UInt8:
    """Return one picture as a finished image; one that has the finished size already is not cropped.

    Args:
        values: Float64 [H,W], HU or grey levels.
        crop_size: Pixels cut from the picture, a side.
        size: Pixels of the finished image, a side.
        window: The values of grey 0 and 255.
        file: What messages call the picture.

    Returns:
        uint8 [size,size].

    Raises:
        DataError: The picture is smaller than the crop.
    """
    if values.shape == (size, size):
        crop_size = size
    elif min(values.shape) < crop_size:
        rows, columns = values.shape
        whole = f"size={rows} to take such pictures whole, or " if rows == columns else ""
        raise DataError(
            f"A picture is {rows}x{columns}, smaller than crop_size={crop_size}. Give {whole}a smaller crop_size.",
            file=file,
        )
    corner = crop_corner(values.shape[0], values.shape[1], None, crop_size)
    return finish_image(values, corner=corner, crop_size=crop_size, size=size, window=window)


def finish_colours(colours: UInt8, *, crop_size: int, size: int, file: str) -> UInt8:
    """Return one coloured picture, uint8 [H,W,3], as a finished image, uint8 [1,3,size,size]; see `finish_picture`."""
    values = np.moveaxis(colours, -1, 0).astype(np.float64)
    return np.stack([finish_picture(one, crop_size=crop_size, size=size, window=GREY, file=file) for one in values])[
        None
    ]


def natural(name: str) -> tuple[tuple[int, int, str], ...]:
    """Return a key that puts slice-9 before slice-10."""
    return tuple((0, int(part), "") if part.isdecimal() else (1, 0, part) for part in re.split(r"(\d+)", name) if part)


def patient_of(name: str, alone: str, rule: str = "top") -> str:
    """Return the patient a file belongs to.

    Args:
        name: The file, relative to the data root.
        alone: The patient of a file that lies in no folder.
        rule: A key of RULES.

    Examples:
        >>> patient_of("P7/day1/3.png", "unknown"), patient_of("sick/P7/3.png", "unknown", "folder")
        ('P7', 'sick/P7')
        >>> patient_of("sick/P7_03.png", "unknown", "file")
        'P7'
    """
    folder, _, file = name.rpartition("/")
    if rule == "file":
        stem = stem_of(file)
        return re.sub(r"[\W_]*\d+$", "", stem) or stem
    if not folder:
        return alone
    return folder if rule == "folder" else name.partition("/")[0]


def stem_of(file: str) -> str:
    """Return a file's name without the end that names its format; scans named by a UID hold dots.

    Examples:
        >>> stem_of("lung_001.nii.gz"), stem_of("1.3.6.1.7.mhd")
        ('lung_001', '1.3.6.1.7')
    """
    return _FORMATS.sub("", file)


def plan_pictures(
    jobs: Mapping[str, Sequence[Job]],
    reading: Reading,
    table: Mapping[str, ClinicalRow],
    *,
    inputs: Callable[[Job], str],
    window: tuple[float, float] | None,
    counts: Mapping[str, int],
    identified_by: str,
    guessed: bool = False,
) -> Plan:
    """Return the plan of images whose patients are known.

    Args:
        jobs: Patient -> jobs in order.
        reading: The source.
        table: The clinical table, patient -> row.
        inputs: Returns the digest of the file that a job reads.
        window: The HU of grey 0 and 255; None for pictures stored as grey levels.
        counts: What was read.
        identified_by: How the patients are identified, in words.
        guessed: Whether patients are guessed from folders or file names, which may mean something else.

    Raises:
        DataError: crop=tumour, which needs contours, or unknown patients under split=patient.
    """
    settings, findings = reading.settings, reading.findings
    if settings.crop == "tumour":
        raise DataError("crop=tumour needs DICOM studies with contours. Use crop=image.")
    if set(jobs) == {ALONE} and settings.split == "patient":
        raise DataError(
            "The pictures have no patients, which split=patient needs. Keep one folder per patient, add a table with "
            "columns file and patient, set patient=file if their names begin with the patient's, or use split=slice."
        )
    findings.add_names("patients are identified by", [identified_by])
    if guessed:
        _note_groups([len(own) for own in jobs.values()], identified_by, settings, findings)
    eligible = choose_patients(sorted(jobs), table, settings, findings)
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
        inputs=tuple(digest for _, digest in sorted(zip(owners, map(inputs, chosen), strict=True))),
        instances=tuple(sorted({inputs(job) for own in jobs.values() for job in own})),
        window=window,
        crop="image",
        warnings=findings.warnings,
        counts={
            **{name: count for name, count in counts.items() if count},
            "patients": len(eligible),
            "slices used": len(chosen),
            **findings.counts,
        },
        named=findings.named,
    )


def _note_groups(sizes: Sequence[int], identified_by: str, settings: DataSettings, findings: Findings) -> None:
    """Warn if the supposed patients may be classes: few groups with many images."""
    if settings.split == "patient" and 1 < len(sizes) < _FEW_GROUPS and sum(sizes) > _LARGE_GROUP * len(sizes):
        findings.warn(
            f"{len(sizes)} groups of {min(sizes)} to {max(sizes)} images are taken as patients, by {identified_by}: if "
            "they are classes, set patient=folder or patient=file, or add a table with columns file and patient"
        )
