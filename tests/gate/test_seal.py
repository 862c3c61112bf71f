"""Seals: any change of content breaks one, no change of layout does."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from pathlib import Path

import pytest

from pytest_medgan.gate import baseline, canonical, seal
from pytest_medgan.gate.document import Document
from pytest_medgan.gate.seal import check_seal, seal_of, sealed
from pytest_medgan.records import Anchor, Count, Entry, Fingerprint, Margin, Row, Score, Seal, TrainingRun

ROOT = Path(__file__).parents[2]


def filled(row):
    """Return a row in which everything that a file can say is said."""
    base = row(fid=(20.123456789123, 21.0, 22.0), improved_recall=(0.5, 0.6, 0.7))
    anchor = Anchor("2026-01-01", 3, {1024: Score(20.5, 0.1, groups=3)})
    fid = replace(base.entries["fid"], margin=Margin("relative", 0.05), anchor=anchor, real=2.0)
    return sealed(
        replace(
            base,
            entries={**base.entries, "fid": fid},
            runs=tuple(TrainingRun(f"run {i}", "recipe", {"training_seed": i}) for i in range(3)),
            selected_from=5,
            counts={n: Count(1000, 3) for n in (128, 256, 512, 1024)},
            provenance={"reason": "first", "accepted": "2026-01-01"},
            note="a note",
        )
    )


def test_a_sealed_row_reads_back_as_valid_whatever_the_layout(row):
    base = filled(row)
    text = canonical.text(Document("x", fingerprint=base.fingerprint, rows={"model": base}))
    loaded = baseline.parse(text, "base.yaml").rows["model"]
    assert loaded.seal is Seal.VALID
    assert loaded.selected_from == 5
    assert loaded.entries["fid"].anchor.at[1024].mean == 20.5
    assert [run.facts["training_seed"] for run in loaded.runs] == [0, 1, 2]
    assert loaded.entries["fid"].at[1024].mean == pytest.approx((20.123456789 + 43) / 3)
    spaced = text.replace("\n", "   # remark\n")
    assert baseline.parse(spaced, "base.yaml").rows["model"].seal is Seal.VALID


def test_the_seal_covers_every_field(row):
    base = filled(row)
    fid = base.entries["fid"]
    first = fid.at[1024].runs[0]
    changes = {
        "name": {"name": "other"},
        "kind": {"kind": "published"},
        "input": {"fingerprint": replace(base.fingerprint, inputs={**base.fingerprint.inputs, "crop": "tumour"})},
        "canary": {"fingerprint": replace(base.fingerprint, canary=(1.0,))},
        "no fingerprint": {"fingerprint": None},
        "run": {"runs": base.runs[:2]},
        "training seed": {"runs": (*base.runs[:2], TrainingRun("run 2", "recipe", {"training_seed": 9}))},
        "selected_from": {"selected_from": 4},
        "family": {"family": 13},
        "counts": {"counts": {128: Count(1000, 3)}},
        "provenance": {"provenance": {"reason": "second", "accepted": "2026-01-01"}},
        "note": {"note": ""},
        "sweeps": {"sweeps": {"fid": {3: (0.5,)}}},
        "metric gone": {"entries": {"fid": fid}},
        "margin": {"entries": {**base.entries, "fid": replace(fid, margin=Margin("relative", 0.06))}},
        "anchor": {"entries": {**base.entries, "fid": replace(fid, anchor=None)}},
        "revision": {"entries": {**base.entries, "fid": replace(fid, revision="2")}},
        "real": {"entries": {**base.entries, "fid": replace(fid, real=3.0)}},
    }
    for number in ("mean", "se", "sd", "se_total", "freedom"):
        runs = (replace(first, **{number: 0.77}), *fid.at[1024].runs[1:])
        at = {**fid.at, 1024: replace(fid.at[1024], runs=runs)}
        changes[number] = {"entries": {**base.entries, "fid": replace(fid, at=at)}}
    seals = {name: seal_of(replace(base, **change)) for name, change in changes.items()}
    assert base.seal_text not in seals.values()
    assert len(set(seals.values())) == len(seals)


@dataclass(frozen=True)
class LaterEntry(Entry):
    """An entry with fields that came after the first seals."""

    unit: str = ""
    remarks: tuple[str, ...] = field(default_factory=tuple)


@dataclass(frozen=True)
class LaterRow(Row):
    """A row with a field that came after the first seals."""

    owner: str = ""


@pytest.fixture
def later(row, monkeypatch):
    """Return a filled row, and the same row in classes that have gained fields."""
    for table in ("_ALWAYS_COVERED", "_NEVER_COVERED"):
        names = getattr(seal, table)
        monkeypatch.setattr(seal, table, {**names, LaterEntry: names[Entry], LaterRow: names[Row]})
    base = filled(row)
    entries = {name: LaterEntry(**values_of(entry)) for name, entry in base.entries.items()}
    return base, LaterRow(**{**values_of(base), "entries": entries})


def values_of(record):
    """Return the values of a record's fields by name."""
    return {one.name: getattr(record, one.name) for one in fields(record)}


def test_seal_stays_valid_when_a_record_gains_a_field_with_a_default(later):
    before, after = later
    assert check_seal(after, before.seal_text) is Seal.VALID


@pytest.mark.parametrize("change", [{"unit": "HU"}, {"remarks": ("checked",)}])
def test_seal_covers_a_later_field_of_an_entry(later, change):
    before, after = later
    fid = replace(after.entries["fid"], **change)
    assert check_seal(replace(after, entries={**after.entries, "fid": fid}), before.seal_text) is Seal.BROKEN


def test_seal_covers_a_later_field_of_a_row(later):
    before, after = later
    assert check_seal(replace(after, owner="team"), before.seal_text) is Seal.BROKEN


@pytest.mark.parametrize("file", ["baselines/phantom.yaml", "examples/retrained/medgan-baseline.yaml"])
def test_seals_of_the_files_of_this_repository_are_valid(file):
    document = baseline.parse((ROOT / file).read_text(encoding="utf-8"), file)
    assert {name: row.seal for name, row in document.rows.items()} == dict.fromkeys(document.rows, Seal.VALID)


def test_places_in_the_file_and_the_environment_are_not_sealed(row):
    base = filled(row)
    moved = replace(base, line=99, origin="other.yaml:99", real=base)
    moved = replace(moved, fingerprint=replace(base.fingerprint, environment={"torch": "9"}, revisions={"fid": 7}))
    assert seal_of(moved) == base.seal_text


def test_a_row_without_a_seal_has_none(row):
    base = filled(row)
    assert check_seal(base, "") is Seal.ABSENT
    assert check_seal(base, base.seal_text) is Seal.VALID
    assert check_seal(base, "0" * 32) is Seal.BROKEN


def test_ten_thousandth_of_a_percent_breaks_a_seal_and_rounding_does_not(row):
    score = row(fid=20.0).entries["fid"].at[1024]
    entries = row(fid=20.0).entries
    base = row(fid=20.0)

    def with_value(value):
        at = {**entries["fid"].at, 1024: replace(score, mean=value)}
        return seal_of(replace(base, entries={"fid": replace(entries["fid"], at=at)}))

    assert with_value(20.0) == with_value(20.0 + 1e-12)
    assert with_value(20.0) != with_value(20.00002)
    assert Fingerprint({}).canary is None
