"""Formatting, upgrading and sealing a baseline file."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_medgan.catalogue import NAMES
from pytest_medgan.errors import BaselineError
from pytest_medgan.gate import baseline, canonical
from pytest_medgan.gate.accept import Request, accept
from pytest_medgan.gate.upkeep import reformat, reseal
from pytest_medgan.records import Seal
from tests.gate.conftest import OLD_BASELINE

BASE = Path("base.yaml")


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_an_old_file_is_upgraded_with_a_reason_and_sealed():
    BASE.write_text(OLD_BASELINE)
    with pytest.raises(BaselineError, match="format FILE --reason"):
        reformat(BASE)
    assert BASE.read_text() == OLD_BASELINE
    assert reformat(BASE, "checked against the last release")
    row = baseline.load(BASE).row("dcgan")
    assert row.seal is Seal.VALID
    assert (row.family, row.note, row.entries["fid"].revision) == (len(NAMES), "ours", "1")
    assert (row.runs[0].checkpoint, dict(row.runs[0].facts)) == ("a1", {"commit": "1234567"})
    assert row.provenance["sealed_reason"] == "checked against the last release"
    assert row.provenance["torch"] == "2.15"
    assert "checkpoint" not in row.provenance
    assert baseline.load(BASE).document.note == "the first of all"
    assert not reformat(BASE)


def test_published_figures_need_no_reason():
    BASE.write_text(baseline.read(baseline.find("nsclc_radiomics_jang2022")))
    assert reformat(BASE)
    loaded = baseline.load(BASE)
    assert loaded.kind == "published"
    assert canonical.text(loaded.document) == BASE.read_text()


def test_remarks_move_into_notes_and_seals_hold(candidate):
    accept(Request((candidate(),), "first"))
    plain = BASE.read_text()
    BASE.write_text("# ours\n" + plain.replace("      fid:\n", "      fid:  # look here\n"))
    assert reformat(BASE)
    assert not reformat(BASE)
    document = baseline.load(BASE).document
    assert document.note == "ours"
    assert document.rows["model"].note == "look here"
    assert document.rows["model"].seal is Seal.VALID


def test_formatting_does_not_mend_a_broken_seal(candidate):
    accept(Request((candidate(),), "first"))
    BASE.write_text(
        BASE.read_text().replace("value: 20.0,", "value: 30.0,  ").replace("      fid:\n", "      fid:  # x\n")
    )
    assert reformat(BASE)
    assert baseline.load(BASE).row("model").seal is Seal.BROKEN


def test_a_change_by_hand_is_sealed_with_a_reason(candidate):
    accept(Request((candidate(),), "first"))
    BASE.write_text(BASE.read_text().replace("value: 20.0,", "value: 19.5,"))
    assert baseline.load(BASE).row("model").seal is Seal.BROKEN
    with pytest.raises(BaselineError, match="reason"):
        reseal(BASE, " ")
    assert reseal(BASE, "typed wrong") == ("model",)
    row = baseline.load(BASE).row("model")
    assert (row.seal, row.fid.values[1024].mean) == (Seal.VALID, 19.5)
    assert row.provenance["sealed_reason"] == "typed wrong"
    assert reseal(BASE, "again") == ()


def test_an_old_file_or_one_without_canary_is_not_sealed(candidate):
    BASE.write_text(OLD_BASELINE)
    with pytest.raises(BaselineError, match="format 1"):
        reseal(BASE, "why")
    BASE.unlink()
    accept(Request((candidate(),), "first"))
    lines = BASE.read_text().split("\n")
    kept = [line for line in lines if not line.startswith("    - [") and "canary" not in line]
    BASE.write_text("\n".join(kept))
    with pytest.raises(BaselineError, match="no canary"):
        reseal(BASE, "why")


def test_under_ci_nothing_is_written(monkeypatch):
    BASE.write_text(OLD_BASELINE)
    monkeypatch.setenv("CI", "true")
    for change in (lambda: reformat(BASE, "why"), lambda: reseal(BASE, "why")):
        with pytest.raises(BaselineError, match="Under CI"):
            change()
    assert BASE.read_text() == OLD_BASELINE
