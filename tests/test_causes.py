"""Faults that the gate must name, in a feature space of few and of many numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from pytest_medgan.catalogue import METRICS
from pytest_medgan.embedding import resolve_extractor
from pytest_medgan.evaluate import ModelEvaluation, Settings, Subject, Workbench
from pytest_medgan.gate.candidate import measured_row
from pytest_medgan.gate.decision import decide
from pytest_medgan.gate.seal import sealed
from pytest_medgan.records import (
    DataSettings,
    Float32,
    ImageSet,
    Margin,
    Outcome,
    Progress,
    RealSets,
    TrainingRun,
    UInt8,
    Verdict,
    VerdictCause,
    no_progress,
)

SIDE = 32
COUNT = 128  # images per sample group
NAMES = ("fid", "kid", "improved_precision", "density", "coverage", "intensity_distance", "ms_ssim")

Generator = Callable[[int, int], UInt8]


class Projections:
    """A feature space of fixed random projections."""

    numeric_class = "float32"

    def __init__(self, dimensions: int) -> None:
        self.identity = f"{dimensions} projections"
        self.matrix = np.random.default_rng(5).normal(size=(SIDE * SIDE, dimensions)) / SIDE

    def embed(self, pixels: UInt8, progress: Progress = no_progress) -> tuple[Float32, None]:
        step = pixels.shape[-1] // SIDE  # the canned images of the canary are larger
        flat = pixels[:, 0, ::step, ::step].reshape(len(pixels), -1) / 255.0
        return (flat @ self.matrix).astype(np.float32), None


def blobs(count: int, seed: int, spread: float = 7.0) -> UInt8:
    """Return images of a bright blob near the middle."""
    rng = np.random.default_rng([seed, 77])
    rows, columns = np.mgrid[:SIDE, :SIDE]
    centre = 16 + spread * (rng.random((count, 2)) - 0.5)
    distance = (rows - centre[:, :1, None]) ** 2 + (columns - centre[:, 1:, None]) ** 2
    images = 60 + 140 * np.exp(-distance / 40) + rng.normal(0, 4, (count, SIDE, SIDE))
    return np.clip(np.rint(images), 0, 255).astype(np.uint8)[:, None]


def image_set(seed: int, count: int) -> ImageSet:
    patients = np.repeat([f"p{seed}-{i}" for i in range(16)], count // 16)
    return ImageSet(blobs(count, seed, spread=12.0), patients, f"set {seed}", window=(-1000.0, 400.0))


@pytest.fixture(scope="module")
def real() -> RealSets:
    return RealSets(image_set(1001, 256), image_set(1002, 256), image_set(1003, 128), DataSettings("x"), "digest")


@pytest.fixture(scope="module", params=[64, 2048], ids=lambda dimensions: f"{dimensions} dimensions")
def subject(request: pytest.FixtureRequest, real: RealSets, tmp_path_factory: pytest.TempPathFactory) -> Subject:
    settings = Settings(metrics=NAMES, samples=COUNT)
    work: Path = tmp_path_factory.mktemp("work")
    return Subject(real, resolve_extractor(Projections(request.param)), settings, Workbench(work))


def judged(subject: Subject, candidate: Generator, *, paired: bool = False) -> Sequence[Verdict]:
    """Judge a candidate against a row of the unchanged model."""
    accepted = named(blobs, "accepted")
    first = ModelEvaluation("model", accepted, subject)
    scores = {n: first.at(n) for n in first.counts}
    row = measured_row("model", scores, first.fingerprint, runs=[TrainingRun("accepted")])
    entries = {name: replace(entry, margin=Margin()) for name, entry in row.entries.items()}
    row = sealed(replace(row, entries=entries, origin="row.yaml:1", family=len(METRICS)))
    evaluation = ModelEvaluation("model", named(candidate, "other"), subject, accepted=accepted if paired else None)
    return decide(evaluation, [(METRICS[name], row[name]) for name in NAMES], paired=paired)


def named(model: Generator, identity: str) -> Generator:
    def generator(count: int, seed: int) -> UInt8:
        return model(count, seed)

    generator.identity = identity  # type: ignore[attr-defined]
    return generator


def late_black(count: int, seed: int) -> UInt8:
    images = blobs(count, seed)
    images[32:] = 0
    return images


def seed_ignored(count: int, seed: int) -> UInt8:
    return blobs(count, 3)


def seeds_added(count: int, seed: int) -> UInt8:
    return np.concatenate([blobs(1, seed + index) for index in range(count)])


def constant(count: int, seed: int) -> UInt8:
    return np.repeat(blobs(1, 3), count, 0)


def reference_returned(count: int, seed: int) -> UInt8:
    return blobs(256, 1002, spread=12.0)[(np.arange(count) + seed) % 256]


def blurred(count: int, seed: int) -> UInt8:
    images = gaussian_filter(blobs(count, seed).astype(np.float64), (0, 0, 1.5, 1.5))
    return np.rint(images).astype(np.uint8)


@pytest.mark.parametrize(
    ("candidate", "paired", "cause", "words"),
    [
        (late_black, False, VerdictCause.NO_SAMPLE, "of the images are blank"),
        (seed_ignored, False, VerdictCause.NO_SAMPLE, "the generator ignores its seed"),
        (seeds_added, False, VerdictCause.NO_SAMPLE, "two latent seeds share"),
        (constant, False, VerdictCause.NO_SAMPLE, "the generator returns one image, whatever its seed"),
        (reference_returned, False, VerdictCause.NO_SAMPLE, "reference images, pixel by pixel"),
        (blurred, True, VerdictCause.DIFFERENT, "paired image by image"),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_fault_is_red_and_named_in_one_line(
    candidate: Generator, paired: bool, cause: VerdictCause, words: str, subject: Subject
) -> None:
    verdicts = judged(subject, candidate, paired=paired)
    red = [verdict for verdict in verdicts if verdict.outcome is Outcome.FAIL]
    assert red
    named_so = [verdict for verdict in red if verdict.cause is cause and words in verdict.reason]
    assert named_so
    assert all("\n" not in verdict.reason for verdict in red)


def test_unchanged_model_is_green(subject: Subject) -> None:
    verdicts = judged(subject, lambda count, seed: blobs(count, seed + 50))
    assert [verdict.metric.name for verdict in verdicts if not verdict.outcome.green] == []
