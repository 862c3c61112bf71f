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
GOOD, COLLAPSED = FIXTURES / "dcgan_phantom.safetensors", FIXTURES / "dcgan_collapsed.safetensors"
GOLDEN = FIXTURES / "dcgan_phantom_images.npz"  # the first eight images of seed 0, on two threads


def assert_alike(ours: np.ndarray, theirs: np.ndarray) -> None:
    """At most one grey level in at most 0.1% of the pixels."""
    gap = np.abs(ours.astype(int) - theirs.astype(int))
    assert gap.max() <= 1
    assert (gap > 0).mean() <= 0.001


@pytest.mark.parametrize("path", [GOOD, COLLAPSED], ids=["good", "collapsed"])
def test_a_fixture_is_small_and_says_where_it_comes_from(path: Path) -> None:
    assert path.stat().st_size <= 4 * 2**20
    checkpoint = load(path)
    assert (checkpoint.architecture, checkpoint.configuration["size"]) == ("dcgan", 128)
    assert (checkpoint.finished, checkpoint.storage) == (True, "float16")
    assert checkpoint.training_recipe
    assert checkpoint.window == (-1000.0, 400.0)
    assert load_generator(str(path))(3, 0).shape == (3, 1, 128, 128)


def test_the_two_are_one_architecture_trained_alike() -> None:
    good, collapsed = load(GOOD), load(COLLAPSED)
    assert good.configuration == collapsed.configuration
    assert {k: v for k, v in good.settings.items() if k != "steps"} == {
        k: v for k, v in collapsed.settings.items() if k != "steps"
    }
    assert collapsed.images == 4 < good.images


def test_the_collapsed_one_varies_far_less() -> None:
    """Images of other latents are nearly the same image."""

    def nearest(path: Path) -> float:
        images = load_generator(str(path))(64, 0).reshape(64, -1).astype(np.float64)
        distances = np.sqrt(((images[:, None] - images[None]) ** 2).mean(2)) + np.diag(np.full(64, np.inf))
        return float(np.median(distances.min(1)))

    assert nearest(COLLAPSED) < 0.6 * nearest(GOOD)


def test_the_first_images_are_those_of_the_machine_that_made_it() -> None:
    assert_alike(load_generator(str(GOOD))(8, 0), np.load(GOLDEN)["pixels"])


@pytest.mark.parametrize(
    "environment",
    [{"OMP_NUM_THREADS": "1"}, {"ATEN_CPU_CAPABILITY": "default", "ONEDNN_MAX_CPU_ISA": "SSE41"}],
    ids=["one thread", "without vector instructions"],
)
def test_another_kind_of_machine_draws_nearly_the_same(environment: dict[str, str], tmp_path: Path) -> None:
    out = tmp_path / "images.npy"
    code = (
        "import sys, numpy; from pytest_medgan.gan import load_generator; "
        "numpy.save(sys.argv[2], load_generator(sys.argv[1])(8, 0))"
    )
    subprocess.run([sys.executable, "-c", code, str(GOOD), str(out)], env=os.environ | environment, check=True)
    assert_alike(np.load(out), np.load(GOLDEN)["pixels"])
