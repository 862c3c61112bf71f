"""The baseline file: read strictly, found by name, every complaint with its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_medgan.errors import BaselineError
from pytest_medgan.gate import baseline, canonical
from pytest_medgan.gate.accept import accept
from pytest_medgan.records import Margin

GOOD = """\
format: 1
kind: measured
name: phantom
fingerprint:
  inputs:
    crop: image
  canary_tolerance: 0.001
rows:
  Real:
    counts:
      512: {n_real: 800, groups: 1}
    metrics:
      fid:
        at:
          512: {value: 2.05, se: 0.1}
  dcgan:
    note: "a note: with a colon # and no remark"
    provenance:
      accepted: "2026-11-23"
      commit: "1234567"
    counts:
      256: {n_real: 800, groups: 3}
      512: {n_real: 800, groups: 3}
    metrics:
      fid:
        margin: {kind: auto, amount: 0.95}
        at:
          256: {value: 130.0, sd: 0.7, se: 0.5, se_total: 0.9}
          512: {value: 120.75, sd: 0.722, se: 0.4, se_total: 0.8}
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "base.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_row_is_limits_with_origin_margin_real_row_and_fingerprint(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path, GOOD)
    loaded = baseline.load("base.yaml")
    row = loaded.row("dcgan")
    assert (row.kind, row.origin, row.fid.origin) == ("measured", "base.yaml:16", "base.yaml:25")
    assert row.fid.values[512].value == 120.75
    assert row.fid.values[256].groups == 3
    assert row.fid.margin == Margin("auto", 0.95)
    assert row.fid.real[512].value == 2.05
    assert row.fingerprint.inputs == {"crop": "image"}
    assert row.provenance["note"] == "a note: with a colon # and no remark"
    assert loaded.rows == ("Real", "dcgan")
    assert GOOD.splitlines()[25 - 1].strip() == "fid:"


def test_the_example_is_canonical():
    assert canonical.text(baseline.parse(GOOD, "base.yaml")) == GOOD


def test_a_missing_file_or_row_is_missing_and_no_error(tmp_path):
    absent = baseline.load(tmp_path / "none.yaml")
    assert not absent.exists
    assert absent.row("dcgan").kind == "missing"
    assert absent.row("dcgan").fid.kind == "missing"
    present = baseline.load(write(tmp_path, GOOD))
    assert present.row("pggan").kind == "missing"


def test_a_file_elsewhere_is_named_without_its_folder(tmp_path, monkeypatch):
    other = tmp_path / "other"
    other.mkdir()
    path = write(tmp_path, GOOD)
    monkeypatch.chdir(other)
    assert baseline.load(path).row("dcgan").fid.origin == "base.yaml:25"


def test_the_published_figures_ship_with_the_package():
    loaded = baseline.load("nsclc_radiomics_jang2022")
    assert loaded.kind == "published"
    table = {name: loaded.row(name) for name in ("Real", "DCGAN", "PGGAN")}
    assert [row.fid.values[6080].value for row in table.values()] == [2.05, 120.75, 6.79]
    assert [row.improved_recall.values[6080].value for row in table.values()] == [0.987, 0.342, 0.873]
    assert (table["PGGAN"].fid.values[6080].sd, table["PGGAN"].fid.values[6080].groups) == (0.354, 3)
    assert table["PGGAN"].kind == table["PGGAN"].fid.kind == "published"
    sweep = loaded.sweeps["DCGAN"]["improved_precision"]
    assert tuple(sweep) == (3, 5, 10, 20, 50, 100)
    assert sum(sweep[3]) / 3 == pytest.approx(0.202, abs=5e-4)  # the sweep at k=3 is the table's row
    assert loaded.sweeps["PGGAN"]["coverage"][5] == (0.85296,)
    assert canonical.text(loaded.document) == baseline.read(loaded.path)


def test_a_builtin_name_that_is_not_there_lists_those_that_are():
    with pytest.raises(BaselineError, match=r"nsclc_radiomics_jang2022.*a path ends in \.yaml"):
        baseline.load("nsclc_radiomics_jang")


def swap(old: str, new: str) -> str:
    assert GOOD.count(old) == 1
    return GOOD.replace(old, new)


BAD = {
    "string for a number": (swap("value: 120.75", 'value: "120.75"'), 29, "value should be a number, not str"),
    "a word for a number": (swap("se: 0.4", "se: low"), 29, "se should be a number"),
    "a bool for a number": (swap("se: 0.4", "se: true"), 29, "se should be a number, not bool"),
    "exponent without a point": (swap("se: 0.4", "se: 4e-1"), 29, "se should be a number, not str"),
    "negative error": (swap("se: 0.4", "se: -0.4"), 29, "se is negative"),
    "float for a count": (swap("  256: {n_real", "  256.5: {n_real"), 22, "should be a whole number"),
    "octal count": (swap("n_real: 800, groups: 1", "n_real: 0800, groups: 1"), 11, "should be a whole number"),
    "unknown metric": (
        swap("        margin", "        margin").replace("      fid:\n        margin", "      fit:\n        margin"),
        25,
        "unknown metric 'fit'",
    ),
    "too few group values": (swap("se: 0.4,", "se: 0.4, groups: [1.0],"), 29, "1 values where the look has 3 groups"),
    "unknown key": (swap("groups: 1", "grups: 1"), 11, "unknown name 'grups'"),
    "unknown margin": (swap("kind: auto", "kind: automatic"), 26, "'automatic' is none of"),
    "infinite margin": (swap("amount: 0.95", "amount: .inf"), 26, "finite"),
    "duplicated row": (GOOD + "  dcgan:\n    counts: {}\n    metrics: {}\n", 30, "'dcgan' stands here twice"),
    "duplicated key": (swap("    note:", '    note: ""\n    note:'), 18, "'note' stands here twice"),
    "duplicated count": (
        swap("      512: {n_real: 800, groups: 3}", "      256: {n_real: 800, groups: 3}"),
        23,
        "twice",
    ),
    "a look the row has not": (swap("          256: {value", "          128: {value"), 28, "128 is not among"),
    "tab": (swap("    note:", "\tnote:"), 17, "a tab"),
    "conflict": (swap("  dcgan:", "<<<<<<< HEAD\n  dcgan:"), 16, "merge conflict"),
    "conflict middle": (swap("  dcgan:", "=======\n  dcgan:"), 16, "merge conflict"),
    "conflict end": (GOOD + ">>>>>>> other\n", 30, "merge conflict"),
    "not yaml": (swap("groups: 1}", "groups: 1"), 12, "not YAML"),
    "a list": ("- 1\n- 2\n", 1, "the file should be a mapping"),
    "empty": ("", 1, "empty"),
    "another format": (swap("format: 1", "format: 2"), 1, "another format"),
    "no rows": ("format: 1\nkind: measured\n", 1, "no 'rows'"),
    "an alias": (swap("crop: image", "crop: &a image\n    size: *a"), 6, "alias"),
    "a date for text": (swap('accepted: "2026-11-23"', "accepted: 2026-11-23"), 19, "quote text"),
    "control character": (swap("crop: image", "crop: im\x07age"), 6, "character"),
    "self-reference": ("a: &a [*a]\n", 1, "alias"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_file_gets_one_line_with_file_and_line(case, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text, line, message = BAD[case]
    write(tmp_path, text)
    with pytest.raises(BaselineError) as caught:
        baseline.load("base.yaml")
    assert str(caught.value).startswith(f"base.yaml:{line}: ")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_text_that_is_not_utf8(tmp_path):
    (tmp_path / "base.yaml").write_bytes(b"format: 1\nname: \xff\n")
    with pytest.raises(BaselineError, match=r"base\.yaml:1: not UTF-8"):
        baseline.load(tmp_path / "base.yaml")


def test_nesting_without_end_is_one_line_too(tmp_path):
    with pytest.raises(BaselineError, match=r"base\.yaml:1: "):
        baseline.load(write(tmp_path, "[" * 20_000))


def test_comments_are_found_and_strings_are_left_alone():
    text = GOOD.replace("crop: image", "crop: image  # centred").replace("kind: measured", "# first\nkind: measured")
    assert baseline.comments(text) == [(2, "first"), (7, "centred")]
    assert baseline.comments(GOOD) == []


def test_a_candidate_comes_back_as_it_was_measured(candidate, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = candidate()
    document = baseline.parse(path.read_text(), "candidate.yaml")
    assert (document.complete, document.baseline, document.name) == (True, "base.yaml", "base")
    assert tuple(document.rows) == ("Real", "model")
    value = document.rows["model"].metrics["fid"].at[1024]
    assert (value.value, value.se, value.groups, value.values) == (20.0, 0.05, 3, (19.98, 20.0, 20.02))
    assert document.rows["model"].provenance == {"commit": "1234567", "dirty": False, "torch": "2.15"}
    accept(path, reason="first")
    fingerprint = baseline.load("base.yaml").row("model").fingerprint
    assert not fingerprint.differences(document.fingerprint)
    assert len(fingerprint.canary) == 128
