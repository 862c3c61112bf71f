"""Image by image on common latents: a quantised generator, another seed's images, and a fault."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from pytest_medgan.embedding import resolve_extractor
from pytest_medgan.evaluate import ModelEvaluation, Settings, Subject, Workbench
from pytest_medgan.gan.checkpoint import load
from pytest_medgan.gan.sampling import NetworkGenerator, from_checkpoint
from pytest_medgan.gate.assertions import assert_no_regression
from pytest_medgan.gate.candidate import measured_row
from pytest_medgan.records import (
    DataSettings,
    Float32,
    ImageSet,
    Margin,
    Outcome,
    Progress,
    RealSets,
    Row,
    UInt8,
    no_progress,
)

FIXTURE = Path(__file__).parents[2] / "fixtures" / "dcgan_phantom.safetensors"
METRICS = ("fid", "kid", "improved_precision", "density", "coverage", "intensity_distance")


class Projections:
    """The images' 16x16 means, projected."""

    identity = "fixed projections"
    numeric_class = "float32"

    def embed(self, pixels: UInt8, progress: Progress = no_progress) -> tuple[Float32, None]:
        small = pixels.reshape(len(pixels), 16, 8, 16, 8).mean((2, 4)).reshape(len(pixels), -1)
        matrix = np.random.default_rng(5).normal(size=(256, 8)) / 16
        return (small / 255.0 @ matrix).astype(np.float32), None


class Shifted:
    """Another generator's images, from other seeds or greyer than they should be."""

    def __init__(self, inner: NetworkGenerator, seeds: int = 0, grey: int = 0) -> None:
        self.inner, self.seeds, self.grey = inner, seeds, grey
        self.identity = f"{inner.identity} {seeds} {grey}"
        self.drawn = 0

    def __call__(self, count: int, seed: int) -> UInt8:
        return self.sample_range(0, count, seed)

    def sample_range(self, start: int, stop: int, seed: int) -> UInt8:
        self.drawn += stop - start
        images = self.inner.sample_range(start, stop, seed + self.seeds)
        return np.clip(images.astype(int) + self.grey, 0, 255).astype(np.uint8)


def weights(change) -> NetworkGenerator:
    """The fixture's generator with its weights changed one by one."""
    checkpoint = load(FIXTURE, prefixes=("generator",))
    return from_checkpoint(replace(checkpoint, tensors={name: change(t) for name, t in checkpoint.tensors.items()}))


def float32(tensor: torch.Tensor) -> torch.Tensor:
    """Weights that float16 cannot hold; the fixture's own are stored as such."""
    return tensor * 1.0003 if tensor.is_floating_point() else tensor


def quantised(tensor: torch.Tensor) -> torch.Tensor:
    return float32(tensor).half().float() if tensor.is_floating_point() else tensor


@pytest.fixture(scope="module")
def subject(tmp_path_factory: pytest.TempPathFactory) -> Subject:
    rng = np.random.default_rng(0)
    pixels = np.clip(weights(float32)(128, 100) + rng.normal(0, 6, (128, 1, 128, 128)), 0, 255).astype(np.uint8)
    images = ImageSet(pixels, np.repeat([f"p{i}" for i in range(16)], 8), "real", window=(-1000.0, 400.0))
    real = RealSets(images, images, images, DataSettings("x"), "digest")
    settings = Settings(metrics=METRICS, samples=256, seeds=(0, 1, 2))
    return Subject(real, resolve_extractor(Projections()), settings, Workbench(tmp_path_factory.mktemp("cache")))


@pytest.fixture(scope="module")
def row(subject: Subject) -> Row:
    """What accepting the float32 generator makes: every look, `auto` margins, and whose it is."""
    accepted = ModelEvaluation("model", weights(float32), subject)
    looks = {n: accepted.at(n) for n in accepted.counts}
    plain = measured_row("model", looks, accepted.fingerprint, runs=accepted.training_runs)
    return replace(plain, entries={name: replace(entry, margin=Margin()) for name, entry in plain.entries.items()})


def test_quantised_generator_passes_at_a_quarter_of_the_images(subject: Subject, row: Row) -> None:
    candidate = Shifted(weights(quantised))
    images = candidate.inner(8, 0)
    assert not np.array_equal(images, weights(float32)(8, 0))  # it is no copy of the accepted one
    evaluation = ModelEvaluation("model", candidate, subject, accepted=weights(float32))
    verdicts = assert_no_regression(evaluation, row, paired=True)
    assert {verdict.outcome for verdict in verdicts} <= {Outcome.PASS, Outcome.BLIND}
    passed = {verdict.metric.name for verdict in verdicts if verdict.outcome is Outcome.PASS}
    assert passed >= {"density", "coverage", "intensity_distance"}
    assert all(verdict.looks == (32, 64) for verdict in verdicts)
    assert all("paired image by image" in verdict.reason for verdict in verdicts)
    assert candidate.drawn == 3 * 64


def test_other_seeds_do_not_pair_and_the_verdict_says_so(subject: Subject, row: Row) -> None:
    candidate = Shifted(weights(float32), seeds=50)
    evaluation = ModelEvaluation("model", candidate, subject, accepted=weights(float32))
    verdicts = assert_no_regression(evaluation, row, paired=True)
    assert candidate.drawn > 3 * 32
    assert all("pairing does not help" in verdict.reason for verdict in verdicts)


def test_fault_on_common_latents_fails_at_the_first_look(subject: Subject, row: Row) -> None:
    candidate = Shifted(weights(quantised), grey=20)
    evaluation = ModelEvaluation("model", candidate, subject, accepted=weights(float32))
    with pytest.raises(AssertionError, match="intensity_distance"):
        assert_no_regression(evaluation, row, paired=True)
    assert candidate.drawn == 3 * 32


def test_another_accepted_model_is_not_paired(subject: Subject, row: Row) -> None:
    evaluation = ModelEvaluation("model", weights(quantised), subject, accepted=weights(quantised))
    verdicts = assert_no_regression(evaluation, row, paired=True)
    assert all("names another model than the row's" in verdict.reason for verdict in verdicts)


def test_without_an_accepted_model_paired_is_none(subject: Subject) -> None:
    assert ModelEvaluation("model", weights(quantised), subject).paired(32) is None
