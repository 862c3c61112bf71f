"""Scores and images that the processes of one session have in common."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pytest_medgan.evaluate import ModelEvaluation, Settings, Subject, Workbench
from pytest_medgan.evaluate.shared import SharedScores
from pytest_medgan.records import DataSettings, Float32, ImageSet, Progress, RealSets, UInt8, no_progress


class Means:
    identity = "means"
    numeric_class = "float32"

    def embed(self, pixels: UInt8, progress: Progress = no_progress) -> tuple[Float32, None]:
        side = pixels.shape[-1] // 4
        means = pixels.reshape(len(pixels), 4, side, 4, side).mean((2, 4))
        return means.reshape(len(pixels), 16).astype(np.float32), None


class Noise:
    """Remembers what it was asked for."""

    def __init__(self, identity: str | None = "noise") -> None:
        self.identity, self.asked = identity, 0

    def __call__(self, count: int, seed: int) -> UInt8:
        self.asked += 1
        return np.random.default_rng([seed, 1]).integers(40, 200, (count, 1, 16, 16), dtype=np.uint8)


def worker(folder: Path, generator: Noise) -> ModelEvaluation:
    """What one process of several makes for itself."""
    pixels = np.random.default_rng(0).integers(0, 256, (64, 1, 16, 16), dtype=np.uint8)
    images = ImageSet(pixels, np.repeat([f"p{i}" for i in range(4)], 16), "real")
    real = RealSets(images, images, images, DataSettings("x"), "digest")
    settings = Settings(metrics=("fid", "improved_precision"), seeds=(0, 1))
    subject = Subject(real, Means(), settings, Workbench(folder / "cache"), SharedScores(folder / "session"))
    return ModelEvaluation("noise", generator, subject)


def test_what_one_has_computed_the_other_reads(tmp_path: Path) -> None:
    first, second = Noise(), Noise()
    ours, theirs = worker(tmp_path, first).at(32), worker(tmp_path, second).at(32)
    assert ours.metrics == theirs.metrics
    assert ours.fingerprint == theirs.fingerprint
    assert (first.asked, second.asked) == (2, 0)


def test_the_next_look_takes_the_images_that_are_there(tmp_path: Path) -> None:
    first, second = Noise(), Noise()
    worker(tmp_path, first).at(16)
    other = worker(tmp_path, second)
    other.at(16)
    assert other.at(32).metrics == worker(tmp_path / "elsewhere", Noise()).at(32).metrics
    assert second.asked == 0


@pytest.mark.parametrize("identity", [None, "another"])
def test_another_model_s_scores_are_not_taken_for_its_own(tmp_path: Path, identity: str | None) -> None:
    worker(tmp_path, Noise()).at(16)
    generator = Noise(identity)
    worker(tmp_path, generator).at(16)
    assert generator.asked == 2
