"""Sample groups of each model, measured when a gate first asks for them; gates are put together from them.

A gate needs three sample groups for its baseline and three others for its candidate. Groups are disjoint stretches of
a pool, so a bank of G measured groups holds C(G,3) C(G-3,3) different gates.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
from sklearn.cluster import KMeans

from benchmarks.gate_trust.evaluations import MEASURED
from benchmarks.gate_trust.pools import Images, Inception, Pool, SqueezeNet
from benchmarks.gate_trust.sampler import split
from pytest_medgan.metrics.battery import measure
from pytest_medgan.metrics.reference import Reference, prepare_reference
from pytest_medgan.records import Estimate

CLUSTERS = 20
FITTED = 4096  # images of EXTRA on which the clusters are fitted; as many again fill up what a removed one leaves
EXTRA = "extra/model"


@dataclass(frozen=True)
class Plan:
    """Where the data is, where measurements are kept, and how many there are."""

    data: Path
    work: Path
    full: int  # images of a sample group
    groups: int  # of the unchanged model
    fault_groups: int
    extractor: str = ""  # a feature space of the product instead of SqueezeNet


class Bank:
    """Measured sample groups by model name, kept in the plan's work folder."""

    names = MEASURED

    def __init__(self, plan: Plan) -> None:
        self.plan, self.full = plan, plan.full
        self.looks = (plan.full // 8, plan.full // 4, plan.full // 2, plan.full)
        self.parts = split(plan.data)
        self.network = (
            Inception(plan.extractor, self.parts["reference"].pixels) if plan.extractor else SqueezeNet(plan.data)
        )
        self.known: dict[tuple[str, int, int], dict[str, Estimate]] = {}
        self.training = self._real("training")

    def size(self, model: str) -> int:
        """How many sample groups of a model there are."""
        if model == "model":
            return self.plan.groups
        return min(self.plan.fault_groups, self.plan.groups // 2) if model == "modes:half" else self.plan.fault_groups

    def sources(self, model: str, group: int) -> set[int]:
        """The groups of the unchanged model that a group was made from, which no baseline beside it may hold."""
        if model == "modes:half":
            return {2 * group, 2 * group + 1}
        return {group} if model == "model" or _name(model) in _DERIVED else set()

    def estimates(self, model: str, group: int, n: int) -> dict[str, Estimate]:
        """Every metric of a group's first n images."""
        if (model, group, n) not in self.known:
            path = self.plan.work / f"scores_{self.full}" / model.replace(":", "_") / f"{group}_{n}.json"
            if not path.exists():
                self._measure(self.images(model, group, n), path)
            plain = json.loads(path.read_text())
            self.known[model, group, n] = {name: Estimate(*numbers) for name, numbers in plain.items()}
        return self.known[model, group, n]

    def images(self, model: str, group: int, n: int) -> Images:
        """The first n images of one group."""
        if _name(model) not in _DERIVED:
            return self.pool(model).rows(group * self.full, group * self.full + n)
        many = 2 if model == "modes:half" else 1
        images = self.pool("model").rows(many * group * self.full, many * (group + 1) * self.full)
        dose = model.partition(":")[2]
        return _DERIVED[_name(model)](self, images, dose, np.random.default_rng([group, 7])).take(np.arange(n))

    def pool(self, name: str) -> Pool:
        return Pool(self.plan.work, name, self.parts["training"].pixels, self.network)

    def _measure(self, images: Images, path: Path) -> None:
        found = measure(self.reference, fake=images.features, probabilities=images.probabilities, pixels=images.pixels)
        if found.unmeasured:
            raise RuntimeError(f"not measured: {dict(found.unmeasured)}")
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(f".{os.getpid()}.part")
        part.write_text(json.dumps({name: [e.value, e.se, e.se_total] for name, e in found.estimates.items()}))
        os.replace(part, path)

    def _real(self, part: str) -> Images:
        """Real patches, embedded once."""
        path = self.plan.work / f"real_{part}.npz"
        if not path.exists():
            self.network.embed(self.parts[part].pixels).save(path)
        return Images.load(path)

    @cached_property
    def real(self) -> Images:
        """The reference images."""
        return self._real("reference")

    @cached_property
    def reference(self) -> Reference:
        reference, training = self.parts["reference"], self.parts["training"]
        return prepare_reference(
            self.real.features,
            groups=reference.patients,
            pixels=reference.pixels,
            train=self.training.features,
            train_pixels=training.pixels,
            train_groups=training.patients,
        )

    @cached_property
    def clusters(self) -> KMeans:
        """Modes of the unchanged model, from a draw of their own."""
        return KMeans(CLUSTERS, n_init=4, random_state=0).fit(self.pool(EXTRA).rows(0, FITTED).features)

    @property
    def shares(self) -> npt.NDArray[np.float64]:
        """Of each cluster, in the draw it was fitted on."""
        return np.bincount(self.clusters.labels_, minlength=CLUSTERS) / len(self.clusters.labels_)

    @cached_property
    def filler(self) -> Images:
        """Images to fill up what a removed cluster leaves."""
        return self.pool(EXTRA).rows(FITTED, 2 * FITTED)

    def removed(self, dose: str) -> npt.NDArray[np.int64]:
        """The clusters taken away: the smallest one that holds at least that share, or half of all images.

        `dose` is that share, "half", or the share and how many clusters larger: "0.05+2".
        """
        order = np.argsort(self.shares)
        if dose == "half":
            return order[: int(np.searchsorted(np.cumsum(self.shares[order]), 0.5)) + 1]
        share, _, further = dose.partition("+")
        return order[self.shares[order] >= float(share)][int(further or 0) :][:1]


def _name(model: str) -> str:
    return model.partition(":")[0]


def _without_modes(bank: Bank, images: Images, dose: str, rng: np.random.Generator) -> Images:
    """Images of the removed clusters are drawn again until none is left; `dose` is as in `Bank.removed`."""
    return _drawn_again(bank, images, bank.removed(dose), 1.0, rng)


def _thinned(bank: Bank, images: Images, dose: str, rng: np.random.Generator) -> Images:
    """Of the smallest cluster that holds at least 5%, so many images are drawn again."""
    return _drawn_again(bank, images, bank.removed("0.05"), float(dose), rng)


def _drawn_again(
    bank: Bank, images: Images, gone: npt.NDArray[np.int64], share: float, rng: np.random.Generator
) -> Images:
    """Without that share of the images in the clusters `gone`; others, from outside them, fill the places up."""
    there = np.isin(bank.clusters.predict(images.features), gone) & (rng.random(len(images)) < share)
    kept = images.take(np.flatnonzero(~there)[: bank.full])
    spare = np.flatnonzero(~np.isin(bank.clusters.predict(bank.filler.features), gone))
    filler = bank.filler.take(rng.choice(spare, bank.full - len(kept), replace=False))
    return Images.joined([kept, filler]).take(rng.permutation(bank.full))


def _duplicates(bank: Bank, images: Images, dose: str, rng: np.random.Generator) -> Images:
    """So many images are exact repeats of an earlier one."""
    where = np.flatnonzero(rng.random(len(images)) < float(dose))
    where = where[where > 0]
    return images.replaced(where, images.take((rng.random(len(where)) * where).astype(np.int64)))


def _copies(bank: Bank, images: Images, dose: str, rng: np.random.Generator) -> Images:
    """So many images are training patches, pixel for pixel."""
    where = np.flatnonzero(rng.random(len(images)) < float(dose))
    return images.replaced(where, bank.training.take(rng.integers(len(bank.training), size=len(where))))


def _upside(bank: Bank, images: Images, dose: str, rng: np.random.Generator) -> Images:
    """So many images are upside-down."""
    where = np.flatnonzero(rng.random(len(images)) < float(dose))
    return images.replaced(where, bank.pool("upside").rows(0, len(where)) if len(where) else images.take(where))


_DERIVED: dict[str, Callable[[Bank, Images, str, np.random.Generator], Images]] = {
    "modes": _without_modes,
    "thinned": _thinned,
    "duplicates": _duplicates,
    "copies": _copies,
    "some_upside": _upside,
}
