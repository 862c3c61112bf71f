"""Images with structure, a cheap extractor, and one real extractor for the session."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import pytest
import torch
from torch import nn

from pytest_medgan.embedding.contract import FeatureSpace
from pytest_medgan.embedding.engines import make_engine
from pytest_medgan.embedding.inception import inception_network
from pytest_medgan.embedding.inception_space import make_space
from pytest_medgan.embedding.spec import ExtractorSpec
from pytest_medgan.embedding.weights import Weights, load_weights
from pytest_medgan.records import Float32, ImageSet, Progress, UInt8, no_progress


def discs(count: int, size: int = 128, seed: int = 0) -> ImageSet:
    """Two noisy discs per image, of varying place, size and grey; four images per patient; large discs have label 1."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:size, :size]
    pixels, labels = [], []
    for index in range(count):
        large = index % 2
        image = random.normal(60, 10, (size, size))
        for radius in (random.uniform(0.18, 0.28) if large else random.uniform(0.06, 0.12), 0.1):
            row, column = random.uniform(0.25, 0.75, 2) * size
            inside = (y - row) ** 2 + (x - column) ** 2 < (radius * size) ** 2
            image = np.where(inside, random.uniform(140, 230), image)
        pixels.append(np.clip(image, 0, 255).astype(np.uint8))
        labels.append(large)
    groups = np.array([f"P{seed}{index // 4:04d}" for index in range(count)])
    return ImageSet(np.stack(pixels)[:, None], groups, f"discs-{count}-{size}-{seed}", np.array(labels, np.int8))


@dataclass
class Quick:
    """A cheap extractor: block means and a softmax of two of them; it counts the images it was given."""

    identity: str = "quick"
    numeric_class: str = "float32"
    batch: int = 4
    asked: int = 0
    calls: list[int] = field(default_factory=list)

    def embed(self, pixels: UInt8, progress: Progress = no_progress) -> tuple[Float32, Float32 | None]:
        self.asked += len(pixels)
        self.calls.append(len(pixels))
        n, _, height, width = pixels.shape
        blocks = pixels.reshape(n, 4, height // 4, 4, width // 4).astype(np.float32).mean((2, 4)).reshape(n, 16) / 255
        odds = np.exp(blocks[:, :2])
        progress("embedding", n, n)
        return blocks, (odds / odds.sum(1, keepdims=True)).astype(np.float32)


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Use one thread: on a busy machine, threads that wait for each other are slower."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def make_images() -> Callable[..., ImageSet]:
    return discs


@pytest.fixture
def quick() -> Quick:
    return Quick()


@pytest.fixture
def make_quick() -> Callable[..., Quick]:
    return Quick


@pytest.fixture(scope="session")
def calibration() -> ImageSet:
    return discs(4, seed=7)


@pytest.fixture(scope="session")
def network(calibration: ImageSet) -> nn.Module:
    """torchvision's InceptionV3 with random weights, calibrated. Tests must not change it."""
    spec = ExtractorSpec("inception_v3", weights="random")
    return load_weights(spec, calibration).network


@pytest.fixture(scope="session")
def inception(network: nn.Module) -> FeatureSpace:
    """That network as a feature space, folded."""
    spec = ExtractorSpec("inception_v3", weights="random", engine="folded")
    engine = make_engine(inception_network(network, "symmetric"), spec, "cpu")
    return make_space(Weights(network, "test", "test weights"), spec, engine)


def gap(ours: Float32, theirs: Float32) -> float:
    """Return the largest relative distance between two rows of features."""
    return float((np.linalg.norm(ours - theirs, axis=1) / np.linalg.norm(theirs, axis=1)).max())


@pytest.fixture
def relative_gap() -> Callable[[Float32, Float32], float]:
    return gap
