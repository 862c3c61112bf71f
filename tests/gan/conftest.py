"""Small images and a small finished run that several files look at."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch

from pytest_medgan.gan.dcgan_settings import DCGANConfig, DCGANSettings
from pytest_medgan.gan.loop import RunSettings
from pytest_medgan.gan.training import train
from pytest_medgan.records import ImageSet

MakeImages = Callable[..., ImageSet]


def blobs(count: int = 40, size: int = 16, seed: int = 0) -> ImageSet:
    """Discs of varying place and grey on a dark ground: something a tiny network can learn."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:size, :size]
    centre = random.uniform(size * 0.3, size * 0.7, (count, 2, 1, 1))
    grey = random.uniform(120, 250, (count, 1, 1))
    inside = (y - centre[:, 0]) ** 2 + (x - centre[:, 1]) ** 2 < (size / 4) ** 2
    pixels = np.where(inside, grey, 20).astype(np.uint8)[:, None]
    groups = np.array([f"P{index // 10:04d}" for index in range(count)])
    return ImageSet(pixels, groups, recipe=f"blobs-{count}-{size}-{seed}", window=(-1000.0, 400.0))


@contextmanager
def threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Tiny networks are faster on one thread, and a fixed count is what "to the bit" is promised for."""
    with threads(1):
        yield


@pytest.fixture
def make_images() -> MakeImages:
    return blobs


TINY = DCGANConfig(16, latent=8, generator_width=4, discriminator_width=4)


@pytest.fixture
def tiny() -> DCGANConfig:
    return TINY


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a finished run of ten steps; not to be written to."""
    folder = tmp_path_factory.mktemp("run") / "dcgan"
    run = RunSettings(checkpoint_every=4, log_every=2, grid_every=5)
    with threads(1):
        train(TINY, DCGANSettings(steps=10, batch=8, seed=1, tolerance=0), blobs(), folder, run=run)
    return folder
