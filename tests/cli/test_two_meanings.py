"""A word that names a built-in and a path of the working directory: every command refuses it, as the plugin does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pytest_medgan.cli import main


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the working directory with folders of pictures that are named like built-ins."""
    monkeypatch.chdir(tmp_path)
    for name in ("phantom", "dcgan"):
        for patient in range(6):
            (tmp_path / name / f"p{patient}").mkdir(parents=True)
            for picture in range(4):
                pixels = np.random.default_rng([patient, picture]).integers(0, 255, (32, 32), dtype=np.uint8)
                Image.fromarray(pixels).save(tmp_path / name / f"p{patient}" / f"{picture}.png")
    return tmp_path


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("evaluate --data phantom --model a=x.safetensors", "--data: 'phantom' could mean"),
        ("evaluate --data phantom,size=32 --model a=x.safetensors", "--data: 'phantom' could mean"),
        ("evaluate --data phantom:4x3 --model a=dcgan", "--model: 'dcgan' could mean"),
        ("prepare phantom --out made.npz", "SOURCE: 'phantom' could mean"),
        ("train dcgan --images phantom --out run", "--images: 'phantom' could mean"),
        ("finetune --data phantom --out run", "--data: 'phantom' could mean"),
        ("turing --real phantom --fake made.npz --out page.html", "--real: 'phantom' could mean"),
    ],
)
def test_word_that_could_mean_both_is_refused(
    here: Path, capsys: pytest.CaptureFixture[str], line: str, message: str
) -> None:
    assert main(line.split()) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "Write ./" in error
    assert "fixture" not in error, "a command has none"
    assert not (here / ".medgan").exists(), "no phantom may have been written"


@pytest.mark.parametrize("option", ["extractor", "beside"])
def test_weights_that_could_mean_both_are_refused(here: Path, capsys: pytest.CaptureFixture[str], option: str) -> None:
    (here / "random").touch()
    line = f"evaluate --data phantom:4x3 --model a=x.safetensors --{option} inception_v3,weights=random"
    assert main(line.split()) == 2
    assert f"--{option}: 'random' could mean the file" in capsys.readouterr().err
    assert main(["finetune", "--out", "run", "--weights", "random"]) == 2
    assert "--weights: 'random' could mean the file" in capsys.readouterr().err


def test_path_is_read_where_it_is_written_as_one(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["prepare", "./phantom", "--size", "32", "--out", "made.npz"]) == 0
    assert "24  pictures" in capsys.readouterr().out


def test_built_in_is_taken_where_it_is_written_as_one(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["prepare", "phantom:4x3", "--crop", "image", "--size", "32", "--out", "made.npz"]) == 0
    assert "pictures" not in capsys.readouterr().out


def test_command_that_trains_nothing_takes_the_path(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A bare `dcgan` names nothing built in there; it used to be an architecture without weights."""
    for patient in range(6):
        for picture in (here / "dcgan" / f"p{patient}").iterdir():
            picture.rename(here / "dcgan" / f"{patient}-{picture.name}")
    assert main(["sample", "dcgan", "--count", "4", "--out", "made.npz"]) == 0
    assert "4 images of 32x32" in capsys.readouterr().out
