"""Scores and images that the processes of one session have in common."""

from __future__ import annotations

import os
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import filelock
import numpy as np
import pytest

from pytest_medgan.embedding import resolve_extractor
from pytest_medgan.evaluate import ModelEvaluation, RunsEvaluation, Settings, Subject, Workbench
from pytest_medgan.evaluate.real import real_evaluation
from pytest_medgan.evaluate.shared import SharedScores
from pytest_medgan.records import DataSettings, Float32, ImageSet, Progress, RealSets, Scores, UInt8, no_progress


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


class Ranges(Noise):
    """Draws any stretch of its sequence."""

    def sample_range(self, start: int, stop: int, seed: int) -> UInt8:
        self.asked += stop - start
        return np.random.default_rng([seed, 1]).integers(40, 200, (64, 1, 16, 16), dtype=np.uint8)[start:stop]


class Waiting(Ranges):
    """Gives another process the time to draw the same images; counts what both draw."""

    def __init__(self, identity: str) -> None:
        super().__init__(identity)
        self.both = threading.Barrier(2)

    def sample_range(self, start: int, stop: int, seed: int) -> UInt8:
        with suppress(threading.BrokenBarrierError):
            self.both.wait(0.5)
        return super().sample_range(start, stop, seed)


def subject_of(folder: Path) -> Subject:
    pixels = np.random.default_rng(0).integers(0, 256, (64, 1, 16, 16), dtype=np.uint8)
    images = ImageSet(pixels, np.repeat([f"p{i}" for i in range(4)], 16), "real")
    real = RealSets(images, images, images, DataSettings("x"), "digest")
    settings = Settings(metrics=("fid", "improved_precision"), seeds=(0, 1))
    shared = SharedScores(folder / "session")
    return Subject(real, resolve_extractor(Means()), settings, Workbench(folder / "cache"), shared)


def worker(folder: Path, generator: Noise) -> ModelEvaluation:
    """What one process of several makes for itself."""
    return ModelEvaluation("noise", generator, subject_of(folder))


def test_second_process_reads_the_scores_of_the_first(tmp_path: Path) -> None:
    first, second = Noise(), Noise()
    ours, theirs = worker(tmp_path, first).at(32), worker(tmp_path, second).at(32)
    assert ours.metrics == theirs.metrics
    assert ours.fingerprint == theirs.fingerprint
    assert (first.asked, second.asked) == (2, 0)


def test_next_look_uses_images_drawn_elsewhere(tmp_path: Path) -> None:
    first, second = Noise(), Noise()
    worker(tmp_path, first).at(16)
    other = worker(tmp_path, second)
    other.at(16)
    assert other.at(32).metrics == worker(tmp_path / "elsewhere", Noise()).at(32).metrics
    assert second.asked == 0


@pytest.mark.parametrize("identity", [None, "another"])
def test_scores_of_another_model_are_not_used(tmp_path: Path, identity: str | None) -> None:
    worker(tmp_path, Noise()).at(16)
    generator = Noise(identity)
    worker(tmp_path, generator).at(16)
    assert generator.asked == (2 if identity else 4)  # where nothing names it, twice more for a few images


def test_look_is_computed_by_one_process_alone(tmp_path: Path) -> None:
    scores = worker(tmp_path / "elsewhere", Noise()).at(16)
    computed: list[int] = []

    def compute(process: int) -> Scores:
        computed.append(process)
        return replace(scores, fingerprint=None)

    for process in range(2):
        assert SharedScores(tmp_path).of("key", 16, lambda: compute(process)).metrics == scores.metrics  # noqa: B023
    assert computed == [0]


def test_models_without_identity_share_nothing(tmp_path: Path) -> None:
    """The first anonymous model of one process need not be that of another."""
    worker(tmp_path, Noise(None)).at(16)
    generator = Noise(None)
    worker(tmp_path, generator).at(16)
    assert generator.asked == 4  # two seeds, and twice a few images


def test_shared_folder_holds_no_real_image(tmp_path: Path) -> None:
    """The scores of the held-out images are shared; the images are not, in whatever order."""
    subject = subject_of(tmp_path)
    real_evaluation(subject).at(32)
    worker(tmp_path, Noise()).at(32)
    kept = sorted((tmp_path / "session").iterdir())
    assert {path.suffix for path in kept} == {".json", ".lock", ".npy"}
    together = b"".join(path.read_bytes() for path in kept)
    assert Noise()(64, 0)[5].tobytes() in together
    assert not any(image.tobytes() in together for image in subject.real.held_out.pixels)


def test_shorter_draw_does_not_replace_a_longer_one(tmp_path: Path) -> None:
    generator = Ranges()
    ours = worker(tmp_path, generator)
    ours.images(0, 48)
    there = SharedScores(tmp_path / "session")
    there.keep_images(ours.key, 0, ours.images(0, 16).pixels)
    generator.asked = 0
    whole = ours.images(0, 64).pixels
    assert generator.asked == 16
    assert np.array_equal(whole, Ranges().sample_range(0, 64, 0))


def test_runs_of_a_recipe_are_drawn_by_one_process_alone(tmp_path: Path) -> None:
    """The first images of every run are checked before any run is measured; another process must wait meanwhile."""
    generators = [Waiting("run 1"), Waiting("run 2")]

    def look(_: int) -> Scores:
        return RunsEvaluation("recipe", [worker(tmp_path, each) for each in generators]).at(32)

    with ThreadPoolExecutor(2) as processes:
        ours, theirs = processes.map(look, range(2))
    assert ours.metrics == theirs.metrics
    assert [each.asked for each in generators] == [64, 64]  # 32 images of two seeds, once


def refuse(*_: object, **__: object) -> None:
    raise OSError("no space left on device")


def unlocked(*_: object, **__: object) -> None:
    raise NotImplementedError("FileLock is not supported on this file system")


@pytest.mark.parametrize("what", ["folder", "no lock", "no locks here", "write", "save", "replace"])
def test_unusable_shared_folder_fails_no_test(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    expected = worker(tmp_path / "elsewhere", Noise()).at(32)
    if what == "folder":
        (tmp_path / "session").write_text("a file where the folder should be")
    elif what == "no lock":
        monkeypatch.setattr(filelock.FileLock, "acquire", refuse)
    elif what == "no locks here":
        monkeypatch.setattr(filelock.FileLock, "acquire", unlocked)
    elif what == "save":
        monkeypatch.setattr(np, "save", refuse)
    else:
        break_writing(monkeypatch, what)
    generator = Noise()
    assert worker(tmp_path, generator).at(32).metrics == expected.metrics
    assert generator.asked == 2


def break_writing(monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    """Let one step of writing fail, in the folder between the processes alone."""
    name, module = ("replace", os) if step == "replace" else ("mkstemp", tempfile)
    real = getattr(module, name)

    def fail(*given: Any, **named: Any) -> Any:
        folder = Path(given[1]).parent if step == "replace" else Path(named["dir"])
        return refuse() if folder.name == "session" else real(*given, **named)

    monkeypatch.setattr(module, name, fail)


def test_error_of_the_computation_is_raised_unchanged(tmp_path: Path) -> None:
    asked: list[int] = []

    def compute() -> NoReturn:
        asked.append(1)
        raise OSError("the generator's own")

    with pytest.raises(OSError, match="the generator's own"):
        SharedScores(tmp_path).of("key", 16, compute)
    assert asked == [1]
