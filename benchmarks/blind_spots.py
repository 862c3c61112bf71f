"""How often a gate sees small wrong subpopulations and copies: anomaly_rate, memorised_rate and
implausible_rate on real patches.

    python -m benchmarks.blind_spots --data SHARED/data --work FOLDER [--images 6144] [--wrong 1024] [--gates 1000]

The model is the sampler of benchmarks/gate_trust (moved, blurred training patches); the reference is 40% of the
patients, none of whom it draws from. Whether each image is flagged is measured once per pool of images and kept in the
work folder, so a run can be broken off and taken up again. The metrics are means over images, so gates are then put
together from the pools: a row of 3 groups of 1,024 unchanged images and a candidate of as many others, of which the
dose is wrong. Gates share images of the pools and are not independent.

The patches were windowed by their maker in various ways, so their HU are not known: `implausible_rate` is measured as
if black were -1000 HU and white 400 HU. Its range is that of the reference, which was windowed in the same ways.

A gate is red where the candidate exceeds the row by more than z standard errors of their difference, z being the
gate's own critical value for a fresh draw of one law and all metrics of the catalogue.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
from scipy import ndimage

from benchmarks.feature_spaces.faults import (
    Images,
    Random,
    erase_centre,
    join_halves,
    motion_blur,
    ring_artefact,
    to_grey,
    turn_upside_down,
)
from benchmarks.gate_trust.sampler import blurred, draw, moved, split
from pytest_medgan.embedding import load_extractor
from pytest_medgan.evaluate.heads import reference_heads
from pytest_medgan.gate.risks import DEFAULT, Question, criticals
from pytest_medgan.gate.uncertainty import Error
from pytest_medgan.metrics.anatomy import measure_anatomy
from pytest_medgan.metrics.anomalies import flagged_shares
from pytest_medgan.metrics.memory import prepare_memory
from pytest_medgan.metrics.plausible import fit_range
from pytest_medgan.metrics.registration import most_similar
from pytest_medgan.metrics.uncertainty import rate_se
from pytest_medgan.records import DataSettings, ImageSet, RealSets

GROUPS, COUNT = 3, 1024
WINDOW = (-1000.0, 400.0)  # HU as if


def warp_locally(images: Images, random: Random) -> Images:
    """Stretch a region of 20 pixels by up to 8 pixels in a random direction."""
    row, column = np.indices(images.shape[1:]).astype(np.float64)
    warped = []
    for image in images:
        middle, angle = random.uniform(40, 88, 2), random.uniform(0, 2 * np.pi)
        weight = 8 * np.exp(-((row - middle[0]) ** 2 + (column - middle[1]) ** 2) / (2 * 10.0**2))
        places = (row + weight * np.sin(angle), column + weight * np.cos(angle))
        warped.append(ndimage.map_coordinates(image.astype(np.float64), places, order=1, mode="nearest"))
    return to_grey(np.stack(warped))


def add_scanner_noise(images: Images, random: Random) -> Images:
    """Add noise of 5 grey levels whose grain is 1.5 pixels."""
    noise = ndimage.gaussian_filter(random.normal(size=images.shape), (0, 0.8, 0.8))
    return to_grey(images + 5 * noise / noise.std())


def brighten(images: Images, _: Random) -> Images:
    """Add 15 grey levels."""
    return to_grey(images + 15.0)


def add_metal_streaks(images: Images, random: Random) -> Images:
    """Add bright and dark rays of up to 25 grey levels from a point."""
    row, column = np.indices(images.shape[1:])
    found = images.astype(np.float64)
    for image in found:
        middle = random.uniform(30, 98, 2)
        angle = np.arctan2(row - middle[0], column - middle[1])
        distance = np.hypot(row - middle[0], column - middle[1])
        image[:] += 25 * np.cos(2 * (angle - random.uniform(0, np.pi))) ** 9 * np.exp(-distance / 60)
    return to_grey(found)


FAULTS: Mapping[str, tuple[float, Callable[[Images, Random], Images]]] = {
    "upside-down": (0.10, turn_upside_down),
    "joined halves": (0.10, join_halves),
    "centre erased": (0.10, erase_centre),
    "local warp": (0.05, warp_locally),
    "grey +15": (0.05, brighten),
    "noise of another scanner": (0.10, add_scanner_noise),
    "ring artefact, no head": (0.10, ring_artefact),
    "motion blur 5": (0.10, motion_blur),
    "metal streaks, no head": (0.05, add_metal_streaks),
}


def kept(path: Path, make: Callable[[], np.ndarray]) -> np.ndarray:
    """Return what is on disk, or make it and keep it."""
    if not path.exists():
        start = time.perf_counter()
        found = make()
        np.save(path, found)
        print(f"{path.stem}: mean {found.mean():.4f} of {len(found)}, {time.perf_counter() - start:.0f} s", flush=True)
    return np.load(path)


def red_share(row: np.ndarray, wrong: np.ndarray, dose: float, gates: int, random: Random) -> float:
    """Return the share of gates that are red: rows and candidates from one pool, `dose` of a candidate wrong."""
    z = criticals(DEFAULT, Question(looks=1), Error(1.0)).alarm
    size, red = GROUPS * COUNT, 0
    for _ in range(gates):
        order = random.permutation(len(row))[: 2 * size]
        base, candidate = row[order[:size]], row[order[size:]].copy()
        places = random.random(size) < dose
        candidate[places] = random.choice(wrong, int(places.sum()))
        errors = [np.hypot.reduce([rate_se(g.sum(), COUNT) for g in np.split(one, GROUPS)]) / GROUPS
                  for one in (base, candidate)]  # fmt: skip
        red += candidate.mean() - base.mean() > z * np.hypot(*errors)
    return red / gates


def changed_copies(patches: np.ndarray, kind: str, random: Random) -> np.ndarray:
    """Return copies of patches [N,1,128,128] changed in one way, blurred by 0.5 pixels."""
    count, images = len(patches), torch.from_numpy(patches).float()
    angle = random.uniform(-10, 10, count) if kind in ("turn", "all") else np.zeros(count)
    shift = random.uniform(-6, 6, (count, 2)) if kind in ("shift", "mirror and shift", "all") else np.zeros((count, 2))
    gain = random.uniform(0.75, 1.3, count) if kind in ("gain", "all") else np.ones(count)
    low = random.uniform(-40, 40, count) if kind == "window" else np.zeros(count)
    gain = random.uniform(0.6, 1.6, count) if kind == "window" else gain
    if "mirror" in kind or kind == "all":
        images = images.flip(-1)
    cosine, sine = np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))
    rows = [[cosine, -sine, shift[:, 0] / 64], [sine, cosine, shift[:, 1] / 64]]
    theta = torch.from_numpy(np.array(rows).transpose(2, 0, 1)).float()
    grid = torch.nn.functional.affine_grid(theta, list(images.shape), align_corners=False)
    images = torch.nn.functional.grid_sample(images, grid, padding_mode="border", align_corners=False)
    images = blurred(images, 0.5) * torch.from_numpy(gain).float()[:, None, None, None]
    images = images + torch.from_numpy(low).float()[:, None, None, None]
    return images.round().clamp(0, 255).to(torch.uint8).numpy()


KINDS = ("copy", "shift", "turn", "mirror", "mirror and shift", "gain", "window", "all")


def memorisation(data: Path, work: Path, count: int, gates: int) -> dict[str, float]:
    """Measure copies of half of the training patients by a model that draws from the other half."""
    parts = split(data)
    training, reference, aside = (parts[name] for name in ("training", "reference", "aside"))
    half = np.isin(training.patients, np.unique(training.patients)[::2])
    memory = prepare_memory(training.pixels[half], reference.pixels)
    similar = lambda images: most_similar(images, memory.train)[0]  # noqa: E731
    new = kept(work / "similarity_new.npy", lambda: similar(aside.pixels))
    random = np.random.default_rng(0)
    copied = {}
    for kind in KINDS:
        rows = np.random.default_rng(len(kind)).integers(0, int(half.sum()), 600)
        patches = training.pixels[half][rows]
        name = f"similarity_{kind.replace(' ', '_')}.npy"
        copied[kind] = kept(
            work / name, lambda p=patches, k=kind: similar(changed_copies(p, k, np.random.default_rng(1)))
        )
    found = {f"copies found: {kind}": float((s > memory.similarity).mean()) for kind, s in copied.items()}
    found["false alarms, new patients"] = float((new > memory.similarity).mean())
    for share in (0.001, 0.01, 0.05):
        cut = np.quantile(new, 1 - share)
        found[f"all changes, found at {share} false alarms"] = float((copied["all"] > cut).mean())
    others = training.pixels[~half]

    def model() -> np.ndarray:
        images = []
        for chunk in range(-(-count // 512)):
            rng = np.random.default_rng([7, chunk])
            base = torch.from_numpy(others[rng.integers(len(others), size=512)]).float()
            images.append(similar(blurred(moved(base, rng), 0.7).round().clamp(0, 255).to(torch.uint8).numpy()))
        return np.concatenate(images)[:count]

    row = (kept(work / "similarity_model.npy", model) > memory.similarity).astype(float)
    wrong = (copied["mirror and shift"] > memory.similarity).astype(float)
    found["model without copies"] = float(row.mean())
    found["red, unchanged (memorised_rate)"] = red_share(row, wrong, 0.0, gates, random)
    found["red, 2% mirrored and shifted copies"] = red_share(row, wrong, 0.02, gates, random)
    return found


def anomaly(data: Path, work: Path, images: int, wrong: int, gates: int) -> dict[str, float]:
    """Measure the anomaly rate of the sampler and of its faults."""
    parts = split(data)
    sets = {name: ImageSet(part.pixels, part.patients, name) for name, part in parts.items()}
    real = RealSets(sets["training"], sets["reference"], sets["aside"], DataSettings(), "lidc-patches")
    space = load_extractor("compact")
    heads = reference_heads(space, real, work / "heads")
    if heads is None or space.maps is None:
        raise SystemExit("There are no heads.")
    flagged = lambda pixels: flagged_shares(heads, space.maps.embed(pixels)[0])  # noqa: E731
    chunks = [
        kept(work / f"flags_model_{chunk}.npy", lambda c=chunk: flagged(draw(parts["training"].pixels, "model", c)))
        for chunk in range(images // 1024)
    ]
    row, random = np.concatenate(chunks), np.random.default_rng(0)
    new = kept(work / "flags_new.npy", lambda: flagged(sets["aside"].pixels))
    found = {"rate, unchanged": float(row.mean()), "rate, real images of new patients": float(new.mean())}
    found["red, unchanged (anomaly_rate)"] = red_share(row, row, 0.0, gates, random)
    for name, (dose, alter) in FAULTS.items():

        def measured(alter: Callable[[Images, Random], Images] = alter) -> np.ndarray:
            base = draw(parts["training"].pixels, "wrong/model", 0)[:wrong, 0]
            return flagged(alter(base, np.random.default_rng(2))[:, None])

        hits = kept(work / f"flags_{name.replace(' ', '_').replace(',', '')}.npy", measured)
        found[f"flagged: {name}"] = float(hits.mean())
        found[f"red at {dose:.0%}: {name}"] = red_share(row, hits, dose, gates, random)
    return found | {f"found by its head: {name}": share for name, share in heads.found.items()}


def implausible(data: Path, work: Path, images: int, wrong: int, gates: int) -> dict[str, float]:
    """Measure the implausible rate of the sampler and of its faults."""
    parts = split(data)
    plausible = fit_range(measure_anatomy(parts["reference"].pixels, WINDOW), parts["reference"].patients)
    if plausible is None:
        raise SystemExit("There is no range.")

    def outside(pixels: np.ndarray) -> np.ndarray:
        return np.asarray((plausible.margins(measure_anatomy(pixels, WINDOW)).max(2) > 0).mean(0))

    training = parts["training"].pixels
    chunks = [
        kept(work / f"outside_model_{chunk}.npy", lambda c=chunk: outside(draw(training, "model", c)))
        for chunk in range(images // 1024)
    ]
    row, random = np.concatenate(chunks), np.random.default_rng(0)
    new = kept(work / "outside_new.npy", lambda: outside(parts["aside"].pixels))
    found = {"outside, unchanged": float(row.mean()), "outside, real images of new patients": float(new.mean())}
    found["red, unchanged (implausible_rate)"] = red_share(row, row, 0.0, gates, random)
    base = draw(training, "wrong/model", 0)[:wrong, 0]
    for name, (dose, alter) in FAULTS.items():
        path = work / f"outside_{name.replace(' ', '_').replace(',', '')}.npy"
        hits = kept(path, lambda alter=alter: outside(alter(base, np.random.default_rng(2))[:, None]))
        found[f"outside: {name}"] = float(hits.mean())
        found[f"red by implausible_rate at {dose:.0%}: {name}"] = red_share(row, hits, dose, gates, random)
    return found


def main() -> None:
    """Measure all three and print one line per figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--images", type=int, default=6144)
    parser.add_argument("--wrong", type=int, default=1024)
    parser.add_argument("--gates", type=int, default=1000)
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    found = memorisation(args.data, args.work, args.images, args.gates)
    found |= anomaly(args.data, args.work, args.images, args.wrong, args.gates)
    found |= implausible(args.data, args.work, args.images, args.wrong, args.gates)
    for name, value in found.items():
        print(f"{name}: {value:.4f}")
    (args.work / "found.json").write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
