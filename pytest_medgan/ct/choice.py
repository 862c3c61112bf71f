"""Choose one CT series for each patient.

Archives often hold several series per patient: reformats, bolus tracking, scouts, and damaged files. Only the chosen
series is checked in full. Of the others only the headers that the choice needs are read, and their files are counted.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence

from pytest_medgan.ct.findings import Findings
from pytest_medgan.ct.phases import main_volume, overlap
from pytest_medgan.ct.regions import StructureFile, choose_file
from pytest_medgan.ct.series import GapError, Series, build_series, outline_series, reason_unsuitable, set_scouts_apart
from pytest_medgan.ct.slices import Cause, Faulty, Header
from pytest_medgan.errors import DataError

_OWN_SERIES = 3  # slices of one patient from which they are no strays in the series of another
SamePixels = Callable[[Header, Header], bool]


def choose_series(
    headers: Sequence[Header],
    faulty: Sequence[Faulty],
    structures: Sequence[StructureFile],
    findings: Findings,
    same_pixels: SamePixels | None = None,
) -> dict[str, Series]:
    """Return the series of each patient: the one with a contour, else the one with the most slices.

    A projection of several slices on one (ImageType MIP, MINIP) or a computed map (SUBTRACTION, IODINE) is taken only
    where there is no other. Of a series that holds several volumes, such as phases, one is taken (see `main_volume`).

    Args:
        headers: Every slice that was read.
        faulty: Every file that may have been a slice.
        structures: RTSTRUCT and SEG.
        findings: Records the files that are not used.
        same_pixels: As for `build_series`.

    Returns:
        PatientID (or the study, where files have no PatientID) -> series, sorted by PatientID.

    Raises:
        DataError: A chosen series is damaged, a patient's only series cannot be used, or the source has no CT slice.
    """
    _refuse_synthetic(faulty)
    if not headers:
        if faulty:
            raise min(faulty, key=lambda item: item.file).error()
        raise DataError("The folder holds no CT slice. Name a folder of CT studies, or phantom.")
    patients = _by_patient(headers, findings)
    chosen: dict[str, Series] = {}
    several, left_out, divided = 0, 0, 0
    for patient in sorted(patients):
        volumes, other_volumes = _volumes(patients[patient], structures, findings)
        divided += other_volumes
        usable = _usable(volumes, findings)
        if not usable:
            continue
        uid = _best_series(usable, structures)
        chosen[patient] = _build(usable[uid], faulty, same_pixels)
        others = [header.file for other, found in usable.items() if other != uid for header in found]
        if others:
            several += 1
            left_out += len(others)
            findings.skip("slice of another series of its patient", others)
    for item in sorted(faulty, key=lambda item: item.file):
        if item.patient and item.patient not in chosen:  # a patient must not be lost without an error
            raise item.error()
    if len(chosen) < len(patients):
        findings.warn(f"{len(patients) - len(chosen)} patients have no axial CT series and are left out")
    if not chosen:
        raise DataError("No CT series of the folder is an axial volume. Name a folder of axial CT studies, or phantom.")
    for item in sorted(faulty, key=lambda item: item.file):
        findings.pass_over(item.error(), item.cause.value)
    if divided:
        findings.warn(
            f"{divided} series hold several volumes, such as phases: the one with a contour, else the one with the "
            "most slices, else the first is used"
        )
    if several:
        findings.warn(
            f"{several} patients have several CT series: the one with a contour, else the one with the most slices is "
            f"used, {left_out} slices are left out"
        )
    return chosen


def patient_or_study(header: Header) -> str:
    """Return the PatientID of a slice, or its study where the PatientID is empty, as the standard allows."""
    return header.patient or f"study {header.study}"


def _refuse_synthetic(faulty: Sequence[Faulty]) -> None:
    """Raise DataError for a generated image among the real ones, even if it would not be used."""
    for item in sorted(faulty, key=lambda item: item.file):
        if item.cause is Cause.SYNTHETIC:
            raise item.error()


def _by_patient(headers: Sequence[Header], findings: Findings) -> dict[str, dict[str, list[Header]]]:
    """Return patient -> SeriesInstanceUID -> slices.

    A series belongs to its most frequent PatientID, and a few slices of another one in it are an error later. Where
    several patients have many slices of one SeriesInstanceUID, as some programs write when they remove names, each has
    a series of its own. So has each of several studies that scanned one place; other studies in a series are an error.
    """
    series: dict[str, list[Header]] = defaultdict(list)
    for header in headers:
        series[header.series].append(header)
    patients: dict[str, dict[str, list[Header]]] = defaultdict(dict)
    shared = 0
    for uid in sorted(series):
        parts = [part for own in _by_patient_id(series[uid]) for part in _by_study(own)]
        shared += len(parts) > 1
        for part in parts:
            patient, study = (_most_frequent(map(of, part)) for of in (patient_or_study, lambda header: header.study))
            patients[patient][f"{uid} of {study}" if len(parts) > 1 else uid] = part
    if shared:
        findings.warn(
            f"{shared} SeriesInstanceUIDs are those of several patients or studies: the slices of each are a series"
        )
    nameless = len({header.study for header in headers if not header.patient})
    if nameless:
        findings.warn(f"{nameless} studies have no PatientID: each is taken as one patient")
    return patients


def _by_patient_id(headers: Sequence[Header]) -> list[list[Header]]:
    """Return the slices of each PatientID of a series; those without one are together, for their studies to part."""
    return _divide(headers, lambda header: header.patient)


def _by_study(headers: Sequence[Header]) -> list[list[Header]]:
    """Return the slices of each study of a series, or all as one where a study may hold a part of another's volume."""
    parts = _divide(headers, lambda header: header.study)
    places = [{round(header.position[2], 2) for header in part} for part in parts]
    return parts if all(overlap(max(places, key=len), other) for other in places) else [list(headers)]


def _divide(headers: Sequence[Header], owner_of: Callable[[Header], str]) -> list[list[Header]]:
    """Return the slices of each owner that has enough for a series; the strays of others are with the largest."""
    found: dict[str, list[Header]] = defaultdict(list)
    for header in headers:
        found[owner_of(header)].append(header)
    largest = _most_frequent(map(owner_of, headers))
    parts = {name: own for name, own in found.items() if name == largest or len(own) >= _OWN_SERIES}
    strays = [header for header in headers if owner_of(header) not in parts]
    return [own + (strays if name == largest else []) for name, own in parts.items()]


def _most_frequent(names: Iterable[str]) -> str:
    """Return the most frequent name; of several, the first in the alphabet."""
    counts = Counter(names)
    return max(sorted(counts), key=lambda name: counts[name])


def _volumes(
    series: Mapping[str, list[Header]], structures: Sequence[StructureFile], findings: Findings
) -> tuple[dict[str, list[Header]], int]:
    """Return one volume of each series without scouts, and how many series hold others; record what is not used."""
    taken, divided = {}, 0
    for uid, found in series.items():
        kept, scouts = set_scouts_apart(found)
        findings.skip("image of another orientation than its series", [header.file for header in scouts])
        is_mixed = (
            len({(header.patient, header.study) for header in kept}) > 1
        )  # strays must not be left out in silence
        taken[uid] = kept if is_mixed else main_volume(kept, structures)
        if len(taken[uid]) < len(kept):
            divided += 1
            used = {(header.file, header.frame) for header in taken[uid]}
            others = [header.file for header in kept if (header.file, header.frame) not in used]
            findings.skip("slice of another volume of its series", others)
    return taken, divided


def _usable(series: Mapping[str, list[Header]], findings: Findings) -> dict[str, list[Header]]:
    """Return the series that are axial volumes; record the files of the others as not used."""
    usable = {}
    for uid, headers in series.items():
        reason = reason_unsuitable(headers)
        if reason is None:
            usable[uid] = headers
        else:
            files = sorted(header.file for header in headers)
            error = DataError(f"A CT series is a {reason}. Leave it out of the folder.", file=files[0])
            findings.pass_over(error, f"slice of a {reason}", files)
    return usable


def _best_series(usable: Mapping[str, list[Header]], structures: Sequence[StructureFile]) -> str:
    """Return the SeriesInstanceUID of the series to use."""
    if len(usable) == 1:
        return next(iter(usable))
    drawn = {uid for uid, headers in usable.items() if choose_file(structures, outline_series(headers)) is not None}
    return max(drawn or usable, key=lambda uid: (not usable[uid][0].processed, _count(usable[uid]), uid))


def _count(headers: Sequence[Header]) -> int:
    """Return the number of slices; copies of a slice count once."""
    return len({header.instance for header in headers})


def _build(headers: Sequence[Header], faulty: Sequence[Faulty], same_pixels: SamePixels | None) -> Series:
    """Return a checked series; if an unreadable file explains a gap, raise that file's error."""
    try:
        return build_series(headers, same_pixels=same_pixels)
    except GapError as error:
        folders = {header.file.rpartition("/")[0] for header in headers}
        unreadable = [
            item for item in faulty if item.series == headers[0].series or (not item.series and item.folder in folders)
        ]
        if unreadable:
            raise min(unreadable, key=lambda item: item.file).error() from error
        raise
