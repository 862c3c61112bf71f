"""Sample groups of each model, measured once at every look; gates are put together from them.

A gate needs three sample groups for its baseline and three others for its candidate. Groups are disjoint stretches of
a pool, so a bank of G measured groups holds C(G,3) C(G-3,3) different gates.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
from sklearn.cluster import KMeans

from benchmarks.gate_trust.pools import Pool, SqueezeNet, load
from benchmarks.gate_trust.sampler import Patches, UInt8
from pytest_medgan.metrics.battery import measure
from pytest_medgan.metrics.reference import Reference, prepare_reference
from pytest_medgan.records import Estimate

CLUSTERS = 20
EXTRA = "extra/model"  # half to fit the clusters on, half to fill up what a removed cluster leaves
Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Images:
    """One sample group, row for row."""

    features: npt.NDArray[np.float32]
    probabilities: npt.NDArray[np.float32]
    pixels: UInt8

    @classmethod
    def of(cls, pool: Pool, index: Rows) -> Images:
        return cls(pool.features[index], pool.probabilities[index], pool.images(index))

    def replaced(self, where: Rows, other: Images) -> Images:
        """These images with `other` at the rows `where`."""
        features, probabilities, pixels = self.features.copy(), self.probabilities.copy(), self.pixels.copy()
        features[where], probabilities[where], pixels[where] = other.features, other.probabilities, other.pixels
        return Images(features, probabilities, pixels)

    def take(self, index: Rows) -> Images:
        return Images(self.features[index], self.probabilities[index], self.pixels[index])


class PoolExhaustedError(LookupError):
    """A look asks for more images than a fault's pool holds; the gate is then counted as green."""


class Bank:
    """Measured sample groups by model name, kept in the work folder; `full` is the full count of a sample group."""

    def __init__(self, work: Path, parts: Mapping[str, Patches], network: SqueezeNet, full: int) -> None:
        self.work, self.parts, self.full = work, parts, full
        self.looks = (full // 8, full // 4, full // 2, full)
        self.pools: dict[str, Pool] = {}
        self.known: dict[tuple[str, int, int], dict[str, Estimate]] = {}
        self.training = self._real("training", network)
        self.reference = self._reference(network)

    def block(self, model: str) -> int:
        """Images a sample group: the full count, or the largest look of which the model's own pool holds three."""
        images = len(self.pool("model" if model.partition(":")[0] in _DERIVED else model).features)
        return max((n for n in self.looks if 3 * n <= images), default=0)

    def size(self, model: str) -> int:
        """How many sample groups of a model there are."""
        source = model if model.partition(":")[0] not in _DERIVED else "model"
        groups = len(self.pool(source).features) // self.block(model)
        return groups // 2 if model == "modes:half" else groups

    def sources(self, model: str, group: int) -> set[int]:
        """The groups of the unchanged model that a group was made from, which no baseline beside it may hold."""
        if model == "modes:half":
            return {2 * group, 2 * group + 1}
        return {group} if model == "model" or model.partition(":")[0] in _DERIVED else set()

    def estimates(self, model: str, group: int, n: int) -> dict[str, Estimate]:
        """Every metric of a group's first n images, measured when first asked for."""
        if n > self.block(model):
            raise PoolExhaustedError(f"{model} has sample groups of {self.block(model)} images, not {n}")
        if (model, group, n) in self.known:
            return self.known[model, group, n]
        path = self.work / f"scores_{self.full}" / model.replace(":", "_") / f"{group}_{n}.json"
        if not path.exists():
            battery = self._measure(self.images(model, group), n)
            path.parent.mkdir(parents=True, exist_ok=True)
            plain = {name: [e.value, e.se, e.se_total] for name, e in battery.items()}
            path.write_text(json.dumps(plain))
        plain = json.loads(path.read_text())
        self.known[model, group, n] = {name: Estimate(*numbers) for name, numbers in plain.items()}
        return self.known[model, group, n]

    def images(self, model: str, group: int) -> Images:
        """The images of one group."""
        name, _, dose = model.partition(":")
        size = self.block(model)
        rows = np.arange(group * size, (group + 1) * size)
        if name not in _DERIVED:
            return Images.of(self.pool(model), rows)
        if model == "modes:half":
            rows = np.arange(2 * group * size, (2 * group + 2) * size)
        return _DERIVED[name](self, Images.of(self.pool("model"), rows), dose, np.random.default_rng([group, 7]))

    def pool(self, name: str) -> Pool:
        if name not in self.pools:
            self.pools[name] = load(self.work, name)
        return self.pools[name]

    def _measure(self, images: Images, n: int) -> Mapping[str, Estimate]:
        found = measure(
            self.reference,
            fake=images.features[:n],
            probabilities=images.probabilities[:n],
            pixels=images.pixels[:n],
        )
        if found.unmeasured:
            raise RuntimeError(f"not measured: {dict(found.unmeasured)}")
        return found.estimates

    def _real(self, part: str, network: SqueezeNet) -> Images:
        """Real patches, embedded once."""
        path, pixels = self.work / f"real_{part}.npz", self.parts[part].pixels
        if not path.exists():
            features, probabilities = network.embed(pixels)
            np.savez(path, features=features, probabilities=probabilities)
        with np.load(path) as archive:
            return Images(archive["features"], archive["probabilities"], pixels)

    def _reference(self, network: SqueezeNet) -> Reference:
        reference, training = self.parts["reference"], self.parts["training"]
        return prepare_reference(
            self._real("reference", network).features,
            groups=reference.patients,
            pixels=reference.pixels,
            train=self.training.features,
            train_pixels=training.pixels,
            train_groups=training.patients,
        )

    @cached_property
    def clusters(self) -> KMeans:
        """Modes of the unchanged model, from a draw of their own."""
        features = self.pool(EXTRA).features
        return KMeans(CLUSTERS, n_init=4, random_state=0).fit(features[: len(features) // 2])

    @property
    def shares(self) -> npt.NDArray[np.float64]:
        """Of each cluster, in the draw it was fitted on."""
        return np.bincount(self.clusters.labels_, minlength=CLUSTERS) / len(self.clusters.labels_)

    @cached_property
    def filler(self) -> Images:
        """Images to fill up what a removed cluster leaves."""
        extra = self.pool(EXTRA)
        return Images.of(extra, np.arange(len(extra.features) // 2, len(extra.features)))

    def removed(self, dose: str) -> npt.NDArray[np.int64]:
        """The clusters taken away: the smallest one holding at least that share, or half of all by number."""
        order = np.argsort(self.shares)
        if dose == "half":
            return order[: int(np.searchsorted(np.cumsum(self.shares[order]), 0.5)) + 1]
        return order[self.shares[order] >= float(dose)][:1]


def _without_modes(bank: Bank, images: Images, dose: str, rng: np.random.Generator) -> Images:
    """Images of the removed clusters are drawn again until none is left."""
    gone = bank.removed(dose)
    kept = np.flatnonzero(~np.isin(bank.clusters.predict(images.features), gone))
    size = bank.block("model")
    if len(kept) >= size:
        return images.take(kept[:size])
    spare = np.flatnonzero(~np.isin(bank.clusters.predict(bank.filler.features), gone))
    filler = bank.filler.take(rng.choice(spare, size - len(kept), replace=False))
    where = np.setdiff1d(np.arange(len(images.features)), kept)[: size - len(kept)]
    return images.replaced(where, filler)


def _duplicates(bank: Bank, images: Images, dose: str, rng: np.random.Generator) -> Images:
    """So many images are exact repeats of an earlier one."""
    where = np.flatnonzero(rng.random(len(images.features)) < float(dose))
    where = where[where > 0]
    return images.replaced(where, images.take((rng.random(len(where)) * where).astype(np.int64)))


def _copies(bank: Bank, images: Images, dose: str, rng: np.random.Generator) -> Images:
    """So many images are training patches, pixel for pixel."""
    where = np.flatnonzero(rng.random(len(images.features)) < float(dose))
    return images.replaced(where, bank.training.take(rng.integers(len(bank.training.features), size=len(where))))


_DERIVED: dict[str, Callable[[Bank, Images, str, np.random.Generator], Images]] = {
    "modes": _without_modes,
    "duplicates": _duplicates,
    "copies": _copies,
}
