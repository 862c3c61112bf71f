"""A folder of DICOM studies to a plan: series, structures and clinical table brought together, slices chosen."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import floor
from pathlib import Path

from pytest_medgan.ct.cohort import LEAK, UNKNOWN, ClinicalRow, choose_patients
from pytest_medgan.ct.dicom import Series, build_series
from pytest_medgan.ct.files import SourceFile
from pytest_medgan.ct.images import crop_corner, finish_image, upright
from pytest_medgan.ct.neighbours import check_neighbours, decoded
from pytest_medgan.ct.pixels import read_hounsfield
from pytest_medgan.ct.plan import Plan
from pytest_medgan.ct.regions import StructureFile, choose_file
from pytest_medgan.ct.slices import Header, Skipped
from pytest_medgan.ct.tumour import Centre, Tumour, locate_tumour
from pytest_medgan.errors import DataError
from pytest_medgan.records import DataSettings, UInt8


@dataclass(frozen=True)
class SliceJob:
    """One slice of a CT series to one image."""

    header: Header
    centre: Centre | None
    crop_size: int
    size: int
    window: tuple[float, float]
    beside: tuple[Header, ...] = ()  # the neighbours, for compressed pixels, whose damage only they reveal

    @property
    def file(self) -> str:
        """The file it reads, relative to the data root."""
        return self.header.file

    def render(self, root: Path) -> UInt8:
        """uint8 [size,size]; reads only the rows that the crop needs."""
        if self.header.offset < 0:
            check_neighbours(root, self.header, self.beside)
        pixels = self.header.pixels
        top, left = crop_corner(pixels.rows, pixels.columns, self.centre, self.crop_size)
        rows = slice(min(max(top, 0), pixels.rows), min(max(top + self.crop_size, 0), pixels.rows))
        compressed = self.header.offset < 0
        band = decoded(root, self.header)[rows] if compressed else read_hounsfield(root, self.header, rows)
        image = finish_image(
            band, corner=(top - rows.start, left), crop_size=self.crop_size, size=self.size, window=self.window
        )
        return upright(image, self.header.orientation)


def plan_studies(
    files: Sequence[SourceFile],
    found: Iterable[Header | Skipped],
    structures: Sequence[StructureFile],
    table: Mapping[str, ClinicalRow],
    settings: DataSettings,
) -> Plan:
    """Which slices of which patients make the data set.

    `found` is what every DICOM file's header said, `structures` and `table` are read already (empty where crop=image).

    Raises DataError where the studies contradict themselves or one another, or hold too little.
    """
    headers, others = _part(found)
    _check_strangers(files, headers)
    _check_mixed(headers, others)
    series = _series_of_patients(headers)
    warnings = [*_studies_shared(headers), *orphans(series, structures)]
    chosen = {patient: _choose_series(own, structures, warnings) for patient, own in series.items()}
    eligible = choose_patients(sorted(chosen), table, settings, warnings)
    tumours = {patient: _tumour(chosen[patient], structures) for patient in eligible}
    crop = _crop(settings.crop, tumours, len(structures), warnings)
    jobs, owners = _jobs(chosen, tumours if crop == "tumour" else {}, eligible, settings)
    used = [chosen[patient] for patient in eligible]
    warnings += _remarks(used, settings)
    counts = Counter(f"skipped: {item.reason}" for item in others)
    counts["files"] = len(files)
    counts["slices found"] = len(headers)
    counts["patients"] = len(eligible)
    counts["slices used"] = len(jobs)
    counts["overlapping series"] = sum(series.overlapping for series in used)
    counts["identical copies left out"] = sum(series.duplicates for series in used)
    drawn = {choice.digest for item in used if (choice := choose_file(structures, item)) is not None}
    return Plan(
        patients=tuple(eligible),
        labels=tuple(table[patient].label if patient in table else UNKNOWN for patient in eligible),
        owners=tuple(owners),
        jobs=tuple(jobs),
        inputs=tuple(sorted(job.header.digest for job in jobs)) + tuple(sorted(drawn if crop == "tumour" else ())),
        instances=tuple(header.instance for series in chosen.values() for header in series.slices),
        window=settings.window,
        crop=crop,
        compressed=any(job.header.offset < 0 for job in jobs),
        warnings=tuple(warnings),
        counts={name: count for name, count in sorted(counts.items()) if count},
    )


def choose_slices(count: int, wanted: int | None, middle: Fraction) -> range:
    """`wanted` neighbouring slices of `count`, as even about `middle` as the volume allows; all for None."""
    if wanted is None or wanted >= count:
        return range(count)
    first = floor(middle - Fraction(wanted - 1, 2) + Fraction(1, 2))
    first = min(max(first, 0), count - wanted)
    return range(first, first + wanted)


def _part(found: Iterable[Header | Skipped]) -> tuple[list[Header], list[Skipped]]:
    headers: list[Header] = []
    others: list[Skipped] = []
    for item in found:
        if isinstance(item, Header):
            headers.append(item)
        else:
            others.append(item)
    return headers, others


def _check_strangers(files: Sequence[SourceFile], headers: Sequence[Header]) -> None:
    """A file named like the slices beside it that is no DICOM at all was a slice once."""
    named = {(header.file.rpartition("/")[0], Path(header.file).suffix.lower()) for header in headers}
    for file in files:
        if file.kind != "dicom" and ((file.folder, file.suffix) in named or file.suffix == ".dcm"):
            what = "is empty" if file.size == 0 else "is no DICOM file"
            raise DataError(f"{what} but named like one; copy it again, or remove it", file=file.name)


def _check_mixed(headers: Sequence[Header], others: Sequence[Skipped]) -> None:
    """Slices of another modality inside a CT series were CT once; scouts and captures may share a series."""
    series = {header.series for header in headers}
    for item in others:
        if item.series in series and item.reason not in ("localizer", "secondary capture"):
            raise DataError(f"lies in a CT series but is {item.reason}; copy it again, or remove it", file=item.file)


def _series_of_patients(headers: Sequence[Header]) -> dict[str, list[Series]]:
    """Patient -> series, both in order."""
    by_uid: dict[str, list[Header]] = defaultdict(list)
    for header in headers:
        by_uid[header.series].append(header)
    if not by_uid:
        raise DataError("the folder holds no CT slice; give --medgan-data a folder of CT studies, or phantom")
    built = [build_series(by_uid[uid]) for uid in sorted(by_uid)]
    patients: dict[str, list[Series]] = {patient: [] for patient in sorted({series.patient for series in built})}
    for series in built:
        patients[series.patient].append(series)
    return patients


def _studies_shared(headers: Sequence[Header]) -> list[str]:
    """A study or an image belongs to one patient; two PatientIDs on one are the same person twice."""
    owners: dict[str, set[str]] = defaultdict(set)
    for header in headers:
        owners[header.study].add(header.patient)
        owners[header.instance].add(header.patient)
    shared = {patient for patients in owners.values() if len(patients) > 1 for patient in patients}
    return [f"{LEAK}: {len(shared)} PatientIDs share a study or an image with another"] if shared else []


def orphans(series: Mapping[str, Sequence[Series]], structures: Sequence[StructureFile]) -> list[str]:
    """Structure sets that belong to no series at hand.

    Raises DataError where one was drawn on the series of another patient, or on a series of its patient's that is not
    here.
    """
    lost = 0
    for structure in structures:
        on = [patient for patient, own in series.items() if any(structure.drawn_on(item) for item in own)]
        if on and structure.patient not in on:
            raise DataError("is a structure set of another patient than its images; correct one", file=structure.file)
        if not on and structure.patient in series:
            own = [other for other in structures if other.patient == structure.patient and other is not structure]
            if not any(other.drawn_on(item) for other in own for item in series[structure.patient]):
                raise DataError(
                    f"is an {structure.kind} drawn on another series; add that series, or use crop=image",
                    file=structure.file,
                )
        lost += not on
    return [f"{lost} structure sets were drawn on series that are not here"] if lost else []


def _choose_series(own: Sequence[Series], structures: Sequence[StructureFile], warnings: list[str]) -> Series:
    """The series a structure set was drawn on, else the one with the most slices."""
    if len(own) == 1:
        return own[0]
    drawn = [series for series in own if choose_file(structures, series) is not None]
    chosen = max(drawn or own, key=lambda series: (len(series), series.uid))
    rest = sum(len(series) for series in own) - len(chosen)
    warnings.append(
        f"a patient has {len(own)} CT series: the one with {'a contour' if drawn else 'the most slices'} is taken, "
        f"{rest} slices are left out"
    )
    return chosen


def _tumour(series: Series, structures: Sequence[StructureFile]) -> Tumour | None:
    drawn = choose_file(structures, series)
    return None if drawn is None else locate_tumour(drawn, series)


def _crop(asked: str, tumours: Mapping[str, Tumour | None], structures: int, warnings: list[str]) -> str:
    """The crop in effect: auto takes the tumour only where every patient has one, and says so where only some have,
    or where there are structure sets and none of them names a tumour."""
    without = sum(tumour is None for tumour in tumours.values())
    if asked == "tumour" and without:
        raise DataError(
            f"{without} of {len(tumours)} patients have no GTV contour, which crop=tumour needs; "
            "add their structure sets, or use crop=image"
        )
    if asked == "auto" and without and structures:
        warnings.append(f"{without} of {len(tumours)} patients have no GTV contour: all are cropped on the image")
    return "tumour" if asked != "image" and not without else "image"


def _remarks(used: Sequence[Series], settings: DataSettings) -> list[str]:
    """What a reader of the report should know about the series."""
    remarks = []
    uneven = [series.uneven for series in used if series.uneven]
    if uneven:
        remarks.append(f"{len(uneven)} series are uneven: a slice lies {max(uneven):.3f} mm off its place")
    short = sum(len(series) < (settings.slices or 0) for series in used)
    if short and not settings.source.startswith("phantom"):
        remarks.append(f"{short} of {len(used)} patients have fewer than {settings.slices} slices, all taken")
    lossy = sum(any(header.pixels.lossy for header in series.slices) for series in used)
    if lossy:
        remarks.append(f"{lossy} series were compressed with loss")
    return remarks


def _jobs(
    chosen: Mapping[str, Series],
    tumours: Mapping[str, Tumour | None],
    eligible: Sequence[str],
    settings: DataSettings,
) -> tuple[list[SliceJob], list[int]]:
    """The slices to render in order of patient and position, and each one's patient."""
    jobs: list[SliceJob] = []
    owners: list[int] = []
    wanted = settings.slices
    for row, patient in enumerate(eligible):
        series, tumour = chosen[patient], tumours.get(patient)
        middle = Fraction(len(series) - 1, 2) if tumour is None else tumour.middle
        for index in choose_slices(len(series), wanted, middle):
            centre = None if tumour is None else tumour.centre(index)
            header = series.slices[index]
            beside = (*series.slices[max(index - 1, 0) : index], *series.slices[index + 1 : index + 2])
            near = beside if header.offset < 0 else ()
            jobs.append(SliceJob(header, centre, settings.crop_size, settings.size, settings.window, near))
            owners.append(row)
    return jobs, owners
