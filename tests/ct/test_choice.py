"""One series for each patient."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pytest_medgan.ct.choice import choose_series, patient_or_study
from pytest_medgan.ct.findings import Findings
from pytest_medgan.ct.headers import read_headers
from pytest_medgan.ct.regions import StructureFile, choose_file
from pytest_medgan.ct.slices import Cause, Faulty, Header
from pytest_medgan.errors import DataError


@pytest.fixture
def headers(tmp_path: Path, study_class: Any) -> list[Header]:
    """Six slices of PAT-001."""
    study = study_class(tmp_path).write()
    return [read_headers(tmp_path, path.relative_to(tmp_path).as_posix())[0] for path in study.files]


def other(headers: list[Header], series: str, **changes: Any) -> list[Header]:
    """The same slices as another series."""
    return [
        replace(h, file=f"{series}/{n}.dcm", series=series, instance=f"{series}.{n}", **changes)
        for n, h in enumerate(headers)
    ]


def drawing(series: str) -> StructureFile:
    nothing: frozenset[str] = frozenset()
    return StructureFile("rt.dcm", "d", "RTSTRUCT", "PAT-001", frozenset({series}), nothing, nothing, ())


def faulty(file: str, cause: Cause = Cause.DAMAGED, patient: str = "", series: str = "") -> Faulty:
    return Faulty(file, f"{file} is bad. Copy it again.", cause, patient, series)


def test_choose_series_prefers_a_contour_then_the_number_of_slices(headers: list[Header]) -> None:
    long = [*other(headers, "1.9"), *other(headers[:1], "1.9", position=(-31.5, -31.5, -82.0))]
    long[-1] = replace(long[-1], instance="1.9.x", file="1.9/x.dcm")
    findings = Findings()
    assert choose_series([*headers, *long], [], [], findings)["PAT-001"].uid == "1.9"
    assert findings.counts == {"skipped: slice of another series of its patient": 6}
    drawn = choose_series([*headers, *long], [], [drawing(headers[0].series)], Findings())
    assert drawn["PAT-001"].uid == headers[0].series


def test_choose_series_of_equal_length_is_the_same_in_any_order(headers: list[Header]) -> None:
    both = [*headers, *other(headers, "1.9")]
    chosen = {choose_series(order, [], [], Findings())["PAT-001"].uid for order in (both, both[::-1])}
    assert len(chosen) == 1


def test_choose_series_gap_raises_the_error_of_the_unreadable_file(headers: list[Header]) -> None:
    folder, series = headers[0].file.rpartition("/")[0], headers[0].series
    gap = [*headers[:3], *headers[4:]]
    with pytest.raises(DataError, match="has a gap"):
        choose_series(gap, [], [], Findings())
    for unreadable in (faulty("elsewhere/3.dcm", series=series), faulty(f"{folder}/3.dcm", Cause.EMPTY)):
        with pytest.raises(DataError, match=r"3\.dcm is bad"):
            choose_series(gap, [unreadable], [], Findings())
    for unrelated in (faulty("elsewhere/3.dcm", Cause.EMPTY), faulty(f"{folder}/3.dcm", series="1.2.3")):
        with pytest.raises(DataError, match="has a gap"):
            choose_series(gap, [unrelated], [], Findings())


def test_choose_series_passes_over_faulty_files_that_leave_no_gap(headers: list[Header]) -> None:
    findings = Findings()
    chosen = choose_series(headers[:5], [faulty("a.dcm", series=headers[0].series)], [], findings)
    assert len(chosen["PAT-001"]) == 5
    assert findings.warnings == ("passed over: 1 damaged DICOM file",)


def test_choose_series_patient_with_only_damaged_files_is_an_error(headers: list[Header]) -> None:
    with pytest.raises(DataError, match=r"b\.dcm is bad"):
        choose_series(headers, [faulty("b.dcm", patient="PAT-002"), faulty("c.dcm", patient="PAT-002")], [], Findings())


def test_choose_series_synthetic_file_of_any_series_is_refused(headers: list[Header]) -> None:
    with pytest.raises(DataError, match=r"z\.dcm is bad"):
        choose_series(headers, [faulty("a.dcm"), faulty("z.dcm", Cause.SYNTHETIC)], [], Findings())


@pytest.mark.parametrize("items", [[], [faulty("b.dcm"), faulty("a.dcm")]])
def test_choose_series_without_a_slice_is_an_error(items: list[Faulty]) -> None:
    with pytest.raises(DataError, match=r"a\.dcm is bad" if items else "holds no CT slice"):
        choose_series([], items, [], Findings())


def test_choose_series_without_an_axial_series_is_an_error(headers: list[Header]) -> None:
    tilted = [replace(header, orientation=(0.0, 1.0, 0.0, 0.0, 0.0, -1.0)) for header in headers]
    with pytest.raises(DataError, match="No CT series of the folder is an axial volume"):
        choose_series(tilted, [], [], Findings())


def test_choose_series_without_patient_ids_takes_each_study_as_one(headers: list[Header]) -> None:
    nameless = [replace(header, patient="") for header in headers]
    second = other(nameless, "1.9", study="1.8")
    findings = Findings()
    chosen = choose_series([*nameless, *second], [], [], findings)
    assert sorted(len(series) for series in chosen.values()) == [6, 6]
    assert {patient_or_study(header) for header in second} == {"study 1.8"}
    assert findings.warnings == ("2 studies have no PatientID: each is taken as one patient",)


def test_choose_series_counts_copies_of_a_slice_once(headers: list[Header]) -> None:
    copies = [replace(header, file=f"copy/{number}.dcm") for number, header in enumerate(headers[:5])]
    chosen = choose_series([*headers[:5], *copies, *other(headers, "1.0")], [], [], Findings())
    assert chosen["PAT-001"].uid == "1.0"


def test_choose_series_one_uid_of_several_patients_is_a_series_of_each(headers: list[Header]) -> None:
    patients = [other(headers, f"x{n}", patient=f"PAT-{n}", study=f"1.{n}") for n in range(4)]
    everyone = [replace(header, series="1.2.3") for own in patients for header in own]
    findings = Findings()
    chosen = choose_series(everyone, [], [], findings)
    assert {name: {h.patient for h in series.slices} for name, series in chosen.items()} == {
        f"PAT-{n}": {f"PAT-{n}"} for n in range(4)
    }
    assert findings.warnings == (
        "1 SeriesInstanceUIDs are those of several patients or studies: the slices of each are a series",
    )


def test_choose_series_one_uid_of_several_studies_of_a_patient_is_a_series_of_each(headers: list[Header]) -> None:
    later = [replace(header, study="1.9", file=f"later/{n}", instance=f"9.{n}") for n, header in enumerate(headers)]
    findings = Findings()
    assert len(choose_series([*headers, *later], [], [], findings)["PAT-001"]) == 6
    assert findings.counts == {"skipped: slice of another series of its patient": 6}


@pytest.mark.parametrize("patient", ["PAT-001", ""])
@pytest.mark.parametrize("owners", ["AAABBB", "ABABAB", "AABBBA"])
def test_choose_series_parts_of_one_volume_in_two_studies_are_an_error(
    headers: list[Header], patient: str, owners: str
) -> None:
    """Either part alone would be a shorter scan, and the other one lost."""
    parts = [replace(h, patient=patient, study=f"1.{own}") for h, own in zip(headers, owners, strict=True)]
    for found in (parts, parts[::-1]):
        with pytest.raises(DataError, match="The StudyInstanceUID of a CT slice differs"):
            choose_series(found, [], [], Findings())


@pytest.mark.parametrize("shift", [0.0, 1.1, -4.0])
def test_choose_series_studies_of_one_place_are_divided(headers: list[Header], shift: float) -> None:
    later = [
        replace(h, study="1.9", file=f"later/{n}", instance=f"9.{n}", position=(0.0, 0.0, h.position[2] + shift))
        for n, h in enumerate(headers)
    ]
    assert len(choose_series([*headers, *later], [], [], Findings())["PAT-001"]) == 6


def test_choose_series_stray_slice_does_not_join_two_patients(headers: list[Header]) -> None:
    patients = [other(headers, f"x{n}", patient=f"PAT-{n}", study=f"1.{n}") for n in range(2)]
    everyone = [replace(header, series="1.2.3") for own in patients for header in own]
    stray = replace(everyone[0], patient="PAT-9", study="1.9", file="stray", instance="9", position=(0.0, 0.0, -82.0))
    again = replace(stray, position=headers[2].position, marks=("5",))
    for one in (stray, again):
        with pytest.raises(DataError, match="The PatientID of a CT slice differs") as caught:
            choose_series([*everyone, one], [], [], Findings())
        assert caught.value.file == "stray"


def test_choose_series_stray_slice_of_another_patient_is_still_an_error(headers: list[Header]) -> None:
    stray = replace(
        headers[0], patient="PAT-9", study="1.9", file="stray", instance="9", position=(-31.5, -31.5, -82.0)
    )
    with pytest.raises(DataError, match="The PatientID of a CT slice differs"):
        choose_series([*headers, stray], [], [], Findings())


def test_contours_of_another_patient_are_not_those_of_a_series_of_the_same_uid(headers: list[Header]) -> None:
    patients = [other(headers, f"x{n}", patient=f"PAT-00{n}", study=f"1.{n}") for n in (1, 2)]
    everyone = [replace(header, series="1.2.3") for own in patients for header in own]
    first, second = choose_series(everyone, [], [], Findings()).values()
    drawn = drawing("1.2.3")
    assert (choose_file([drawn], first), choose_file([drawn], second)) == (drawn, None)
