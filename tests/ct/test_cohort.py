"""The clinical table, pseudonyms and splits."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pytest_medgan.ct.cohort import (
    ClinicalRow,
    Split,
    check_disjoint,
    choose_patients,
    deal,
    pseudonyms,
    read_table,
    read_tables,
    shuffled,
    split_images,
)
from pytest_medgan.errors import DataError, LeakageError, SettingsError
from pytest_medgan.records import DataSettings

HEAD = "PatientID,age,Histology,Survival.time,deadstatus.event\n"


def table(tmp_path: Path, text: str, name: str = "clinical.csv") -> dict[str, ClinicalRow] | None:
    (tmp_path / name).write_text(text)
    return read_table(tmp_path / name, name)


def test_the_collections_columns(tmp_path: Path) -> None:
    rows = table(tmp_path, HEAD + "A-1,70,Squamous cell carcinoma,12,1\nA-2,,NA,12,0\n\nA-3,1,nos,2,NA\n")
    assert rows == {
        "A-1": ClinicalRow("A-1", "squamous cell carcinoma", 1),
        "A-2": ClinicalRow("A-2", "", 0),
        "A-3": ClinicalRow("A-3", "nos", -1),
    }


@pytest.mark.parametrize(
    "text",
    [
        "case;histology;vital.status\nA;nos;dead\nB;nos;alive\n",
        "﻿Patient_ID,deceased\nA,yes\nB,no\n",
        "subject,x,event\nA,,1\nB,,0.0\n",
    ],
)
def test_the_same_columns_under_other_names(tmp_path: Path, text: str) -> None:
    rows = table(tmp_path, text)
    assert rows is not None
    assert {patient: row.label for patient, row in rows.items()} == {"A": 1, "B": 0}


def test_a_table_of_something_else_is_none(tmp_path: Path) -> None:
    assert table(tmp_path, "a,b\n1,2\n") is None
    assert table(tmp_path, "") is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (HEAD + "A,1,nos,1,1\nA,1,nos,1,0\n", "line 3 contradicts"),
        (HEAD + ",1,nos,1,1\n", "line 2 names no patient"),
        (HEAD + "A,1,nos,1,maybe\n", "line 2 has an outcome"),
    ],
)
def test_refused_tables(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        table(tmp_path, text)
    assert caught.value.file == "clinical.csv"


def test_a_table_that_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"\xff\xfe\x00PatientID")
    with pytest.raises(DataError, match="UTF-8"):
        read_table(tmp_path / "a.csv", "a.csv")


def test_tables_that_contradict_each_other(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(HEAD + "A,1,nos,1,1\n")
    (tmp_path / "b.csv").write_text(HEAD + "A,1,nos,1,0\n")
    with pytest.raises(DataError, match="another clinical table") as caught:
        read_tables(tmp_path, ["a.csv", "b.csv"])
    assert caught.value.file == "b.csv"


def test_who_takes_part() -> None:
    rows = {name: ClinicalRow(name, "nos" if name < "C" else "adenocarcinoma", 1) for name in "ABCD"}
    warnings: list[str] = []
    assert choose_patients(["A", "C", "E"], rows, DataSettings(), warnings) == ["A", "C", "E"]
    assert warnings == [
        "1 of 3 patients are not in the clinical table: label unknown",
        "2 patients of the clinical table have no images",
    ]
    only = DataSettings(histologies=("Adenocarcinoma",))
    assert choose_patients(["A", "C", "D", "E"], rows, only, []) == ["C", "D"]
    assert choose_patients(["A", "C", "D", "E"], rows, replace(only, patients=1), []) == ["C"]
    with pytest.raises(DataError, match="no patient has a histology"):
        choose_patients(["A"], rows, only, [])
    with pytest.raises(DataError, match="no clinical table"):
        choose_patients(["A"], {}, only, [])
    warnings.clear()
    choose_patients(["A"], {}, DataSettings(patients=5), warnings)
    assert warnings == ["5 patients were asked for and 1 are there"]


def test_pseudonyms_depend_on_the_data_set_and_on_nothing_else() -> None:
    names = pseudonyms(["A", "B"], ["1.2", "1.3"])
    assert pseudonyms(["B", "A", "A"], ["1.3", "1.2", "1.3"]) == names
    assert set(names["A"][1:]) <= set("0123456789abcdef")
    assert len(names["A"]) == 13
    assert pseudonyms(["A", "B"], ["1.2"])["A"] != names["A"]


def groups(patients: int = 20, each: int = 3) -> np.ndarray:
    return np.repeat([f"p{number:012x}" for number in range(patients)], each)


def test_the_patient_split() -> None:
    names = groups()
    split = split_images(names, DataSettings())
    assert [len(rows) for rows in (split.training, split.reference, split.held_out)] == [30, 15, 15]
    everything = np.concatenate([split.training, split.reference, split.held_out])
    assert sorted(everything.tolist()) == list(range(60))
    check_disjoint(names, split)
    again = split_images(names, DataSettings())
    assert (again.training == split.training).all()
    other = split_images(names, DataSettings(seed=1))
    assert other.training.tolist() != split.training.tolist()


def test_a_split_that_is_the_same_everywhere() -> None:
    """Hashes decide, so these numbers hold on every machine and under every numpy."""
    assert shuffled(10, 0, "patients") == [3, 2, 6, 7, 8, 0, 1, 9, 5, 4]
    assert deal(6, (0.5, 0.25, 0.25), 7) == ([4, 1, 2], [3, 5], [0])


@pytest.mark.parametrize("count", range(3, 40))
@pytest.mark.parametrize("fractions", [(0.5, 0.25, 0.25), (0.98, 0.01, 0.01), (0.01, 0.98, 0.01)])
def test_every_role_has_a_patient(count: int, fractions: tuple[float, float, float]) -> None:
    roles = deal(count, fractions, 0)
    assert all(roles)
    assert sorted(at for role in roles for at in role) == list(range(count))


def test_the_papers_split() -> None:
    split = split_images(groups(2, 61), DataSettings(split="slice"))
    assert (len(split.training), len(split.reference), len(split.held_out)) == (122, 61, 61)
    assert not set(split.reference.tolist()) & set(split.held_out.tolist())
    assert (np.diff(split.reference) > 0).all()
    first = split.reference < 61
    assert 20 < first.sum() < 41  # both patients, mixed


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        (DataSettings(split="image"), SettingsError, "patient or slice"),
        (DataSettings(fractions=(0.5, 0.5, 0.5)), SettingsError, "parts of 1"),
        (DataSettings(fractions=(1.0, 0.0, 0.0)), SettingsError, "parts of 1"),
    ],
)
def test_refused_settings(settings: DataSettings, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        split_images(groups(), settings)


def test_too_few() -> None:
    with pytest.raises(DataError, match="at least 3 patients and the source has 2"):
        split_images(groups(2), DataSettings())
    with pytest.raises(DataError, match="at least 2 images"):
        split_images(groups(1, 1), DataSettings(split="slice"))


def test_a_patient_on_two_sides() -> None:
    split = Split(np.array([0, 1]), np.array([2, 3]), np.array([4, 5]))
    check_disjoint(np.array(["a", "a", "b", "b", "c", "c"]), split)
    with pytest.raises(LeakageError, match="1 patients stand on two sides"):
        check_disjoint(np.array(["a", "a", "b", "b", "c", "a"]), split)
