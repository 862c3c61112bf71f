"""medgan prepare."""

from __future__ import annotations

import argparse
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from pytest_medgan.cli import prepare
from pytest_medgan.errors import DataError, SettingsError
from pytest_medgan.evaluate.settings import parse_data
from pytest_medgan.evaluate.sources import load_real
from pytest_medgan.records import DataSettings


def parse(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    prepare.add_parser(parser.add_subparsers())
    return parser.parse_args(["prepare", *words])


def test_data_settings_options_are_the_settings() -> None:
    assert prepare.data_settings(parse("phantom", "--out", "a.npz")) == DataSettings()
    words = "x --out a.npz --crop image --crop-size 100 --size 64 --window=-1350:150 --slices all --patients 7"
    more = ["--histologies", "nos:large cell", "--split", "slice", "--fractions", "0.6:0.2:0.2", "--roi", "Boost 2"]
    more += ["--range=-1:1", "--patient", "file", "--planes", "three", "--channels", "3", "--strict"]
    settings = prepare.data_settings(parse(*words.split(), *more, "--seed", "3"))
    assert settings == DataSettings(
        source="x",
        split="slice",
        fractions=(0.6, 0.2, 0.2),
        seed=3,
        crop="image",
        crop_size=100,
        size=64,
        window=(-1350.0, 150.0),
        slices=None,
        planes="three",
        channels=3,
        patients=7,
        histologies=("nos", "large cell"),
        roi="Boost 2",
        range=(-1.0, 1.0),
        patient="file",
        strict=True,
    )
    own = {field.name for field in fields(settings) if getattr(settings, field.name) != field.default}
    assert own == {field.name for field in fields(settings)} - {"generated"}  # the package alone sets that one


def test_data_settings_behind_the_source_are_those_of_medgan_data() -> None:
    text = "phantom:8x4,crop=image,crop_size=96,window=-1350:150,strict=yes,roi=GTV 2"
    assert prepare.data_settings(parse(text, "--out", "a.npz")) == parse_data(text)
    both = prepare.data_settings(parse(text, "--out", "a.npz", "--crop", "auto"))
    assert (both.crop, both.crop_size) == ("auto", 96)


def test_run_writes_a_file_that_is_a_source(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cache, out = tmp_path / "cache", tmp_path / "images.npz"
    words = ["phantom:3x2", "--size", "32", "--cache-dir", str(cache)]
    assert prepare.run(parse(*words, "--out", str(out))) == 0
    printed = capsys.readouterr().out
    assert "training 2, reference 2, held out 2 images; crop tumour, split patient" in printed
    assert str(tmp_path) not in printed
    real = load_real(DataSettings(source="phantom:3x2", size=32), cache_dir=cache)
    assert real.digest in printed
    given = load_real(DataSettings(source=str(out)), cache_dir=tmp_path / "other")
    assert given.digest == real.digest
    assert np.array_equal(given.reference.pixels, real.reference.pixels)
    with np.load(out) as stored:
        for role in ("training", "reference", "held_out"):
            assert np.array_equal(stored["pixels"][stored[role]], getattr(real, role).pixels)
    again = tmp_path / "again.npz"
    assert prepare.run(parse(str(out), "--cache-dir", str(cache), "--out", str(again))) == 0
    assert again.read_bytes() == out.read_bytes()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--out", "a.zip"], "--out must end in .npz"),
        (["--out", "a.npz", "--window", "1"], "--window takes two Hounsfield units"),
        (["--out", "a.npz", "--window", "a:b"], "--window takes two Hounsfield units"),
        (["--out", "a.npz", "--slices", "0"], "--slices takes a whole number"),
        (["--out", "a.npz", "--patients", "-1"], "--patients takes a whole number"),
        (["--out", "a.npz", "--fractions", "1:2"], "--fractions takes three shares"),
    ],
)
def test_run_option_that_cannot_be_used_is_named(words: list[str], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        prepare.run(parse("phantom:3x2", *words))


def test_run_ends_with_a_table_of_what_was_read_used_and_skipped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cache = tmp_path / "cache"
    assert prepare.run(parse("phantom:3x2", "--out", str(tmp_path / "a.npz"), "--cache-dir", str(cache))) == 0
    capsys.readouterr()
    studies = next((cache / "phantom").glob("3x2-*[!k]"))
    folder = next(studies.glob("PHANTOM-001/*/*/1-001.dcm")).parent
    (folder / "x\x1b[2J.dcm").touch()
    (studies / "notes.txt").write_text("read me")
    words = [str(studies), "--out", str(tmp_path / "b.npz"), "--cache-dir", str(cache)]
    for _ in range(2):  # names are shown the second time as well
        assert prepare.run(parse(*words)) == 0
        lines = capsys.readouterr().out.splitlines()
        empty = f"PHANTOM-001/{folder.parent.name}/{folder.name}/x\\x1b[2J.dcm"
        assert [" ".join(line.split()) for line in lines[:-1]] == [
            "read 12 files",
            "6 slices found",
            "used 3 patients",
            "6 slices used",
            "3 structure sets used",
            f"skipped 1 empty file: {empty}",
            "1 file of another kind: notes.txt",
            "warning passed over: 1 empty file",
            "warning 3 of 3 patients have fewer than 64 slices: all of them are used",
            "training 2, reference 2, held out 2 images; crop tumour, split patient",
        ]


def test_run_strict_refuses_what_is_passed_over_otherwise(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    prepare.run(parse("phantom:3x2", "--out", str(tmp_path / "a.npz"), "--cache-dir", str(cache)))
    studies = next((cache / "phantom").glob("3x2-*[!k]"))
    next(studies.glob("PHANTOM-001/*/*/1-001.dcm")).with_name("x.dcm").touch()
    with pytest.raises(DataError, match="is empty"):
        prepare.run(parse(str(studies), "--out", str(tmp_path / "b.npz"), "--cache-dir", str(cache), "--strict"))
