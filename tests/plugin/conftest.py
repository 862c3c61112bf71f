"""A user's project: real images, a generator and a feature space of its own, small enough to run in a second."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

# The heavy libraries are loaded before any run in this process: pytester unloads what was first imported inside a run,
# and extension modules cannot be loaded twice. The plugin of hypothesis imports its module at the end of every run.
import joblib.externals.loky  # noqa: F401
import numpy  # noqa: F401
import pytest
import torchvision.models  # noqa: F401

import pytest_medgan.ct
import pytest_medgan.embedding
import pytest_medgan.evaluate.protocol
import pytest_medgan.gan.loading
import pytest_medgan.gate.accept
import pytest_medgan.report
import pytest_medgan.session.run_folder
import pytest_medgan.session.summary  # noqa: F401
from pytest_medgan.cli import main
from tests.toy_images import write_real_images

with suppress(ImportError):
    # MONAI imports it. It takes the search for packages over from Python, and pytester would undo half of that.
    import importlib_metadata  # noqa: F401

MODULE = '''
"""A toy model and a toy feature space: blobs on a background, seen through fixed random projections.

The model's blobs lie nearer to the middle than real ones, so that a loss can be told from chance on few images.
"""
import os

import numpy as np

def blobs(count, seed, spread=12.0, grey=0.0):
    rng = np.random.default_rng([seed, 77])
    rows, columns = np.mgrid[:32, :32]
    centre = 16 + spread * (rng.random((count, 2)) - 0.5)
    distance = (rows - centre[:, :1, None]) ** 2 + (columns - centre[:, 1:, None]) ** 2
    images = 60 + grey + 140 * np.exp(-distance / 40) + rng.normal(0, 4, (count, 32, 32))
    return np.clip(np.rint(images), 0, 255).astype(np.uint8)[:, None]

def model(count, seed):
    if log := os.environ.get("TOY_LOG"):
        with open(log, "a") as file:
            file.write(f"drawn {count} {seed}\\n")
    return blobs(count, seed, spread=float(os.environ.get("TOY_SPREAD", 7)))

model.identity = "toy " + os.environ.get("TOY_SPREAD", "7")

class Features:
    identity = "toy projections"
    numeric_class = "float32"
    def embed(self, pixels, progress=lambda *a: None):
        matrix = np.random.default_rng(5).normal(size=(1024, 16)) / 32
        step = pixels.shape[-1] // 32  # the canned images of the canary are 128 wide
        flat = pixels[:, 0, ::step, ::step].reshape(len(pixels), -1).astype(np.float64) / 255
        return (flat @ matrix).astype(np.float32), None
'''

TEST = """
from pytest_medgan import assert_coverage_above, assert_fid_below, assert_improved_precision_above

def test_fid(medgan_scores, medgan_baseline):
    assert_fid_below(medgan_scores, medgan_baseline.row("TOY").fid)

def test_precision(medgan_scores, medgan_baseline):
    assert_improved_precision_above(medgan_scores, medgan_baseline.row("TOY").improved_precision)

def test_coverage(medgan_scores, medgan_baseline):
    assert_coverage_above(medgan_scores, medgan_baseline.row("TOY").coverage)
"""

INI = """
[pytest]
medgan_data = images.npz,size=32,crop_size=32
medgan_generator = toy:model
medgan_extractor = toy:Features
medgan_metrics = fid improved_precision coverage
pythonpath = .
"""


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """Return a project in a folder of its own, with no baseline yet."""
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.delenv("TOY_SPREAD", raising=False)
    pytester.makepyfile(toy=MODULE, test_gate=TEST)
    pytester.makefile(".ini", pytest=INI)
    write_real_images(pytester.path / "images.npz", MODULE, "blobs", each=32, first_seed=1000)
    return pytester


@pytest.fixture
def accept(project: pytest.Pytester) -> Callable[..., int]:
    """Return a function that accepts the candidate of the last run, as a user would; it returns the exit status."""

    def run(reason: str = "first measurement", into: str = "medgan-baseline.yaml", *words: str) -> int:
        candidate = str(next(Path("medgan-report").glob("candidate-*.yaml")))
        return main(["baseline", "accept", candidate, "--row", "TOY", "--into", into, "--reason", reason, *words])

    return run
