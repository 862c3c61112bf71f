"""The clinical table, pseudonyms and splits."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pytest_medgan.ct.cohort import ClinicalRow, choose_patients, pseudonyms, read_table, read_tables
from pytest_medgan.ct.findings import Findings
from pytest_medgan.errors import DataError
from pytest_medgan.records import DataSettings

HEAD = "PatientID,age,Histology,Survival.time,deadstatus.event\n"


def table(tmp_path: Path, text: str, findings: Findings | None = None) -> dict[str, ClinicalRow] | None:
    (tmp_path / "clinical.csv").write_text(text)
    return read_table(tmp_path / "clinical.csv", "clinical.csv", findings or Findings(strict=True))


def test_read_table_of_nsclc_radiomics_is_read(tmp_path: Path) -> None:
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
        "patient;TNM, 8th edition;event\nA;T1;1\nB;T2;0\n",
        "patient\tstage, grade\tevent\nA\t1\t1\nB\t2\t0\n",
    ],
)
def test_read_table_under_other_names_is_read(tmp_path: Path, text: str) -> None:
    rows = table(tmp_path, text)
    assert rows is not None
    assert {patient: row.label for patient, row in rows.items()} == {"A": 1, "B": 0}


def test_read_table_of_other_columns_returns_none(tmp_path: Path) -> None:
    assert table(tmp_path, "a,b\n1,2\n") is None
    assert table(tmp_path, "") is None


LINES = [
    (HEAD + "A,1,nos,1,1\nA,1,nos,1,0\n", "Line 3 of the clinical table contradicts", {"A": ("nos", -1)}),
    (HEAD + "A,1,nos,1,1\nA,1,x,1,1\n", "Line 3 of the clinical table contradicts", {"A": ("", 1)}),
    (HEAD + "A,1,nos,1,1\n,1,nos,1,1\n", "Line 3 of the clinical table has no patient", {"A": ("nos", 1)}),
    (HEAD + "A,1,nos,1,maybe\n", "Line 2 of the clinical table has an outcome", {"A": ("nos", -1)}),
]


@pytest.mark.parametrize(("text", "message", "kept"), LINES)
def test_read_table_unusable_line_is_passed_over_or_refused_if_strict(
    tmp_path: Path, text: str, message: str, kept: dict[str, tuple[str, int]]
) -> None:
    findings = Findings()
    rows = table(tmp_path, text, findings)
    assert rows is not None
    assert {patient: (row.histology, row.label) for patient, row in rows.items()} == kept
    assert findings.warnings[0].startswith("passed over: 1 ")
    with pytest.raises(DataError, match=message) as caught:
        table(tmp_path, text)
    assert caught.value.file == "clinical.csv"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "latin-1", "utf-16"])
def test_read_table_of_any_common_encoding_is_read(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "a.csv").write_bytes((HEAD + "A,1,häufig,1,1\r\n").encode(encoding))
    rows = read_table(tmp_path / "a.csv", "a.csv", Findings(strict=True))
    assert rows == {"A": ClinicalRow("A", "häufig", 1)}


def test_read_table_that_is_not_text_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"\xff\xfe\x00PatientI")
    findings = Findings()
    assert read_table(tmp_path / "a.csv", "a.csv", findings) is None
    assert findings.named == {"table that cannot be read": ("a.csv",)}
    with pytest.raises(DataError, match="UTF-8"):
        read_table(tmp_path / "a.csv", "a.csv", Findings(strict=True))


def test_read_tables_that_contradict_each_other_keep_what_they_agree_on(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(HEAD + "A,1,nos,1,1\n")
    (tmp_path / "b.csv").write_text(HEAD + "A,1,nos,1,0\n")
    assert read_tables(tmp_path, ["a.csv", "b.csv"], Findings()) == {"A": ClinicalRow("A", "nos", -1)}
    with pytest.raises(DataError, match="A clinical table contradicts another line") as caught:
        read_tables(tmp_path, ["a.csv", "b.csv"], Findings(strict=True))
    assert caught.value.file == "b.csv"


def chosen(patients: list[str], rows: dict[str, ClinicalRow], settings: DataSettings) -> tuple[list[str], list[str]]:
    findings = Findings()
    return choose_patients(patients, rows, settings, findings), list(findings.warnings)


def test_choose_patients_by_histology_and_number() -> None:
    rows = {name: ClinicalRow(name, "nos" if name < "C" else "adenocarcinoma", 1) for name in "ABCD"}
    assert chosen(["A", "C", "E"], rows, DataSettings()) == (
        ["A", "C", "E"],
        [
            "1 of 3 patients are not in the clinical table: label unknown",
            "2 patients of the clinical table have no images",
        ],
    )
    only = DataSettings(histologies=("Adenocarcinoma",))
    assert chosen(["A", "C", "D", "E"], rows, only)[0] == ["C", "D"]
    assert chosen(["A", "C", "D", "E"], rows, replace(only, patients=1))[0] == ["C"]
    with pytest.raises(DataError, match="No patient has a histology"):
        chosen(["A"], rows, only)
    with pytest.raises(DataError, match="no clinical table"):
        chosen(["A"], {}, only)
    assert chosen(["A"], {}, DataSettings(patients=5))[1] == ["5 patients were asked for and only 1 exist"]


def test_pseudonyms_depend_on_the_data_set_only() -> None:
    names = pseudonyms(["A", "B"], ["1.2", "1.3"])
    assert pseudonyms(["B", "A", "A"], ["1.3", "1.2", "1.3"]) == names
    assert set(names["A"][1:]) <= set("0123456789abcdef")
    assert len(names["A"]) == 13
    assert pseudonyms(["A", "B"], ["1.2"])["A"] != names["A"]


def test_choose_patients_histology_that_nobody_has_is_warned_of_beside_others() -> None:
    table = {name: ClinicalRow(name, kind, 1) for name, kind in (("A", "adenocarcinoma"), ("B", "nos"))}
    findings = Findings()
    settings = DataSettings(histologies=("Adenocarcinoma", "sqamous"))
    assert choose_patients(["A", "B"], table, settings, findings) == ["A"]
    assert findings.warnings == (
        "no patient of the clinical table has 1 of the histologies that were asked for: sqamous",
    )
