"""The feature spaces under test, each behind one function, and their features kept on disk."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.feature_spaces.faults import Images
from benchmarks.gate_trust.pools import SqueezeNet
from pytest_medgan.embedding import load_extractor
from pytest_medgan.records import ImageSet

Features = NDArray[np.float32]  # [N,D]

# name in the table -> how the product names it; SqueezeNet is the benchmark's own
SPACES = {
    "compact": "compact",
    "SqueezeNet 1.1": "",
    "InceptionV3, trained": "inception_v3,weights={data}/weights/inception_v3_photo_fp16.pt",
    "InceptionV3, random": "inception_v3,weights=random",
}


@dataclass(frozen=True)
class Space:
    """A feature space ready to be used."""

    name: str
    embed: Callable[[Images], Features]  # uint8 [N,H,W] => float32 [N,D]
    ball_dimensions: int | None = None  # leading columns that the neighbour balls use; None: all


def make_space(name: str, data: Path, reference: Images) -> Space:
    """The space that stands as `name` in SPACES, or that the product knows by this string."""
    spec = SPACES.get(name, name).format(data=data)
    if not spec:
        network = SqueezeNet(data)
        return Space(name, lambda images: network.embed(images[:, None]).features)
    real = ImageSet(reference[:, None], np.full(len(reference), "real"), "real")
    extractor = load_extractor(spec, calibration=real)
    balls = getattr(extractor, "ball_dimensions", None)
    return Space(name, lambda images: extractor.embed(images[:, None])[0], balls)


def stored(file: Path, make: Callable[[], Features]) -> Features:
    """The features in `file`, made and written whole where there are none yet."""
    if not file.exists():
        features = make()
        file.parent.mkdir(parents=True, exist_ok=True)
        part = file.with_suffix(f".{os.getpid()}.part.npy")
        np.save(part, features)
        part.replace(file)
    kept: Features = np.load(file)
    return kept


def images_per_second(space: Space, images: Images, rounds: int = 3) -> float:
    """The best of some rounds, after one that warms up."""
    space.embed(images[:32])
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        space.embed(images)
        times.append(time.perf_counter() - start)
    return len(images) / min(times)
