"""Whose volume a file is: a guess that is wrong must not put one patient on two sides of a split."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from pytest_medgan.ct.findings import Findings
from pytest_medgan.ct.volume_patients import patients_of, second_volume_error
from pytest_medgan.records import DataSettings

FOLDS = (("imagesTr", range(60)), ("imagesTs", range(60, 90)))
DECATHLON = [f"{folder}/lung_{n:03d}.nii.gz" for folder, numbers in FOLDS for n in numbers]
LUNA = [f"subset{fold}/1.3.6.1.4.{fold}{n:03d}.mhd" for fold in range(10) for n in range(88)]
ONE_EACH = [f"P{n}/ct.nii.gz" for n in range(8)]
SCANS = [f"P{n}/P{n}_t{time}.nii.gz" for n in range(6) for time in range(3)]


def find(names: Sequence[str], **options: object) -> tuple[int, tuple[str, ...]]:
    findings = Findings()
    found, _ = patients_of(names, DataSettings(**options), findings)
    return len(set(found.values())), findings.warnings


@pytest.mark.parametrize(("names", "patients"), [(DECATHLON, 90), (LUNA, 880), (ONE_EACH, 8)])
def test_known_layouts_are_read_as_they_were_meant(names: list[str], patients: int) -> None:
    assert find(names) == (patients, ())


def test_folders_of_a_few_scans_are_patients() -> None:
    assert find(SCANS) == (6, ())


def test_generated_volumes_in_folders_are_samples_of_their_own() -> None:
    assert find(SCANS, generated=True) == (18, ())


@pytest.mark.parametrize("names", [SCANS, [name.rpartition("/")[2] for name in SCANS]], ids=["folders", "flat"])
def test_names_that_look_like_several_scans_of_a_patient_are_warned_of(names: list[str]) -> None:
    count, (warning,) = find(names, patient="file")
    assert count == 18
    assert warning.startswith("18 volumes are taken as 18 patients, and without their last numbers they have 6 names")
    assert find(names, patient="file", split="slice") == (18, ())


def test_names_that_are_classes_are_not_taken_for_scans_of_a_patient() -> None:
    names = [f"{kind}_{number:02d}.nii.gz" for kind in ("covid", "normal", "tumour") for number in range(12)]
    assert find(names, patient="file") == (36, ())


@pytest.mark.parametrize(
    ("names", "options", "message"),
    [
        (
            [f"hospital{n}/{n}{at}.nii.gz" for n in range(5) for at in range(6)],
            {},
            "30 volumes lie in 5 folders. Set patient=file where each file is one patient, or keep one volume of each "
            "patient.",
        ),
        (
            ["P1/a/1.nii", "P1/a/P1.nii", "P1/b/2.nii", "3.nii"],
            {"patient": "folder"},
            "3 volumes lie in 2 folders. Set patient=file where each file is one patient, or keep one volume of each "
            "patient.",
        ),
        (
            [f"P{n}/ct.nii" for n in range(4)],
            {"patient": "file"},
            "4 volumes have 1 names. Rename the files so that each patient has another name, or keep one volume of "
            "each patient.",
        ),
    ],
)
def test_second_volume_of_a_patient_is_refused_with_what_was_counted(
    names: list[str], options: dict[str, str], message: str
) -> None:
    patients, rule = patients_of(names, DataSettings(**options), Findings())
    error = second_volume_error(names[1], patients, rule)
    assert (error.file, str(error)) == (names[1], message)
