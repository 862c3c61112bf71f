"""Several training runs as one candidate: what they must have in common."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pytest_medgan.embedding import resolve_extractor
from pytest_medgan.errors import SettingsError
from pytest_medgan.evaluate import ModelEvaluation, RunsEvaluation, Settings, Subject, Workbench
from pytest_medgan.records import DataSettings, ImageSet, RealSets, UInt8
from tests.evaluate.test_evaluation import Projections


class Noise:
    """A generator of noise that says how it was trained and what it was told to draw."""

    def __init__(self, identity: str, recipe: str | None = None, condition: str | None = None) -> None:
        self.identity, self.run_recipe, self.condition = identity, recipe, condition
        self.drawn = 0

    def __call__(self, count: int, seed: int) -> UInt8:
        self.drawn += count
        return np.random.default_rng([seed, len(self.identity)]).integers(40, 200, (count, 1, 16, 16), dtype=np.uint8)


def images(count: int, seed: int, recipe: str) -> ImageSet:
    pixels = np.random.default_rng(seed).integers(0, 256, (count, 1, 16, 16), dtype=np.uint8)
    return ImageSet(pixels, np.repeat([f"p{seed}{i}" for i in range(4)], count // 4), recipe, window=(-1000.0, 400.0))


@pytest.fixture
def space() -> Projections:
    return Projections()


@pytest.fixture
def subject(tmp_path: Path, space: Projections) -> Subject:
    real = RealSets(images(64, 1, "train"), images(64, 2, "ref"), images(64, 3, "held"), DataSettings("x"), "digest")
    return Subject(real, resolve_extractor(space), Settings(metrics=("fid",), seeds=(0, 1)), Workbench(tmp_path))


def together(subject: Subject, *models: Noise) -> RunsEvaluation:
    each = [ModelEvaluation(f"m, run {i}", model, subject) for i, model in enumerate(models, start=1)]
    return RunsEvaluation("m", each)


def test_runs_of_several_recipes_are_refused_before_anything_is_drawn(subject: Subject, space: Projections) -> None:
    models = [Noise(f"model {recipe}", recipe) for recipe in ("one", "two", "three")]
    with pytest.raises(SettingsError, match=r"--medgan-runs .* 3 recipes \(one, three, two\)"):
        together(subject, *models)
    assert (space.embedded, [model.drawn for model in models]) == (0, [0, 0, 0])


def test_runs_of_an_unknown_recipe_may_stand_among_others(subject: Subject) -> None:
    runs = together(subject, Noise("a", "one"), Noise("bb"), Noise("ccc", "one"))
    assert [run.recipe for run in runs.training_runs] == ["one", None, "one"]
    assert len(runs.at(16).runs) == 3


@pytest.mark.parametrize("second", ["class=1", None])
@pytest.mark.parametrize("ask", ["fingerprint", "look"])
def test_runs_that_draw_under_several_conditions_are_refused(subject: Subject, second: str | None, ask: str) -> None:
    runs = together(subject, Noise("a", "r", "class=0"), Noise("bb", "r", second))
    words = f"Run 2 of --medgan-runs .*condition: {second or 'absent'} != class=0"
    with pytest.raises(SettingsError, match=words):
        _ = runs.fingerprint if ask == "fingerprint" else runs.at(16)


def test_runs_of_one_condition_keep_it(subject: Subject) -> None:
    runs = together(subject, Noise("a", "r", "class=0"), Noise("bb", "r", "class=0"))
    assert runs.at(16).n_fake == 16
    assert runs.fingerprint.inputs["condition"] == "class=0"


def test_runs_of_slices_and_of_volumes_are_refused(subject: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    """The fingerprint says whether errors are by volume; what it says of one run must hold for all."""
    runs = together(subject, Noise("a"), Noise("bb"))
    monkeypatch.setattr(runs.runs[1], "_by_volume", True)
    with pytest.raises(SettingsError, match="sampling_unit: volume != absent"):
        _ = runs.fingerprint
