"""Worlds of simulated images in which the truth is known: sample groups of one unchanged model, measured once.

A world is a law of the latent features of real and of generated images. Features are these latents themselves, pixels
(16x16) and class probabilities follow from them, so every metric of the catalogue is measured by the package's own code
and claims its own error. Groups are drawn independently; measurements are kept in chunks in a work folder, so a run can
be stopped and taken up again. What no gate reads (`se_total` of precision and recall) is not computed.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from benchmarks.gate_trust.evaluations import MEASURED
from pytest_medgan.metrics import Reference, measure, prepare_reference
from pytest_medgan.metrics.prd import Clustered

Float = npt.NDArray[np.float64]
Law = Callable[[np.random.Generator, int], Float]

SIDE = 16  # pixels of an image's edge
REAL = 400  # reference images, and as many of the training set
CHUNK = 20  # sample groups a stored file
CLASSES = 4
FULL = (64, 120, 512)  # full counts


@dataclass(frozen=True)
class World:
    """Laws of the latents [N,D] of real and of generated images."""

    name: str
    real: Law
    model: Law
    patients: int = 40  # of the reference
    spread: float = 0.3  # of the patients' own means, in standard deviations of an image
    dimensions: int = 8


def _gaussian(rng: np.random.Generator, shape: tuple[int, int]) -> Float:
    return rng.standard_normal(shape)


def _student(freedom: float) -> Callable[[np.random.Generator, tuple[int, int]], Float]:
    """Multivariate t: an image is far out in all its features at once."""

    def draw(rng: np.random.Generator, shape: tuple[int, int]) -> Float:
        scale = np.sqrt(freedom / rng.chisquare(freedom, (shape[0], 1)))
        return np.asarray(rng.standard_normal(shape) * scale)

    return draw


def _log_normal(rng: np.random.Generator, shape: tuple[int, int]) -> Float:
    return np.asarray((np.exp(rng.standard_normal(shape)) - np.exp(0.5)) / 2.0)


def _outliers(rng: np.random.Generator, shape: tuple[int, int]) -> Float:
    """One image in 200 lies 30 standard deviations away, in a direction of its own."""
    found = rng.standard_normal(shape)
    far = rng.random(shape[0]) < 0.005
    away = rng.standard_normal(shape)
    found[far] = 30 * away[far] / np.linalg.norm(away[far], axis=1, keepdims=True)
    return found


def _shifted(noise: Callable[[np.random.Generator, tuple[int, int]], Float], dimensions: int = 8) -> tuple[Law, Law]:
    """Real images of a law, and a model that is off by a third of a standard deviation and 10% too narrow."""

    def real(rng: np.random.Generator, count: int) -> Float:
        return noise(rng, (count, dimensions))

    def model(rng: np.random.Generator, count: int) -> Float:
        return np.asarray(0.9 * noise(rng, (count, dimensions)) + 0.33 * (np.arange(dimensions) % 2))

    return real, model


def _discrete(rng: np.random.Generator, count: int) -> Float:
    """Thirty images and no other."""
    images = np.random.default_rng(30).standard_normal((30, 8))
    return np.asarray(images[rng.integers(30, size=count)])


_REAL, _MODEL = _shifted(_gaussian)
WORLDS = {
    world.name: world
    for world in (
        World("gaussian", _REAL, _MODEL),
        World("t5", *_shifted(_student(5.0))),
        World("t2.5", *_shifted(_student(2.5))),
        World("log-normal", *_shifted(_log_normal)),
        World("0.5% far outliers", *_shifted(_outliers)),
        World("30 discrete images", _REAL, _discrete),
        World("5 patients", _REAL, _MODEL, patients=5, spread=2.0),
        World("as good as real", _REAL, _REAL),
        World("64 dimensions", *_shifted(_gaussian, 64), dimensions=64),
    )
}


def looks(full: int) -> tuple[int, ...]:
    """The counts a gate looks at."""
    return tuple(n for n in (full // 8, full // 4, full // 2, full) if n >= 16)


class Bank:
    """Sample groups of the unchanged model of one world at one full count."""

    def __init__(self, world: World, full: int, work: Path) -> None:
        self.world, self.full, self.looks = world, full, looks(full)
        self.folder = work / "worlds" / f"{world.name.replace(' ', '_').replace('%', '')}_{full}"
        self._reference: Reference | None = None
        maps = np.random.default_rng(77)
        self._to_pixels = maps.standard_normal((world.dimensions, SIDE * SIDE)) / np.sqrt(world.dimensions)
        self._to_classes = maps.standard_normal((world.dimensions, CLASSES)) / np.sqrt(world.dimensions)

    def estimates(self, groups: int) -> Float:
        """Values and standard errors float64 [groups, looks, metrics, 2] in the catalogue's order."""
        chunks = [self._chunk(chunk) for chunk in range(-(-groups // CHUNK))]
        return np.concatenate(chunks)[:groups]

    def _chunk(self, chunk: int) -> Float:
        path = self.folder / f"{chunk:04d}.npy"
        if not path.exists():
            found = np.stack([self._group(chunk * CHUNK + place) for place in range(CHUNK)])
            path.parent.mkdir(parents=True, exist_ok=True)
            part = path.with_suffix(f".{os.getpid()}.part")
            with part.open("wb") as stream:
                np.save(stream, found)
            os.replace(part, path)
        return np.asarray(np.load(path))

    def _group(self, group: int) -> Float:
        rng = np.random.default_rng([self.full, group, 1])
        features, pixels, probabilities = self.images(self.world.model(rng, self.full), rng)
        found = np.empty((len(self.looks), len(MEASURED), 2))
        for place, n in enumerate(self.looks):
            battery = measure(self.reference, fake=features[:n], pixels=pixels[:n], probabilities=probabilities[:n])
            found[place] = [(battery.estimates[name].value, battery.estimates[name].se) for name in MEASURED]
        return found

    @property
    def reference(self) -> Reference:
        """The reference and the training set, the same for every count."""
        if self._reference is None:
            (real, pixels, _), groups = self._patients(2)
            (train, train_pixels, _), train_groups = self._patients(3)
            self._reference = prepare_reference(
                real, groups=groups, pixels=pixels, train=train, train_pixels=train_pixels, train_groups=train_groups
            )
        return self._reference

    def _patients(self, seed: int) -> tuple[tuple[npt.NDArray[np.float32], npt.NDArray[np.uint8], Float], Float]:
        rng = np.random.default_rng(seed)
        world = self.world
        group = np.arange(REAL) % world.patients
        means = world.spread * rng.standard_normal((world.patients, world.dimensions))
        latents = (world.real(rng, REAL) + means[group]) / np.sqrt(1 + world.spread**2)
        return self.images(latents, rng), group

    def images(
        self, latents: Float, rng: np.random.Generator
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.uint8], Float]:
        """Features, pixels and class probabilities; equal latents give equal pixels."""
        grey = 128 + 35 * (latents @ self._to_pixels)
        pixels = grey.clip(0, 255).round().astype(np.uint8).reshape(-1, 1, SIDE, SIDE)
        logits = latents @ self._to_classes
        odds = np.exp(logits - logits.max(1, keepdims=True))
        return latents.astype(np.float32), pixels, odds / odds.sum(1, keepdims=True)


def prepare_process() -> None:
    """One thread a process, and no total error of precision and recall, which takes longer than all the rest."""
    torch.set_num_threads(1)
    Clustered.delete_half = lambda *_: float("nan")  # type: ignore[method-assign]
