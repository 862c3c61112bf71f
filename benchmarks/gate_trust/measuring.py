"""Measure checkpoints of retrained generators once, for the gates of `benchmarks.gate_trust.recipes`.

    python -m benchmarks.gate_trust.measuring --data ../shared/data --runs RUNS/dcgan --into FOLDER [--full 512]

RUNS/dcgan holds `held_out.npz` (the reference) and `training.npz`, each with `pixels` uint8 [N,1,S,S] and `patient`
[N], and the checkpoints RECIPE/RUN.safetensors. FOLDER/RECIPE/RUN.json is written for each that has none yet, so the
command can be stopped and taken up again. Features are SqueezeNet's, of images repeated up to 64x64, or those of a
feature space of the product (`--extractor`). A gate of these runs has one look, the full count.
"""

from __future__ import annotations

import argparse
import json
import os
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch

from benchmarks.gate_trust.evaluations import MEASURED
from benchmarks.gate_trust.pools import Images, Inception, SqueezeNet
from benchmarks.gate_trust.recipes import SAME
from benchmarks.gate_trust.sampler import UInt8
from benchmarks.gate_trust.worlds import prepare_process
from pytest_medgan.evaluate.combining import combine_groups
from pytest_medgan.gan import load_generator
from pytest_medgan.metrics import Reference, measure, prepare_reference

SEEDS = (0, 1, 2)  # latent seeds of the sample groups, the same for every run, as in a gate
SIDE = 64  # pixels of the edge of the images that are embedded

Network = SqueezeNet | Inception


def embed(network: Network, pixels: UInt8) -> Images:
    """Return images of any smaller size embedded at 64x64; their own pixels are kept for the metrics of pixels."""
    times = SIDE // pixels.shape[-1]
    found = network.embed(pixels.repeat(times, 2).repeat(times, 3))
    return Images(found.features, found.probabilities, pixels)


def reference_of(folder: Path, network: Network) -> Reference:
    """Return the held-out images as the reference, with the training images beside them."""
    real, train = (np.load(folder / f"{part}.npz") for part in ("held_out", "training"))
    held_out, training = embed(network, real["pixels"]), embed(network, train["pixels"])
    return prepare_reference(
        held_out.features,
        groups=real["patient"],
        pixels=held_out.pixels,
        train=training.features,
        train_pixels=training.pixels,
        train_groups=train["patient"],
    )


def measure_run(checkpoint: Path, reference: Reference, network: Network, full: int) -> dict[str, dict[str, object]]:
    """Return every metric of three sample groups, as plain data."""
    generator = load_generator(str(checkpoint))
    groups = [embed(network, np.asarray(generator(full, seed))) for seed in SEEDS]
    batteries = [
        measure(reference, fake=group.features, pixels=group.pixels, probabilities=group.probabilities)
        for group in groups
    ]
    return {str(full): {name: asdict(combine_groups([b.estimates[name] for b in batteries])) for name in MEASURED}}


def _order(checkpoint: Path) -> tuple[bool, str, str]:
    """Put the runs of the unchanged recipe first: rows are made of them."""
    return checkpoint.parent.name != SAME, checkpoint.stem, checkpoint.parent.name


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gate_trust.measuring", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="the folder with the weights")
    parser.add_argument("--runs", type=Path, required=True, help="the folder of real images and checkpoints")
    parser.add_argument("--into", type=Path, required=True, help="where measurements are kept")
    parser.add_argument("--full", type=int, default=512, help="images of a sample group")
    parser.add_argument("--extractor", default="", help="a feature space of the product instead of SqueezeNet")
    arguments = parser.parse_args()
    prepare_process()
    missing = [
        (checkpoint, path)
        for checkpoint in sorted(arguments.runs.glob("*/*.safetensors"), key=_order)
        if not (path := arguments.into / checkpoint.parent.name / f"{checkpoint.stem}.json").exists()
    ]
    if not missing:
        return
    real = np.load(arguments.runs / "held_out.npz")["pixels"]
    times = SIDE // real.shape[-1]
    network: Network = (
        Inception(arguments.extractor, real.repeat(times, 2).repeat(times, 3))
        if arguments.extractor
        else SqueezeNet(arguments.data)
    )
    with torch.inference_mode():
        reference = reference_of(arguments.runs, network)
    for checkpoint, path in missing:
        text = json.dumps(measure_run(checkpoint, reference, network, arguments.full))
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(f".{os.getpid()}.part")
        part.write_text(text)
        os.replace(part, path)
        print(path, flush=True)


if __name__ == "__main__":
    main()
