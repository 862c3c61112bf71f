"""How many real images of new patients `implausible_rate` counts, by the number of patients of the reference, and what
it sees.

    python -m benchmarks.blind_spots_false_alarms --data SHARED/data --work FOLDER [--splits 20]

For every number of patients P and each of many random splits, P patients are the reference and the others are new.
Beside the product's threshold stands the 98 percent point of each half's images, as if they were independent. The
nodule patches were windowed by their maker, so their HU are read as in blind_spots.py. Phantoms are `phantom:480x10`.
Whole slices are both series of NSCLC-Radiomics with 12 of the 18 patients of mixed-scanners as the reference, and the
other 6 as new patients. Measures of images are kept in the work folder.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from benchmarks.blind_spots import FAULTS, WINDOW, Images, Random
from benchmarks.feature_spaces.faults import to_grey
from pytest_medgan.evaluate.sources import load_real
from pytest_medgan.metrics.anatomy import measure_anatomy
from pytest_medgan.metrics.plausible import FALSE_ALARMS, FOLDS, LEAST_IMAGES, fit_range
from pytest_medgan.records import DataSettings, Float64, UInt8

ALTERED = 900  # images of a collection that are altered
PATIENTS = (24, 48, 96, 175, 350)


def draw_bone(images: Images, random: Random) -> Images:
    """Draw a white square of 20 pixels."""
    images = images.copy()
    for image in images:
        row, column = random.integers(20, 88, 2)
        image[row : row + 20, column : column + 20] = 255
    return images


def stretch(images: Images, _: Random) -> Images:
    """Multiply grey levels by 1.25."""
    return to_grey(images * 1.25)


ALTERATIONS = {
    "grey +15": FAULTS["grey +15"][1],
    "grey x 1.25": stretch,
    "white square": draw_bone,
    "noise of another scanner": FAULTS["noise of another scanner"][1],
}


def patches(data: Path) -> tuple[UInt8, np.ndarray]:
    """Return the nodule patches and their patients."""
    archive = np.load(data / "lidc-patches" / "patches_128.npz")
    return archive["pixels"][:, None], archive["patient"]


def studies(source: str, work: Path, split: str = "patient") -> tuple[UInt8, np.ndarray]:
    """Return all slices of a source and their patients."""
    real = load_real(DataSettings(source=source, crop="image", slices=None, split=split), cache_dir=work / "cache")
    parts = [real.training, real.reference, real.held_out] if split == "patient" else [real.training]
    return np.concatenate([part.pixels for part in parts]), np.concatenate([part.groups for part in parts])


def measures_of(name: str, work: Path, data: Path) -> dict[str, np.ndarray]:
    """Return the patients and measures of a collection, and those of some images altered."""
    path = work / f"measures_{name}.npz"
    if not path.exists():
        pixels, patient = patches(data) if name == "patches" else studies("phantom:480x10", work)
        rows = np.random.default_rng(0).permutation(len(pixels))[:ALTERED]
        altered = {
            kind: measure_anatomy(alter(pixels[rows, 0], np.random.default_rng(2))[:, None], WINDOW)
            for kind, alter in ALTERATIONS.items()
        }
        np.savez(path, **altered, patient=patient, real=measure_anatomy(pixels, WINDOW), rows=rows)
    return dict(np.load(path))


def shares(known: Float64, patient: np.ndarray, others: list[Float64]) -> Float64:
    """Return the shares of other images outside, float64 [2,len(others)]: images as if independent, and the product."""
    plausible = fit_range(known, patient)
    if plausible is None:
        raise SystemExit(f"There is no range of {len(known)} images; {LEAST_IMAGES} are needed.")
    number = np.unique(patient, return_inverse=True)[1]
    half = np.random.default_rng(0).permutation(np.arange(number.max() + 1) % FOLDS)[number]
    plain = np.array([np.quantile(plausible.real[half == fold], 1 - FALSE_ALARMS) for fold in range(FOLDS)])
    largest = [plausible.margins(images).max(2) for images in others]
    return np.array([[(one > least[:, None]).mean() for one in largest] for least in (plain, np.zeros(FOLDS))])


def show(name: str, patients: int, found: list[Float64]) -> None:
    """Print means over splits."""
    mean, spread = np.mean(found, axis=0), np.std(found, axis=0)
    cells = " | ".join(f"{share:.1%}" for share in mean[1, 1:])
    alarms = " | ".join(f"{share:.1%} ± {one:.1%}" for share, one in zip(mean[:, 0], spread[:, 0], strict=True))
    print(f"| {name} | {patients} | {alarms} |{f' {cells} |' if cells else ''}", flush=True)


def collection(name: str, kept: dict[str, np.ndarray], splits: int) -> None:
    """Print a line for every number of patients."""
    names = np.unique(kept["patient"])
    for patients in (each for each in PATIENTS if each <= 0.85 * len(names)):
        found = []
        for split in range(splits):
            chosen = np.random.default_rng([patients, split]).permutation(names)[:patients]
            known = np.isin(kept["patient"], chosen)
            new = ~known[kept["rows"]]
            others = [kept["real"][~known], *(kept[kind][new] for kind in ALTERATIONS)]
            found.append(shares(kept["real"][known], kept["patient"][known], others))
        show(name, patients, found)


def whole_slices(data: Path, work: Path, splits: int) -> None:
    """Print the line of whole slices of many scanners."""
    (many, patient), (mixed, other) = (
        studies(str(data / "NSCLC-Radiomics"), work, "slice"),
        studies(str(data / "mixed-scanners"), work),
    )
    series, singles, found = measure_anatomy(many, WINDOW), measure_anatomy(mixed, WINDOW), []
    for split in range(splits):
        known = np.isin(other, np.random.default_rng([12, split]).permutation(np.unique(other))[:12])
        reference = np.concatenate([series, singles[known]]), np.concatenate([patient, other[known]])
        found.append(shares(*reference, [singles[~known]]))
    show("whole slices", 14, found)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--splits", type=int, default=20)
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    print(f"| images | patients | new, as if independent | new | {' | '.join(ALTERATIONS)} |")
    print("| --- " * (4 + len(ALTERATIONS)) + "|")
    collection("nodule patches", measures_of("patches", args.work, args.data), args.splits)
    whole_slices(args.data, args.work, args.splits)
    collection("phantoms", measures_of("phantoms", args.work, args.data), args.splits)


if __name__ == "__main__":
    main()
