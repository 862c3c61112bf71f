"""The committed checkpoints: small, loadable, and drawing the images they drew where they were made."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pytest_medgan.gan import load_generator
from pytest_medgan.gan.checkpoint import load

FIXTURES = Path(__file__).resolve().parents[2] / "fixtures"
GOOD, COLLAPSED = FIXTURES / "dcgan_phantom_128.safetensors", FIXTURES / "dcgan_collapsed_128.safetensors"
EARLY, PGGAN = FIXTURES / "dcgan_early.safetensors", FIXTURES / "pggan_phantom.safetensors"
OLDER = (FIXTURES / "dcgan_phantom.safetensors", FIXTURES / "dcgan_collapsed.safetensors")
GOLDEN = FIXTURES / "dcgan_phantom_128_images.npz"  # the first eight images of seed 0, on two threads


def assert_alike(ours: np.ndarray, theirs: np.ndarray) -> None:
    """Allow one grey level in at most 0.1% of the pixels."""
    gap = np.abs(ours.astype(int) - theirs.astype(int))
    assert gap.max() <= 1
    assert (gap > 0).mean() <= 0.001


@pytest.mark.parametrize("path", [GOOD, EARLY, COLLAPSED, PGGAN, *OLDER], ids=lambda path: path.stem)
def test_fixture_is_small_and_states_its_origin(path: Path) -> None:
    assert path.stat().st_size <= 6e6
    checkpoint = load(path)
    assert (checkpoint.architecture, checkpoint.configuration["size"]) == (path.stem.split("_")[0], 128)
    assert (checkpoint.finished, checkpoint.storage) == (True, "float16")
    assert checkpoint.training_recipe
    assert checkpoint.key
    assert checkpoint.window == (-1000.0, 400.0)
    assert load_generator(str(path))(3, 0).shape == (3, 1, 128, 128)


def differing_settings(one: Path, other: Path) -> set[str]:
    """Names of the settings in which two training runs differ."""
    first, second = load(one).settings, load(other).settings
    return {name for name in {*first, *second} if first.get(name) != second.get(name)}


def test_early_fixture_is_the_good_one_with_fewer_steps() -> None:
    good, early = load(GOOD), load(EARLY)
    assert (early.configuration, early.training_recipe) == (good.configuration, good.training_recipe)
    assert differing_settings(GOOD, EARLY) == {"steps"}
    assert early.step == early.settings["steps"] < good.step == good.settings["steps"]


def test_collapsed_fixture_is_trained_on_four_images() -> None:
    good, collapsed = load(GOOD), load(COLLAPSED)
    assert good.configuration == collapsed.configuration
    assert differing_settings(GOOD, COLLAPSED) == {"steps", "average"}
    assert collapsed.images == 4 < good.images


def test_pggan_fixture_is_full_grown_and_trained_on_the_images_of_the_dcgan() -> None:
    pggan = load(PGGAN)
    assert pggan.stage == (128, 1.0)
    assert pggan.training_recipe == load(GOOD).training_recipe


def test_collapsed_fixture_draws_nearly_equal_images() -> None:
    """The nearest other image of a set is far nearer than among the images of the good one."""

    def nearest(path: Path) -> float:
        images = load_generator(str(path))(64, 0).reshape(64, -1).astype(np.float64)
        distances = np.sqrt(((images[:, None] - images[None]) ** 2).mean(2)) + np.diag(np.full(64, np.inf))
        return float(np.median(distances.min(1)))

    assert nearest(COLLAPSED) < 0.6 * nearest(GOOD)


def test_first_images_equal_those_of_the_machine_that_made_them() -> None:
    assert_alike(load_generator(str(GOOD))(8, 0), np.load(GOLDEN)["pixels"])


@pytest.mark.parametrize(
    "environment",
    [{"OMP_NUM_THREADS": "1"}, {"ATEN_CPU_CAPABILITY": "default", "ONEDNN_MAX_CPU_ISA": "SSE41"}],
    ids=["one thread", "without vector instructions"],
)
def test_images_on_another_kind_of_machine_are_nearly_equal(environment: dict[str, str], tmp_path: Path) -> None:
    out = tmp_path / "images.npy"
    code = (
        "import sys, numpy; from pytest_medgan.gan import load_generator; "
        "numpy.save(sys.argv[2], load_generator(sys.argv[1])(8, 0))"
    )
    subprocess.run([sys.executable, "-c", code, str(GOOD), str(out)], env=os.environ | environment, check=True)
    assert_alike(np.load(out), np.load(GOLDEN)["pixels"])
