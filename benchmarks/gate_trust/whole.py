"""Gates of every metric of the catalogue in `compact`: faults of a whole set and small wrong subpopulations together.

    python -m benchmarks.gate_trust.whole --data ../shared/data --work FOLDER [--groups 60] [--fault-groups 12]

The model is the sampler of `sampler.py`, drawn from every second training patient; the others of them are the training
set that `copy_rate`, `authenticity` and `memorised_rate` compare with, so that the unchanged model copies nobody. The
patches were windowed by their maker in various ways, so `implausible_rate` is measured as if black were -1000 HU and
white 400 HU. The work folder keeps every measured sample group, so a run can be stopped and taken up again.
"""

from __future__ import annotations

import argparse
import json
import os
import zlib
from collections.abc import Callable, Mapping
from functools import cached_property, partial
from pathlib import Path

import numpy as np
import torch
from sklearn.cluster import KMeans

from benchmarks.blind_spots import FAULTS as PATCH_FAULTS
from benchmarks.blind_spots import WINDOW, changed_copies
from benchmarks.gate_trust.gates import Tally, run
from benchmarks.gate_trust.sampler import UInt8, draw, split
from pytest_medgan.catalogue import NAMES
from pytest_medgan.embedding import embed_images, load_extractor
from pytest_medgan.evaluate.workbench import Workbench
from pytest_medgan.metrics import measure
from pytest_medgan.records import DataSettings, Estimate, ImageSet, RealSets

CLUSTERS = 20
RECIPE = "lidc-patches, every second training patient"
Random = np.random.Generator
Alter = Callable[["WholeBank", UInt8, Random], UInt8]  # a group's images [N,1,128,128] -> those of the faulty model


class WholeBank:
    """Sample groups of the sampler and of its faults, measured by every metric when a gate first asks for them."""

    names = NAMES

    def __init__(self, data: Path, work: Path, full: int, groups: int, fault_groups: int) -> None:
        self.work, self.full, self.groups, self.fault_groups = work, full, groups, fault_groups
        self.looks = (full // 8, full // 4, full // 2, full)
        parts = split(data)
        training = parts["training"]
        seen = np.isin(training.patients, np.unique(training.patients)[::2])
        self.copied, self.drawn = training.pixels[seen], training.pixels[~seen]
        reference, aside = parts["reference"], parts["aside"]
        self.real = RealSets(
            ImageSet(self.copied, training.patients[seen], RECIPE, window=WINDOW),
            ImageSet(reference.pixels, reference.patients, "reference", window=WINDOW),
            ImageSet(aside.pixels, aside.patients, "aside", window=WINDOW),
            DataSettings(),
            "lidc-patches, whole gates",
        )
        self.bench = Workbench(work / "cache")
        self.space = load_extractor("compact")
        self.known: dict[tuple[str, int, int], dict[str, Estimate]] = {}

    def size(self, model: str) -> int:
        """Return how many sample groups of a model there are."""
        return self.groups if model == "model" else self.fault_groups

    def sources(self, model: str, group: int) -> set[int]:
        """Return the unchanged groups that a group was made from; each fault has draws of its own."""
        return {group} if model == "model" else set()

    def estimates(self, model: str, group: int, n: int) -> dict[str, Estimate]:
        """Return every metric of a group's first n images."""
        if (model, group, n) not in self.known:
            path = self.work / f"whole_{self.full}" / model.replace(" ", "_").replace("%", "") / f"{group}.json"
            if not path.exists():
                self._measure(model, group, path)
            for look, plain in json.loads(path.read_text()).items():
                self.known[model, group, int(look)] = {name: Estimate(*numbers) for name, numbers in plain.items()}
        return self.known[model, group, n]

    def images(self, model: str, group: int) -> UInt8:
        """Return the images of a group, uint8 [full,1,128,128]."""
        pool, altered = WHOLE.get(model, (f"{model}/model", ALTERED.get(model)))
        images = draw(self.drawn, "model" if model == "model" else pool, group, self.full)
        return (
            images
            if altered is None
            else altered(self, images, np.random.default_rng([zlib.crc32(model.encode()), group]))
        )

    def embed(self, pixels: UInt8) -> np.ndarray:
        """Return features [N,128]."""
        return embed_images(self.space, ImageSet(pixels, np.full(len(pixels), "0"), "sampled")).features

    @cached_property
    def clusters(self) -> tuple[KMeans, np.ndarray]:
        """Return modes of the unchanged model, fitted on a draw of their own, and their numbers by ascending share."""
        fitted = KMeans(CLUSTERS, n_init=4, random_state=0).fit(self.embed(draw(self.drawn, "extra/model", 0, 4096)))
        shares = np.bincount(fitted.labels_, minlength=CLUSTERS) / len(fitted.labels_)
        order = np.argsort(shares)
        return fitted, np.array([order, shares[order]])

    def _measure(self, model: str, group: int, path: Path) -> None:
        """Measure a group at every look."""
        assert self.space.maps is not None
        pixels = self.images(model, group)
        images = ImageSet(pixels, np.full(len(pixels), "0"), "sampled")
        found, maps = embed_images(self.space, images), embed_images(self.space.maps, images)
        reference = self.bench.reference(self.space, self.real, self.names, RECIPE)
        looks = {}
        for n in self.looks:
            battery = measure(
                reference,
                fake=found.features[:n],
                probabilities=None if found.probabilities is None else found.probabilities[:n],
                pixels=pixels[:n],
                maps=maps.features[:n],
                metrics=self.names,
            )
            if battery.unmeasured:
                raise SystemExit(f"not measured: {dict(battery.unmeasured)}")
            looks[n] = {name: [e.value, e.se, e.se_total, e.freedom] for name, e in battery.estimates.items()}
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(f".{os.getpid()}.part")
        part.write_text(json.dumps(looks))
        os.replace(part, path)
        print(f"{model} {group}", flush=True)


def _some(
    alter: Callable[[UInt8, Random], UInt8], dose: float, bank: WholeBank, images: UInt8, random: Random
) -> UInt8:
    """Return the images with that share of them altered."""
    where = np.flatnonzero(random.random(len(images)) < dose)
    images[where] = alter(images[where, 0], random)[:, None] if len(where) else images[where]
    return images


def _copies(kind: str, dose: float, bank: WholeBank, images: UInt8, random: Random) -> UInt8:
    """Return the images with that share of them replaced by copies of training patches, changed in one way."""
    where = np.flatnonzero(random.random(len(images)) < dose)
    patches = bank.copied[random.integers(len(bank.copied), size=len(where))]
    if len(where):
        images[where] = patches if kind == "as they are" else changed_copies(patches, kind, random)
    return images


def _duplicates(bank: WholeBank, images: UInt8, random: Random) -> UInt8:
    """Return the images with 5% exact repeats of an earlier one."""
    where = np.flatnonzero(random.random(len(images)) < 0.05)
    where = where[where > 0]
    images[where] = images[(random.random(len(where)) * where).astype(np.int64)]
    return images


def _without(wanted: str, bank: WholeBank, images: UInt8, random: Random) -> UInt8:
    """Return the images with those of some clusters drawn again: the smallest of at least 5%, or half of all."""
    kmeans, (order, shares) = bank.clusters
    gone = order[shares >= 0.05][:1] if wanted == "one" else order[: int(np.searchsorted(np.cumsum(shares), 0.5)) + 1]
    spare = draw(bank.drawn, f"spare/{wanted}/model", int(random.integers(1 << 30)), 2 * len(images))
    images = np.concatenate([images, spare])
    return images[~np.isin(kmeans.predict(bank.embed(images)), gone)][: bank.full]


WHOLE: Mapping[str, tuple[str, Alter | None]] = {  # a whole set that is wrong; the sampler draws it
    "model": ("model", None),
    "blur 0.7 to 0.8": ("blur:0.8", None),
    "grey level +3": ("grey:3", None),
    "noise of 2 grey levels": ("noise:2", None),
    "upside-down": ("upside", None),
    "20% weaker contrast": ("contrast:0.2", None),
    "8-pixel checkerboard, amplitude 2": ("checker:2", None),
    "noise of 10 grey levels": ("noise:10", None),
}
ALTERED: Mapping[str, Alter] = {
    "5% exact duplicates": _duplicates,
    "2% copies of training patches": partial(_copies, "as they are", 0.02),
    "2% mirrored and shifted copies": partial(_copies, "mirror and shift", 0.02),
    "a cluster of at least 5% removed": partial(_without, "one"),
    "half of the modes removed": partial(_without, "half"),
    **{f"{dose:.0%} {name}": partial(_some, alter, dose) for name, (dose, alter) in PATCH_FAULTS.items()},
}
FAULTS = (*list(WHOLE)[1:], *ALTERED)


def show(name: str, tally: Tally) -> None:
    """Print a line of the table."""
    reds = ", ".join(f"{metric} {count}" for metric, count in list(tally.by.items())[:4])
    print(
        f"| {name} | {tally.gates} | {tally.candidates} | {tally.failed} | {tally.median_share:.3f} | {reds} |",
        flush=True,
    )


def main() -> None:
    """Measure what is missing and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the folder with lidc-patches")
    parser.add_argument("--work", type=Path, required=True, help="where measurements are kept")
    parser.add_argument("--full", type=int, default=1024, help="full count of a sample group")
    parser.add_argument("--groups", type=int, default=60, help="sample groups of the unchanged model")
    parser.add_argument("--fault-groups", type=int, default=12, help="sample groups of each fault")
    parser.add_argument("--gates", type=int, default=1000, help="of the unchanged model")
    parser.add_argument("--fault-gates", type=int, default=100, help="of each fault")
    parser.add_argument("--faults", nargs="*", default=list(FAULTS), choices=list(FAULTS), metavar="NAME")
    args = parser.parse_args()
    torch.set_num_threads(1)
    bank = WholeBank(args.data, args.work, args.full, args.groups, args.fault_groups)
    print("| model | gates | candidates | red | median share of images | red by |")
    print("| --- | --- | --- | --- | --- | --- |")
    show("unchanged", run(bank, ("model",) * 3, args.gates, seed=1))
    for seed, name in enumerate(args.faults, 2):
        show(name, run(bank, (name,) * 3, args.fault_gates, seed=seed))


if __name__ == "__main__":
    main()
