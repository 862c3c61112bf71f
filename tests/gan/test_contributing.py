"""The architecture recipe of CONTRIBUTING.md runs as it stands."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from pytest_medgan.cli import main
from pytest_medgan.gan import architectures, load_generator, recipes
from pytest_medgan.gan.architecture import Architecture
from pytest_medgan.gan.architectures import ARCHITECTURES
from pytest_medgan.gan.checkpoint import load
from pytest_medgan.gan.loop import RunSettings
from pytest_medgan.gan.training import train, train_or_load
from pytest_medgan.records import ImageSet

TEXT = (Path(__file__).parents[2] / "CONTRIBUTING.md").read_text(encoding="utf-8")
MakeImages = Callable[..., ImageSet]


def module(name: str) -> ModuleType:
    """Execute a file of the recipe as the module that it would be."""
    block = re.search(rf"```python\n# pytest_medgan/gan/{name}\.py\n(.*?)```", TEXT, re.DOTALL)
    assert block is not None
    made = ModuleType(f"pytest_medgan.gan.{name}")
    sys.modules[made.__name__] = made
    exec(compile(block[1], name, "exec"), made.__dict__)
    return made


@pytest.fixture
def dense(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The settings' module, with the recipe's row in the registry."""
    settings = module("dense_settings")
    module("dense")
    found = re.search(r"`(Architecture\(\"dense\".*?\))`", TEXT)
    assert found is not None
    row = eval(found[1], {"Architecture": Architecture, **settings.__dict__})
    monkeypatch.setitem(ARCHITECTURES, row.name, row)  # type: ignore[arg-type]
    assert architectures.ARCHITECTURES is recipes.ARCHITECTURES
    yield settings
    for name in ("dense_settings", "dense"):
        del sys.modules[f"pytest_medgan.gan.{name}"]


def test_architecture_of_two_files_and_a_row_trains_resumes_and_draws(
    dense: Any, make_images: MakeImages, tmp_path: Path
) -> None:
    config, settings = dense.DenseConfig(), dense.DenseSettings(steps=8, average=0.5)
    run = RunSettings(checkpoint_every=4, log_every=2, grid_every=0)
    whole = train(config, settings, make_images(), tmp_path / "whole", run=run)
    for path in (tmp_path / "whole").glob("checkpoint-00000004*"):
        (tmp_path / "resumed").mkdir()
        (tmp_path / "resumed" / path.name).write_bytes(path.read_bytes())
    resumed = train(config, settings, make_images(), tmp_path / "resumed", run=run, resume=True)
    assert resumed.identity == whole.identity
    assert resumed.run_recipe == whole.run_recipe is not None
    np.testing.assert_array_equal(load_generator(str(tmp_path / "whole"))(3, 0), whole(3, 0))
    again = train_or_load(config, make_images(), settings=settings, directory=tmp_path, run=run)
    assert again.identity == whole.identity


def test_architecture_of_two_files_and_a_row_learns(dense: Any, make_images: MakeImages, tmp_path: Path) -> None:
    """The mean picture of a hundred steps is nearer to the real one than that of one step."""
    images = make_images()

    def gap(steps: int) -> float:
        settings = dense.DenseSettings(steps=steps, learning_rate=3e-3)
        run = RunSettings(grid_every=0)
        drawn = train(dense.DenseConfig(), settings, images, tmp_path / str(steps), run=run)(64, 0)
        return float(np.abs(drawn.mean(0) - images.pixels.mean(0)).mean())

    assert gap(100) < 0.5 * gap(1)


def test_architecture_of_two_files_and_a_row_has_its_options(
    dense: Any, make_images: MakeImages, tmp_path: Path
) -> None:
    images = make_images()
    np.savez(tmp_path / "images.npz", pixels=images.pixels, groups=images.groups)
    command = ["train", "dense", "--images", str(tmp_path / "images.npz"), "--out", str(tmp_path / "run")]
    assert main([*command, "--hidden=5", "--steps=2", "--grid-every=0"]) == 0
    made = load(tmp_path / "run" / "generator.safetensors")
    assert (made.architecture, made.configuration["hidden"], made.step) == ("dense", 5, 2)


def test_recipe_touches_three_files() -> None:
    section = re.split(r"^## ", TEXT[TEXT.index("## A generator architecture") + 3 :], flags=re.MULTILINE)[0]
    assert re.findall(r"^(\d)\. ", section, re.MULTILINE) == ["1", "2", "3"]
