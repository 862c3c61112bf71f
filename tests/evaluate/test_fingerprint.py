"""Everything that determines a score stands in the fingerprint and in the keys of what is kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from pytest_medgan.embedding import resolve_extractor
from pytest_medgan.evaluate import ModelEvaluation, Settings, Subject, Workbench
from pytest_medgan.evaluate.fingerprint import make_fingerprint
from pytest_medgan.evaluate.real import real_evaluation
from pytest_medgan.records import DataSettings, Float32, ImageSet, Progress, RealSets, UInt8, no_progress

SIDE = 16


@dataclass(frozen=True)
class Space:
    """Pixel means under a name of its own."""

    identity: str = "means"
    numeric_class: str = "float32"
    scale: float = 1.0

    def embed(self, pixels: UInt8, progress: Progress = no_progress) -> tuple[Float32, None]:
        side = pixels.shape[-1] // 4
        means = pixels.reshape(len(pixels), 4, side, 4, side).mean((2, 4))
        return (self.scale * means.reshape(len(pixels), 16)).astype(np.float32), None


class Noise:
    """Uniform noise, with the recipe of its training set."""

    def __init__(self, identity: str = "noise", training_recipe: str | None = None) -> None:
        self.identity, self.training_recipe = identity, training_recipe

    def __call__(self, count: int, seed: int) -> UInt8:
        return np.random.default_rng(seed).integers(0, 256, (count, 1, SIDE, SIDE), dtype=np.uint8)


def images(seed: int, recipe: str, count: int = 64) -> ImageSet:
    pixels = np.random.default_rng(seed).integers(0, 256, (count, 1, SIDE, SIDE), dtype=np.uint8)
    return ImageSet(pixels, np.repeat([f"p{seed}{i}" for i in range(8)], count // 8), recipe)


@pytest.fixture
def subject(tmp_path: Path) -> Subject:
    data = DataSettings("studies")
    real = RealSets(images(1, "training"), images(2, "reference"), images(3, "held out"), data, "digest")
    settings = Settings(data, metrics=("fid", "improved_precision"), seeds=(0, 1))
    return Subject(real, resolve_extractor(Space()), settings, Workbench(tmp_path))


def with_data(**changes: object) -> Callable[[Subject], Subject]:
    def change(subject: Subject) -> Subject:
        data = replace(subject.real.settings, **changes)  # type: ignore[arg-type]
        return replace(subject, real=replace(subject.real, settings=data))

    return change


def with_settings(**changes: object) -> Callable[[Subject], Subject]:
    return lambda subject: replace(subject, settings=replace(subject.settings, **changes))  # type: ignore[arg-type]


CHANGES: dict[str, Callable[[Subject], Subject]] = {
    "crop": with_data(crop="tumour"),
    "crop_size": with_data(crop_size=96),
    "data": lambda subject: replace(subject, real=replace(subject.real, digest="other")),
    "extractor": lambda subject: replace(subject, extractor=resolve_extractor(Space("other"))),
    "fractions": with_data(fractions=(0.4, 0.3, 0.3)),
    "numeric_class": lambda subject: replace(subject, extractor=resolve_extractor(Space(numeric_class="bfloat16"))),
    "reference": lambda subject: replace(subject, real=replace(subject.real, reference=images(2, "reference", 80))),
    "samples": with_settings(samples=32),
    "seeds": with_settings(seeds=(0, 2)),
    "size": with_data(size=64),
    "split": with_data(split="slice"),
    "split_seed": with_data(seed=1),
    "window": with_data(window=(-1200.0, 600.0)),
}


@pytest.mark.parametrize("key", CHANGES)
def test_change_of_any_input_is_a_difference(subject: Subject, key: str) -> None:
    before, after = make_fingerprint(subject), make_fingerprint(CHANGES[key](subject))
    assert key in {line.partition(":")[0] for line in before.differences(after)}


def test_every_input_has_a_change_that_shows_it(subject: Subject) -> None:
    """A new input of the fingerprint needs a row in CHANGES."""
    assert set(make_fingerprint(subject).inputs) == {*CHANGES, "metrics"}


def test_equal_subjects_have_no_difference(subject: Subject) -> None:
    assert make_fingerprint(subject).differences(make_fingerprint(subject)) == ()


def test_features_that_moved_under_one_name_are_a_difference(subject: Subject, tmp_path: Path) -> None:
    moved = replace(subject, extractor=resolve_extractor(Space(scale=1.01)), bench=Workbench(tmp_path / "other"))
    differences = make_fingerprint(subject).differences(make_fingerprint(moved))
    assert [line.partition(":")[0] for line in differences] == ["canary"]


KEPT_APART = [key for key in CHANGES if key in ("data", "extractor", "samples")]


@pytest.mark.parametrize("key", [*KEPT_APART, "metrics"])
def test_real_row_is_measured_anew_for_another_input(subject: Subject, key: str) -> None:
    change = with_settings(metrics=("fid",)) if key == "metrics" else CHANGES[key]
    assert real_evaluation(subject) is real_evaluation(subject)
    assert real_evaluation(change(subject)) is not real_evaluation(subject)


@pytest.mark.parametrize("key", ["data", "extractor", "seeds", "samples"])
def test_evaluation_key_differs_for_another_input(subject: Subject, key: str) -> None:
    assert ModelEvaluation("x", Noise(), subject).key != ModelEvaluation("x", Noise(), CHANGES[key](subject)).key


def test_evaluation_key_differs_for_another_model(subject: Subject) -> None:
    keys = {ModelEvaluation("x", Noise(identity), subject).key for identity in ("a", "b")}
    assert len({*keys, ModelEvaluation("y", Noise("a"), subject).key}) == 3


@pytest.mark.parametrize(("recipe", "measured"), [("training", True), ("other images", False), (None, False)])
def test_copies_are_measured_only_against_the_generators_own_training_set(
    subject: Subject, recipe: str | None, measured: bool
) -> None:
    settings = replace(subject.settings, metrics=("authenticity", "copy_rate"))
    scores = ModelEvaluation("x", Noise(training_recipe=recipe), replace(subject, settings=settings)).at(16)
    assert ("authenticity" in scores, "copy_rate" in scores) == (measured, measured)
    assert set(scores.unmeasured) == (set() if measured else {"authenticity", "copy_rate"})


def test_reference_of_models_trained_elsewhere_does_not_serve_one_trained_here(subject: Subject) -> None:
    bench, real, space, metrics = subject.bench, subject.real, subject.extractor, ("authenticity", "copy_rate")
    elsewhere = bench.reference(space, real, metrics, "other images")
    here = bench.reference(space, real, metrics, "training")
    assert here is not elsewhere
    assert here.train is not None
    assert elsewhere.train is None
    assert bench.reference(space, real, metrics, "other images") is elsewhere


def test_number_of_channels_is_named_only_where_it_is_not_one(subject: Subject) -> None:
    plain = make_fingerprint(subject)
    colour = make_fingerprint(with_data(channels=3)(subject))
    assert "channels" not in plain.inputs
    assert colour.differences(plain) == ("channels: 3 != absent",)
