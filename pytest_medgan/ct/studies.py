"""Plan a folder of DICOM studies: combine series, structure sets and clinical table, and choose slices."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from pytest_medgan.ct.choice import choose_series, patient_or_study
from pytest_medgan.ct.cohort import UNKNOWN, ClinicalRow, choose_patients
from pytest_medgan.ct.cropping import effective_crop, find_tumour, sound_structures
from pytest_medgan.ct.cubes import check_square, is_square, plan_cube, tilted_error
from pytest_medgan.ct.findings import LEAK, Findings
from pytest_medgan.ct.finished import check_crop, crop_size_of, settings_for
from pytest_medgan.ct.images import crop_corner, finish_image, upright
from pytest_medgan.ct.neighbours import check_neighbours, decoded
from pytest_medgan.ct.pixels import read_hounsfield
from pytest_medgan.ct.plan import Job, Plan
from pytest_medgan.ct.planes import AXIAL, choose_slices
from pytest_medgan.ct.reading import Reading
from pytest_medgan.ct.regions import StructureFile, choose_file
from pytest_medgan.ct.scale import check_scale, check_thorax
from pytest_medgan.ct.series import EDGE_TOLERANCE, Series
from pytest_medgan.ct.slices import Cause, Faulty, Header, Skipped
from pytest_medgan.ct.tumour import Centre, Tumour
from pytest_medgan.ground.listing import SourceFile
from pytest_medgan.records import DataSettings, UInt8


@dataclass(frozen=True)
class SliceJob:
    """The task of making one image from one slice of a CT series."""

    header: Header
    centre: Centre | None  # of the crop; None takes the image's middle
    crop_size: int
    size: int
    window: tuple[float, float]
    neighbours: tuple[Header, ...] = ()  # given where only they reveal damage
    sample: bool = False  # whether to check that the whole slice shows air and tissue

    @property
    def file(self) -> str:
        """The file it reads, relative to the data root."""
        return self.header.file

    def render(self, root: Path) -> UInt8:
        """Return the image, uint8 [size,size]; only the rows that the crop needs are read."""
        compressed = self.header.offset < 0
        if self.neighbours:
            check_neighbours(root, self.header, self.neighbours)
        if self.sample:
            check_thorax(decoded(root, self.header), self.file)
        pixels = self.header.pixels
        top, left = crop_corner(pixels.rows, pixels.columns, self.centre, self.crop_size)
        rows = slice(min(max(top, 0), pixels.rows), min(max(top + self.crop_size, 0), pixels.rows))
        band = decoded(root, self.header)[rows] if compressed else read_hounsfield(root, self.header, rows)
        check_scale(band, self.file)
        image = finish_image(
            band, corner=(top - rows.start, left), crop_size=self.crop_size, size=self.size, window=self.window
        )
        return upright(image, self.header.orientation)


def plan_studies(
    reading: Reading,
    found: Sequence[Header | Skipped | Faulty],
    structures: Sequence[StructureFile | Faulty],
    table: Mapping[str, ClinicalRow],
) -> Plan:
    """Decide which slices of which patients make the data set.

    Args:
        reading: The source.
        found: The result of reading each DICOM file's header.
        structures: RTSTRUCT and SEG; empty where crop=image.
        table: The clinical table, PatientID -> row.

    Raises:
        DataError: A file that is used is damaged, files contradict each other, or there are too few.
    """
    settings, findings = reading.settings, reading.findings
    headers = [item for item in found if isinstance(item, Header)]
    skipped = [item for item in found if isinstance(item, Skipped)]
    faulty = [item for item in found if isinstance(item, Faulty)]
    faulty += [*files_named_like_slices(reading.files, headers), *_other_content_in_series(headers, skipped)]
    drawn = sound_structures(structures, headers, findings)
    chosen = choose_series(headers, faulty, drawn, findings, _same_pixels(reading.root))
    _note_leaks(headers, findings)
    eligible = choose_patients(sorted(chosen), table, settings, findings)
    tumours = {patient: find_tumour(chosen[patient], drawn, settings, findings) for patient in eligible}
    settings = settings_for(settings, [_shape(chosen[patient]) for patient in eligible])
    check_crop(settings, "image" if None in tumours.values() else "tumour")
    crop = effective_crop(settings, tumours, drawn, findings)
    known_tumours = tumours if crop == "tumour" else {}
    if settings.planes != AXIAL:
        cubes = [_cube(chosen[patient], known_tumours.get(patient), settings) for patient in eligible]
        jobs, planned = [job for _, axial in cubes for job in axial], [cube for cube, _ in cubes]
        owners = list(range(len(cubes)))
    else:
        jobs, owners = _jobs(chosen, known_tumours, eligible, settings)
        planned = list(jobs)
    used = [chosen[patient] for patient in eligible]
    _note_series(used, settings, findings)
    outlines = [] if crop == "image" else [file for item in used if (file := choose_file(drawn, item)) is not None]
    known = frozenset([*(item.file for item in faulty), *(item.file for item in outlines)])
    for item in skipped:
        if item.file not in known:
            findings.skip(item.reason, [item.file])
    reading.skip_others("dicom", known=known)
    return Plan(
        patients=tuple(eligible),
        labels=tuple(table[patient].label if patient in table else UNKNOWN for patient in eligible),
        owners=tuple(owners),
        jobs=tuple(planned),
        inputs=_inputs(jobs, outlines, settings),
        instances=tuple(header.instance for series in chosen.values() for header in series.slices),
        window=settings.window,
        crop=crop,
        compressed=any(job.header.offset < 0 for job in jobs),
        warnings=findings.warnings,
        counts=_counts(reading, headers, used, jobs, outlines) | findings.counts,
        named=findings.named,
    )


def _inputs(jobs: Sequence[SliceJob], outlines: Sequence[StructureFile], settings: DataSettings) -> tuple[str, ...]:
    """Return what names the content that the images depend on."""
    headers = [job.header for job in jobs]
    # such slices were once read with holes in the patient, or cropped, and must not be taken for today's
    padded = sorted(f"{header.digest} padding" for header in headers if header.pixels.pads_tissue)
    whole = sorted(f"{job.header.digest} whole" for job in jobs if job.crop_size != settings.crop_size)
    return (*sorted(header.digest for header in headers), *sorted({file.digest for file in outlines}), *padded, *whole)


def files_named_like_slices(files: Sequence[SourceFile], headers: Sequence[Header]) -> list[Faulty]:
    """Return files that may be damaged slices: not DICOM, but named like the slices of their folder."""
    alike = {(header.file.rpartition("/")[0], Path(header.file).suffix.lower()) for header in headers}
    found = []
    for file in files:
        if file.kind != "dicom" and ((file.folder, file.suffix) in alike or file.suffix == ".dcm"):
            cause, what = (Cause.EMPTY, "is empty") if file.size == 0 else (Cause.FOREIGN, "is not a DICOM file")
            message = f"A file named like a DICOM slice {what}. Copy it again, or remove it."
            found.append(Faulty(file.name, message, cause))
    return found


def _other_content_in_series(headers: Sequence[Header], skipped: Sequence[Skipped]) -> list[Faulty]:
    """Return files of another kind inside CT series, which may be damaged slices; scouts and captures are allowed."""
    series = {header.series for header in headers}
    return [
        Faulty(
            item.file,
            f"A DICOM file lies in a CT series but is {item.reason}. Copy it again, or remove it.",
            Cause.MIXED,
            item.patient,
            item.series,
        )
        for item in skipped
        if item.series in series and item.reason not in ("localizer", "secondary capture")
    ]


def _same_pixels(root: Path) -> Callable[[Header, Header], bool]:
    """Return a function that compares the pixels of two slices."""

    def compare(one: Header, other: Header) -> bool:
        return np.array_equal(read_hounsfield(root, one), read_hounsfield(root, other), equal_nan=True)

    return compare


def _note_leaks(headers: Sequence[Header], findings: Findings) -> None:
    """Warn if a study or an image has two PatientIDs, which then belong to one person, or if two are nearly alike."""
    owners: dict[str, set[str]] = defaultdict(set)
    for header in headers:
        owners[header.study].add(patient_or_study(header))
        owners[header.instance].add(patient_or_study(header))
    shared = {patient for patients in owners.values() if len(patients) > 1 for patient in patients}
    if shared:
        findings.warn(f"{LEAK}: {len(shared)} PatientIDs share a study or an image with another")
    names = {header.patient for header in headers}
    alike = len(names) - len({name.casefold() for name in names})
    if alike:
        findings.warn(
            f"{alike} PatientIDs differ from another one in capital letters alone: if they are one person's, write "
            "them alike, since each is taken as a patient"
        )


def _note_series(used: Sequence[Series], settings: DataSettings, findings: Findings) -> None:
    """Warn of what a reader of the report should know about the series."""
    offsets = [series.largest_offset for series in used if series.largest_offset]
    if offsets:
        findings.warn(
            f"{len(offsets)} series are uneven: a slice lies {max(offsets):.3f} mm from its expected position"
        )
    mixed = sum(series.mixed_pixel_formats for series in used)
    if mixed:
        findings.warn(f"{mixed} series change their rescale, sign or padding: each slice is read with its own tags")
    frames = sum(len({header.frame_of_reference for header in series.slices}) > 1 for series in used)
    if frames:
        findings.warn(f"{frames} series have several frames of reference: their positions are taken as one frame")
    small = sum(min(_shape(series)) < settings.crop_size for series in used)
    if small and not settings.generated:
        findings.warn(f"{small} series have slices smaller than crop_size={settings.crop_size}: air fills the rest")
    oblong = sum(not is_square(*series.slices[0].spacing, settings.crop_size) for series in used)
    if oblong:
        findings.warn(f"{oblong} series have pixels that are not square: their images are stretched")
    short = sum(len(series) < (settings.slices or 0) for series in used)
    if short and settings.planes == AXIAL and settings.source.partition(":")[0] != "phantom":
        findings.warn(f"{short} of {len(used)} patients have fewer than {settings.slices} slices: all of them are used")
    lossy = sum(any(header.pixels.lossy for header in series.slices) for series in used)
    if lossy:
        findings.warn(f"{lossy} series were compressed with loss")


def _counts(
    reading: Reading,
    headers: Sequence[Header],
    used: Sequence[Series],
    jobs: Sequence[SliceJob],
    outlines: Sequence[StructureFile],
) -> dict[str, int]:
    """Return what was read and used, by name."""
    counts = {
        "files": len(reading.files),
        "slices found": len(headers),
        "patients": len(used),
        "slices used": len(jobs),
        "structure sets used": len(outlines),
        "overlapping series": sum(series.overlapping for series in used),
        "identical copies left out": sum(series.duplicates for series in used),
    }
    return {name: count for name, count in counts.items() if count}


def _jobs(
    chosen: Mapping[str, Series],
    tumours: Mapping[str, Tumour | None],
    eligible: Sequence[str],
    settings: DataSettings,
) -> tuple[list[SliceJob], list[int]]:
    """Return the slices to render in order of patient and position, and each one's patient."""
    jobs: list[SliceJob] = []
    owners: list[int] = []
    for row, patient in enumerate(eligible):
        series, tumour = chosen[patient], tumours.get(patient)
        middle = Fraction(len(series) - 1, 2) if tumour is None else tumour.middle
        indices = choose_slices(len(series), settings.slices, middle)
        jobs += _slice_jobs(series, indices, (lambda _: None) if tumour is None else tumour.centre, settings)
        owners += [row] * len(indices)
    return jobs, owners


def _shape(series: Series) -> tuple[int, int]:
    """Return the rows and columns of the slices of a series."""
    pixels = series.slices[0].pixels
    return pixels.rows, pixels.columns


def _cube(series: Series, tumour: Tumour | None, settings: DataSettings) -> tuple[Job, list[SliceJob]]:
    """Return the cube of a series round its tumour or its middle, and the axial slices that it is made of.

    Raises:
        DataError: The scan is shorter than the cube, its slices are not stacked along their normal, or its pixels are
            not square.
    """
    pixels = crop_size_of(_shape(series), settings, series.slices[0].file)
    side = pixels * series.slices[0].spacing[1]
    height = (len(series) - 1) * series.step
    if height > 0 and series.sideways * min(side / height, 1.0) > EDGE_TOLERANCE:
        raise tilted_error(settings.planes, series.slices[0].file)
    check_square(*series.slices[0].spacing, pixels, settings.planes, series.slices[0].file)
    middle, *centre = tumour.centroid if tumour is not None else (Fraction(len(series) - 1, 2),)
    place = (centre[0], centre[1]) if centre else None
    axial = _slice_jobs(series, range(len(series)), lambda _: place, settings)
    cube = plan_cube(
        axial,
        middle=middle,
        side=side,
        distance=series.step,
        settings=settings,
    )
    return cube, [job for job in cube.jobs if isinstance(job, SliceJob)]


def _slice_jobs(
    series: Series, indices: range, centre: Callable[[int], Centre | None], settings: DataSettings
) -> list[SliceJob]:
    """Return the tasks of some slices of a series; `centre` is that of the crop, by slice."""
    jobs: list[SliceJob] = []
    crop_size = crop_size_of(_shape(series), settings, series.slices[0].file)
    for index in indices:
        header = series.slices[index]
        near = (*series.slices[max(index - 1, 0) : index], *series.slices[index + 1 : index + 2])
        jobs.append(
            SliceJob(
                header,
                centre(index),
                crop_size,
                settings.size,
                settings.window,
                neighbours=near if header.offset < 0 or series.mixed_pixel_formats else (),
                sample=index == indices[len(indices) // 2],
            )
        )
    return jobs
