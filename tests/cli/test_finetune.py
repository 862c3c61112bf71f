"""medgan finetune: the arguments that reach the recipe, and the lines that it prints."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pytest_medgan.cli import finetune as command
from pytest_medgan.embedding import finetune as library
from pytest_medgan.embedding.confusion import Confusion
from pytest_medgan.embedding.finetune_files import UNFINISHED
from pytest_medgan.errors import SettingsError
from pytest_medgan.records import DataSettings, ImageSet, RealSets


def parse(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    command.add_parser(parser.add_subparsers())
    return parser.parse_args(["finetune", *arguments])


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The arguments that the library received; nothing is trained."""
    seen: dict[str, Any] = {}

    def images(labels: list[int], patient: str) -> ImageSet:
        pixels = np.zeros((len(labels), 1, 8, 8), np.uint8)
        return ImageSet(pixels, np.array([patient] * len(labels)), patient, np.array(labels, np.int8))

    def load(settings: DataSettings, **_: object) -> RealSets:
        training, held_out = images([0, 1, 1, -1], "P1"), images([0, 1], "P2")
        return RealSets(training, training, held_out, settings, "digest", ("a warning",))

    def train(settings: object, training: ImageSet, folder: Path, **rest: Any) -> Path:
        seen.update(rest, settings=settings, training=training)
        rest["on_epoch"](library.EpochReport(1, 0.5, Confusion(((3, 1), (0, 4)), 0.4)))
        return folder / "inception_v3.safetensors"

    monkeypatch.setattr("pytest_medgan.evaluate.sources.load_real", load)
    monkeypatch.setattr(library, "finetune", train)
    return seen


def test_defaults_are_the_recipe_of_the_paper(
    asked: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.run(parse("--out", str(tmp_path / "LUNG1-001"))) == 0
    assert asked["settings"] == library.FinetuneSettings()
    assert (asked["settings"].weights, asked["settings"].epochs, asked["settings"].train_head) == (
        "imagenet",
        10,
        False,
    )
    assert asked["held_out"] is not None
    shown = capsys.readouterr().out
    assert "a warning" in shown
    assert "3 images of 1 patients: 1 of survivors (33%), 2 of the deceased (67%), 1 without label left out" in shown
    assert "balanced 0.875" in shown
    assert "LUNG1-001" not in shown


def test_every_argument_reaches_the_recipe(asked: dict[str, Any], tmp_path: Path) -> None:
    text = "--weights random --epochs 2 --batch 4 --learning-rate 0.01 --train-head --normalisation imagenet --seed 5"
    (tmp_path / UNFINISHED).touch()
    command.run(parse("--out", str(tmp_path), *text.split(), "--data", "phantom:4,split=slice", "--resume"))
    assert asked["settings"] == library.FinetuneSettings(
        weights="random", epochs=2, batch=4, learning_rate=0.01, train_head=True, normalisation="imagenet", seed=5
    )
    assert asked["resume"] is True
    assert asked["held_out"] is None  # split=slice: the held-out images are among the training images


@pytest.mark.parametrize("wrong", ["--epochs=0", "--batch=0", "--checkpoint-every=0", "--seed=-1"])
def test_impossible_counts_are_refused(wrong: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="at least 1"):
        command.run(parse("--out", str(tmp_path), wrong))


def test_resuming_where_there_is_no_run_is_refused(asked: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="There is no run to resume"):
        command.run(parse("--out", str(tmp_path), "--resume"))
    assert asked == {}
