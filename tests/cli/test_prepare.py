"""medgan prepare."""

from __future__ import annotations

import argparse
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from pytest_medgan.cli import prepare
from pytest_medgan.errors import SettingsError
from pytest_medgan.evaluate.sources import load_real
from pytest_medgan.records import DataSettings


def parse(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    prepare.add_parser(parser.add_subparsers())
    return parser.parse_args(["prepare", *words])


def test_options_are_the_settings() -> None:
    assert prepare.data_settings(parse("phantom", "--out", "a.npz")) == DataSettings()
    words = "x --out a.npz --crop image --crop-size 100 --size 64 --window=-1350:150 --slices all --patients 7"
    more = ["--histology", "nos", "--histology", "large cell", "--split", "slice", "--fractions", "0.6:0.2:0.2"]
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
        patients=7,
        histologies=("nos", "large cell"),
    )
    assert all(getattr(settings, field.name) != field.default for field in fields(settings))  # none is left out


def test_the_file_it_writes_is_a_source(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cache, out = tmp_path / "cache", tmp_path / "images.npz"
    words = ["phantom:3x2", "--size", "32", "--cache-dir", str(cache)]
    assert prepare.run(parse(*words, "--out", str(out))) == 0
    told = capsys.readouterr().out
    assert "training 2, reference 2, held out 2 images of 3 patients; crop tumour, split patient" in told
    assert str(tmp_path) not in told
    real = load_real(DataSettings(source="phantom:3x2", size=32), cache_dir=cache)
    assert real.digest in told
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
        (["--out", "a.npz", "--window", "1"], "--window takes 2 numbers"),
        (["--out", "a.npz", "--window", "a:b"], "--window takes 2 numbers"),
        (["--out", "a.npz", "--slices", "0"], "--slices takes a whole number"),
        (["--out", "a.npz", "--patients", "-1"], "--patients takes a whole number"),
        (["--out", "a.npz", "--fractions", "1:2"], "--fractions takes 3 numbers"),
    ],
)
def test_options_that_cannot_be_used(words: list[str], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        prepare.run(parse("phantom:3x2", *words))
