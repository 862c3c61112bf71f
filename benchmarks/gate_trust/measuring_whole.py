"""Measure checkpoints of retrained generators by every metric of the catalogue in `compact`, once.

    python -m benchmarks.gate_trust.measuring_whole --runs RUNS/dcgan --into FOLDER [--full 512] [--only same]
    python -m benchmarks.gate_trust.recipes measured --runs FOLDER

RUNS/dcgan is as in `benchmarks.gate_trust.measuring`: the held-out images are the reference, the training images what
`authenticity`, `copy_rate` and `memorised_rate` compare with. The patches were windowed by their maker in various ways,
so `implausible_rate` is measured as if black were -1000 HU and white 400 HU. FOLDER/RECIPE/RUN.json is written for each
checkpoint that has none yet, so the command can be stopped and taken up again.
"""

from __future__ import annotations

import argparse
import json
import os
from dataclasses import asdict
from pathlib import Path

import numpy as np

from benchmarks.blind_spots import WINDOW
from benchmarks.gate_trust.measuring import SEEDS
from benchmarks.gate_trust.recipes import SAME
from benchmarks.gate_trust.worlds import prepare_process
from pytest_medgan.catalogue import NAMES
from pytest_medgan.embedding import embed_images, load_extractor
from pytest_medgan.embedding.contract import FeatureSpace
from pytest_medgan.evaluate.combining import combine_groups
from pytest_medgan.evaluate.workbench import Workbench
from pytest_medgan.gan import load_generator
from pytest_medgan.metrics import Battery, Reference, measure
from pytest_medgan.records import DataSettings, ImageSet, RealSets, UInt8

RECIPE = "lidc-patches at 64x64"


def real_images(folder: Path) -> RealSets:
    """Return the training images and the held-out ones as the reference."""
    held_out, training = (np.load(folder / f"{part}.npz") for part in ("held_out", "training"))
    reference = ImageSet(held_out["pixels"], held_out["patient"], "held out", window=WINDOW)
    return RealSets(
        ImageSet(training["pixels"], training["patient"], RECIPE, window=WINDOW),
        reference,
        reference,
        DataSettings(),
        RECIPE,
    )


def measure_group(pixels: UInt8, reference: Reference, space: FeatureSpace) -> Battery:
    """Return every metric of one sample group."""
    if space.maps is None:
        raise SystemExit("The feature space offers no maps.")
    images = ImageSet(pixels, np.full(len(pixels), "0"), "sampled")
    found, maps = embed_images(space, images), embed_images(space.maps, images)
    battery = measure(
        reference,
        fake=found.features,
        probabilities=found.probabilities,
        pixels=pixels,
        maps=maps.features,
        metrics=NAMES,
    )
    if battery.unmeasured:
        raise SystemExit(f"not measured: {dict(battery.unmeasured)}")
    return battery


def main() -> None:
    """Measure what is missing, the unchanged recipe first."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, required=True, help="the folder of real images and checkpoints")
    parser.add_argument("--into", type=Path, required=True, help="where measurements are kept")
    parser.add_argument("--full", type=int, default=512, help="images of a sample group")
    parser.add_argument("--only", default="*", help="measure only this recipe")
    args = parser.parse_args()
    prepare_process()
    order = sorted(args.runs.glob(f"{args.only}/*.safetensors"), key=lambda path: (path.parent.name != SAME, path))
    space, bench, real = load_extractor("compact"), Workbench(args.into / "cache"), real_images(args.runs)
    for checkpoint in order:
        path = args.into / checkpoint.parent.name / f"{checkpoint.stem}.json"
        if path.exists():
            continue
        reference = bench.reference(space, real, NAMES, RECIPE)
        generator = load_generator(str(checkpoint))
        batteries = [measure_group(np.asarray(generator(args.full, seed)), reference, space) for seed in SEEDS]
        scores = {name: asdict(combine_groups([each.estimates[name] for each in batteries])) for name in NAMES}
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(f".{os.getpid()}.part")
        part.write_text(json.dumps({str(args.full): scores}))
        os.replace(part, path)
        print(path, flush=True)


if __name__ == "__main__":
    main()
