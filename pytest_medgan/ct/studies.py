"""A folder of DICOM studies to a plan: series, structures and clinical table brought together, slices chosen."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import floor
from pathlib import Path

from pytest_medgan.ct.cohort import UNKNOWN, ClinicalRow, read_table
from pytest_medgan.ct.dicom import Series, build_series
from pytest_medgan.ct.files import SourceFile
from pytest_medgan.ct.headers import Header, Skipped
from pytest_medgan.ct.images import crop_corner, finish_image
from pytest_medgan.ct.pixels import read_hounsfield
from pytest_medgan.ct.plan import Plan
from pytest_medgan.ct.tumour import Centre, StructureFile, Tumour, locate_tumour, pick, read_structures
from pytest_medgan.errors import DataError, SettingsError
from pytest_medgan.records import DataSettings, UInt8


@dataclass(frozen=True)
class SliceJob:
    """One slice of a CT series to one image."""

    header: Header
    centre: Centre | None
    crop_size: int
    size: int
    window: tuple[float, float]

    def render(self, root: Path) -> UInt8:
        """uint8 [size,size]; reads only the rows that the crop needs."""
        pixels = self.header.pixels
        top, left = crop_corner(pixels.rows, pixels.columns, self.centre, self.crop_size)
        rows = slice(min(max(top, 0), pixels.rows), min(max(top + self.crop_size, 0), pixels.rows))
        band = read_hounsfield(root, self.header, rows)
        return finish_image(
            band, corner=(top - rows.start, left), crop_size=self.crop_size, size=self.size, window=self.window
        )


def plan_studies(
    root: Path, files: Sequence[SourceFile], found: Iterable[Header | Skipped], settings: DataSettings
) -> Plan:
    """Which slices of which patients make the data set.

    Raises DataError where the studies contradict themselves or one another, or hold too little.
    """
    headers, others = _part(found)
    counts = Counter(_plural(item.reason) for item in others)
    counts["files"] = len(files)
    counts["slices found"] = len(headers)
    _check_strangers(files, headers)
    _check_mixed(headers, others)
    series = _series_of_patients(headers)
    structures = _structures(root, others) if settings.crop != "image" else {}
    tables = _tables(root, files)
    warnings: list[str] = []
    chosen = {
        patient: _choose_series(own, structures.get(patient, []), warnings) for patient, own in sorted(series.items())
    }
    eligible = _eligible(sorted(chosen), tables, warnings)
    if settings.patients is not None:
        eligible = eligible[: _positive(settings.patients, "patients")]
    tumours = {patient: _tumour(chosen[patient], structures.get(patient, [])) for patient in eligible}
    crop = _crop(settings.crop, tumours)
    jobs, owners = _jobs(chosen, tumours if crop == "tumour" else {}, eligible, settings)
    counts["patients"] = len(eligible)
    counts["slices used"] = len(jobs)
    counts["patients with fewer slices than asked for"] = sum(
        len(chosen[patient]) < (settings.slices or 0) for patient in eligible
    )
    counts["overlapping series"] = sum(chosen[patient].overlapping for patient in eligible)
    counts["identical copies left out"] = sum(chosen[patient].duplicates for patient in eligible)
    return Plan(
        patients=tuple(eligible),
        labels=tuple(tables[patient].label if patient in tables else UNKNOWN for patient in eligible),
        owners=tuple(owners),
        jobs=tuple(jobs),
        inputs=tuple(sorted(job.header.digest for job in jobs)),
        instances=tuple(header.instance for series in chosen.values() for header in series.slices),
        window=settings.window,
        crop=crop,
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


def _plural(reason: str) -> str:
    return f"skipped: {reason}"


def _positive(value: int, name: str) -> int:
    if value < 1:
        raise SettingsError(f"{name} is {value}; give 1 or more, or leave it out for all")
    return value


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
    by_uid: dict[str, list[Header]] = defaultdict(list)
    for header in headers:
        by_uid[header.series].append(header)
    if not by_uid:
        raise DataError("the folder holds no CT slice; give --medgan-data a folder of CT studies, or phantom")
    patients: dict[str, list[Series]] = defaultdict(list)
    for uid in sorted(by_uid):
        series = build_series(by_uid[uid])
        patients[series.patient].append(series)
    return patients


def _structures(root: Path, others: Sequence[Skipped]) -> dict[str, list[StructureFile]]:
    found: dict[str, list[StructureFile]] = defaultdict(list)
    for item in others:
        if item.reason == "RTSTRUCT":
            found[item.patient].append(read_structures(root, item.file, item.digest))
    return found


def _tables(root: Path, files: Sequence[SourceFile]) -> dict[str, ClinicalRow]:
    rows: dict[str, ClinicalRow] = {}
    for file in files:
        if file.kind == "csv":
            for patient, row in (read_table(root / file.name, file.name) or {}).items():
                if rows.setdefault(patient, row) != row:
                    raise DataError("contradicts another clinical table; remove one", file=file.name)
    return rows


def _choose_series(own: Sequence[Series], structures: Sequence[StructureFile], warnings: list[str]) -> Series:
    """The series a structure set was drawn on, else the one with the most slices."""
    if len(own) == 1:
        return own[0]
    drawn = [series for series in own if pick(structures, series) is not None]
    chosen = max(drawn or own, key=lambda series: (len(series), series.uid))
    rest = sum(len(series) for series in own) - len(chosen)
    warnings.append(
        f"a patient has {len(own)} CT series: the one with {'a contour' if drawn else 'the most slices'} is taken, "
        f"{rest} slices are left out"
    )
    return chosen


def _eligible(patients: Sequence[str], table: Mapping[str, ClinicalRow], warnings: list[str]) -> list[str]:
    if not table:
        return list(patients)
    unlisted = [patient for patient in patients if patient not in table]
    if unlisted:
        warnings.append(f"{len(unlisted)} of {len(patients)} patients are not in the clinical table: label unknown")
    absent = len(set(table) - set(patients))
    if absent:
        warnings.append(f"{absent} patients of the clinical table have no images")
    return list(patients)


def _tumour(series: Series, structures: Sequence[StructureFile]) -> Tumour | None:
    if not structures:
        return None
    fitting = pick(structures, series)
    return locate_tumour(fitting or structures[0], series)


def _crop(asked: str, tumours: Mapping[str, Tumour | None]) -> str:
    if asked not in ("auto", "tumour", "image"):
        raise SettingsError(f"crop is {asked!r}; give tumour, image or auto")
    without = sum(tumour is None for tumour in tumours.values())
    if asked == "tumour" and without:
        raise DataError(
            f"{without} of {len(tumours)} patients have no GTV contour, which crop=tumour needs; "
            "add their structure sets, or use crop=image"
        )
    return "tumour" if asked != "image" and not without else "image"


def _jobs(
    chosen: Mapping[str, Series],
    tumours: Mapping[str, Tumour | None],
    eligible: Sequence[str],
    settings: DataSettings,
) -> tuple[list[SliceJob], list[int]]:
    """The slices to render in order of patient and position, and each one's patient."""
    jobs: list[SliceJob] = []
    owners: list[int] = []
    wanted = None if settings.slices is None else _positive(settings.slices, "slices")
    for row, patient in enumerate(eligible):
        series, tumour = chosen[patient], tumours.get(patient)
        middle = Fraction(len(series) - 1, 2) if tumour is None else tumour.middle
        for index in choose_slices(len(series), wanted, middle):
            centre = None if tumour is None else tumour.centre(index)
            jobs.append(SliceJob(series.slices[index], centre, settings.crop_size, settings.size, settings.window))
            owners.append(row)
    return jobs, owners
