"""The baseline file: read strictly, found by name, every complaint with its line."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from pytest_medgan.errors import BaselineError
from pytest_medgan.gate import baseline, canonical
from pytest_medgan.gate.seal import seal_of
from pytest_medgan.records import Margin, Seal
from tests.gate.conftest import OLD_BASELINE

GOOD = """\
format: 2
kind: measured
name: phantom
fingerprint:
  inputs:
    crop: image
  canary:
    - [0.5, -1.25]
rows:
  Real:
    counts:
      512: {n_real: 800, groups: 1}
    metrics:
      fid:
        revision: "1"
        at:
          512: {value: 2.05, se: 0.1}
    seal: "SEAL-REAL"
  dcgan:
    note: "a note: with a colon # and no remark"
    provenance:
      accepted: "2026-11-23"
    family: 14
    selected_from: 5
    runs:
      - {checkpoint: "a1", commit: "1234567", training_seed: 0}
      - {checkpoint: "b2", commit: "1234567", training_seed: 1}
    counts:
      256: {n_real: 800, groups: 3}
      512: {n_real: 800, groups: 3}
    metrics:
      fid:
        revision: "1"
        margin: {kind: relative, amount: 0.05}
        real: 2.05
        anchor:
          since: "2026-10-01"
          rows: 2
          at:
            512: {value: 119.5, se: 0.3}
        at:
          256:
            - {value: 130.0, sd: 0.7, se: 0.5, se_total: 0.9}
            - {value: 132.0, sd: 0.7, se: 0.5, se_total: 0.9}
          512:
            - {value: 120.75, sd: 0.722, se: 0.4, se_total: 0.8}
            - {value: 121.25, sd: 0.722, se: 0.4, se_total: 0.8, freedom: 31.0, groups: [121.0, 121.25, 121.5]}
      kid:
        revision: "1"
        margin: {kind: auto}
        at:
          512:
            - {value: 0.1, se: 0.01}
            - {value: 0.2, se: 0.01}
    seal: "SEAL-DCGAN"
"""
_SEALS = {name: seal_of(row) for name, row in baseline.parse(GOOD, "base.yaml").rows.items()}
GOOD = GOOD.replace("SEAL-REAL", _SEALS["Real"]).replace("SEAL-DCGAN", _SEALS["dcgan"])
LINES = GOOD.splitlines()


def at_line(text: str) -> int:
    """Return the number of the only line that holds a text."""
    found = [number for number, line in enumerate(LINES, 1) if text in line]
    assert len(found) == 1, text
    return found[0]


def write(folder: Path, text: str) -> Path:
    path = folder / "base.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_row_is_limits_with_origin_margin_real_row_runs_and_fingerprint(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path, GOOD)
    loaded = baseline.load("base.yaml")
    row = loaded.row("dcgan")
    assert (row.kind, row.origin) == ("measured", f"base.yaml:{at_line('  dcgan:')}")
    assert row.kid.origin == f"base.yaml:{at_line('kid:')}"
    assert row.fid.values[512].mean == 121.0
    assert [run.mean for run in row.fid.values[256].runs] == [130.0, 132.0]
    assert row.fid.values[512].runs[1].groups == 3
    assert row.fid.values[512].runs[1].freedom == 31.0
    assert row.fid.margin == Margin("relative", 0.05)
    assert row.kid.margin == Margin()
    assert (row.fid.entry.real, row.real.fid.values[512].mean) == (2.05, 2.05)
    assert row.fid.entry.anchor.at[512].mean == 119.5
    assert (row.selected_from, row.family) == (5, 14)
    assert [run.checkpoint for run in row.runs] == ["a1", "b2"]
    assert row.runs[1].facts == {"commit": "1234567", "training_seed": 1}
    assert row.fingerprint.inputs == {"crop": "image"}
    assert row.seal is loaded.row("Real").seal is Seal.VALID
    assert row.note == "a note: with a colon # and no remark"
    assert loaded.rows == ("Real", "dcgan")


def test_a_file_of_format_1_is_read_and_its_rows_have_no_seal():
    row = baseline.parse(OLD_BASELINE, "old.yaml").rows["dcgan"]
    assert row.seal is Seal.ABSENT
    assert [run.checkpoint for run in row.runs] == ["a1"]
    assert row.entries["fid"].margin == Margin()
    assert row.entries["fid"].revision == "1"
    assert math.isnan(
        baseline.parse(OLD_BASELINE.replace("sd: 0.722, ", ""), "old.yaml").rows["dcgan"].fid.values[512].sd
    )


def test_the_example_is_canonical():
    assert canonical.text(baseline.parse(GOOD, "base.yaml")) == GOOD


def test_a_missing_file_or_row_is_missing_and_no_error(tmp_path):
    absent = baseline.load(tmp_path / "none.yaml")
    assert not absent.exists
    assert absent.row("dcgan").kind == "missing"
    assert absent.row("dcgan").fid.kind == "missing"
    present = baseline.load(write(tmp_path, GOOD))
    assert present.row("pggan").kind == "missing"


def test_a_link_in_a_circle_is_missing_and_no_error(tmp_path):
    (tmp_path / "base.yaml").symlink_to(tmp_path / "base.yaml")
    looped = baseline.load(tmp_path / "base.yaml")
    assert not looped.exists
    assert looped.row("dcgan").kind == "missing"
    assert repr(looped) == "<baseline base.yaml, rows: none>"


def test_a_name_that_the_system_refuses_is_one_line(tmp_path):
    with pytest.raises(BaselineError, match=r"\.yaml: cannot be looked up \(File name too long\); give another"):
        baseline.load(tmp_path / f"{'a' * 300}.yaml")


def test_a_file_elsewhere_is_named_without_its_folder(tmp_path, monkeypatch):
    other = tmp_path / "other"
    other.mkdir()
    path = write(tmp_path, GOOD)
    monkeypatch.chdir(other)
    assert baseline.load(path).row("dcgan").kid.origin == f"base.yaml:{at_line('kid:')}"


def test_the_published_figures_ship_with_the_package():
    loaded = baseline.load("nsclc_radiomics_jang2022")
    assert loaded.kind == "published"
    table = {name: loaded.row(name) for name in ("Real", "DCGAN", "PGGAN")}
    assert [row.fid.values[6080].mean for row in table.values()] == [2.05, 120.75, 6.79]
    assert [row.improved_recall.values[6080].mean for row in table.values()] == [0.987, 0.342, 0.873]
    assert (table["PGGAN"].fid.values[6080].sd, table["PGGAN"].fid.values[6080].groups) == (0.354, 3)
    assert table["PGGAN"].kind == table["PGGAN"].fid.kind == "published"
    sweep = loaded.sweeps["DCGAN"]["improved_precision"]
    assert tuple(sweep) == (3, 5, 10, 20, 50, 100)
    assert sum(sweep[3]) / 3 == pytest.approx(0.202, abs=5e-4)  # the sweep at k=3 is the table's row
    assert loaded.sweeps["PGGAN"]["coverage"][5] == (0.85296,)
    assert loaded.document.format == 1


def test_a_builtin_name_that_is_not_there_lists_those_that_are():
    with pytest.raises(BaselineError, match=r"nsclc_radiomics_jang2022.*a path ends in \.yaml"):
        baseline.load("nsclc_radiomics_jang")


def swap(old: str, new: str) -> str:
    assert GOOD.count(old) == 1, old
    return GOOD.replace(old, new)


VALUE = at_line("value: 120.75")
BAD = {
    "string for a number": (swap("value: 120.75", 'value: "120.75"'), VALUE, "value should be a number, not str"),
    "a word for a number": (swap("value: 120.75", "value: low"), VALUE, "value should be a number"),
    "a bool for a number": (swap("value: 120.75", "value: true"), VALUE, "value should be a number, not bool"),
    "exponent without a point": (swap("value: 120.75", "value: 4e-1"), VALUE, "value should be a number, not str"),
    "negative error": (
        swap("512: {value: 119.5, se: 0.3", "512: {value: 119.5, se: -0.3"),
        at_line("119.5"),
        "se is negative",
    ),
    "float for a count": (
        swap("  256: {n_real", "  256.5: {n_real"),
        at_line("256: {n_real"),
        "should be a whole number",
    ),
    "octal count": (
        swap("n_real: 800, groups: 1", "n_real: 0800, groups: 1"),
        at_line("groups: 1}"),
        "should be a whole number",
    ),
    "unknown metric": (swap("      kid:", "      kit:"), at_line("kid:"), "unknown metric 'kit'"),
    "too few group values": (
        swap("[121.0, 121.25, 121.5]", "[1.0]"),
        at_line("121.5]"),
        "1 values where the look has 3 groups",
    ),
    "too few runs": (
        swap("            - {value: 0.2, se: 0.01}\n", ""),
        at_line("value: 0.1,"),
        "1 values where the row has 2",
    ),
    "unknown key": (swap("groups: 1", "grups: 1"), at_line("groups: 1}"), "unknown name 'grups'"),
    "a tolerance of the file's own": (
        swap("  canary:\n", "  canary_tolerance: 10.0\n  canary:\n"),
        7,
        "'canary_tolerance'",
    ),
    "unknown margin": (swap("kind: relative", "kind: relativ"), at_line("relative"), "'relativ' is none of"),
    "infinite margin": (swap("amount: 0.05", "amount: .inf"), at_line("amount"), "finite"),
    "a margin without an amount": (swap(", amount: 0.05", ""), at_line("amount"), "needs an amount"),
    "auto with an amount": (swap("{kind: auto}", "{kind: auto, amount: 9.0}"), at_line("kind: auto"), "has no amount"),
    "half an anchor": (swap("          rows: 2\n", ""), at_line("since"), "an anchor needs"),
    "duplicated row": (
        GOOD + "  dcgan:\n    counts: {}\n    metrics: {}\n",
        len(LINES) + 1,
        "'dcgan' stands here twice",
    ),
    "duplicated key": (
        swap("    note:", '    note: ""\n    note:'),
        at_line("    note:") + 1,
        "'note' stands here twice",
    ),
    "duplicated count": (
        swap("      512: {n_real: 800, groups: 3}", "      256: {n_real: 800, groups: 3}"),
        at_line("512: {n_real: 800, groups: 3}"),
        "twice",
    ),
    "a look the row has not": (
        swap("            512: {value: 119.5", "            128: {value: 119.5"),
        at_line("119.5"),
        "128",
    ),
    "tab": (swap("    note:", "\tnote:"), at_line("    note:"), "a tab"),
    "conflict": (swap("  dcgan:", "<<<<<<< HEAD\n  dcgan:"), at_line("  dcgan:"), "merge conflict"),
    "conflict middle": (swap("  dcgan:", "=======\n  dcgan:"), at_line("  dcgan:"), "merge conflict"),
    "conflict end": (GOOD + ">>>>>>> other\n", len(LINES) + 1, "merge conflict"),
    "not yaml": (swap("groups: 1}", "groups: 1"), at_line("groups: 1}") + 1, "not YAML"),
    "a list": ("- 1\n- 2\n", 1, "the file should be a mapping"),
    "empty": ("", 1, "empty"),
    "another format": (swap("format: 2", "format: 3"), 1, "another format"),
    "an older format with newer parts": (
        swap("format: 2", "format: 1"),
        at_line('seal: "' + _SEALS["Real"]),
        "unknown name 'seal'",
    ),
    "no rows": ("format: 2\nkind: measured\n", 1, "no 'rows'"),
    "no inputs": (swap("  inputs:\n    crop: image\n", ""), 5, "no 'inputs'"),
    "an alias": (swap("crop: image", "crop: &a image\n    size: *a"), 6, "alias"),
    "a date for text": (swap('accepted: "2026-11-23"', "accepted: 2026-11-23"), at_line("accepted"), "quote text"),
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


def test_built_in_name_is_not_taken_for_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "phantom").mkdir()
    assert baseline.find("phantom").name == "phantom.yaml"
