"""Limits of linear heads in `compact`: what heads trained on the very faults that `anomaly_rate` misses find of them.

    python -m benchmarks.blind_spots_limit --data SHARED/data

A head is trained on one half of the reference's patients, on images softened as for the shipped heads and the same
images with the fault of benchmarks/blind_spots.py; the other half sets its threshold. The faulty images of the sampler
that it then finds are the most that a head among others could find, since several heads share one budget of false
alarms. `needed` is the share that has to be found, so that a gate of 3 groups of 1,024 sees the dose: the rate rises by
z standard errors of the difference where the false alarms of the sampler are as many as the threshold lets through.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch

from benchmarks.blind_spots import COUNT, FAULTS, GROUPS
from benchmarks.gate_trust.sampler import draw, split
from pytest_medgan.embedding import load_extractor
from pytest_medgan.gate.risks import DEFAULT, Question, criticals
from pytest_medgan.gate.uncertainty import Error
from pytest_medgan.metrics.alterations import SEED, soften, to_pixels
from pytest_medgan.metrics.heads import fit_head

NAMES = ("local warp", "grey +15", "motion blur 5", "upside-down")  # the last is caught, for comparison
ALLOWED = (0.05, 0.02)  # false alarms of real images of the other half


def main() -> None:
    """Print a line per fault."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    args = parser.parse_args()
    torch.set_num_threads(1)
    parts, maps = split(args.data), load_extractor("compact").maps
    assert maps is not None
    reference, training = parts["reference"], parts["training"].pixels
    _, patient = np.unique(reference.patients, return_inverse=True)
    half = np.random.default_rng(0).permutation(np.arange(patient.max() + 1) % 2)[patient]
    soft = soften(reference.pixels, np.random.default_rng(SEED))
    real, model = maps.embed(to_pixels(soft))[0], maps.embed(draw(training, "model", 0))[0]
    z = criticals(DEFAULT, Question(looks=1), Error(1.0)).alarm
    print("| fault | dose | false alarms: real, model | found: real altered, model's | needed |")
    print("| --- | --- | --- | --- | --- |")
    for name in NAMES:
        dose, alter = FAULTS[name]
        altered = maps.embed(to_pixels(np.asarray(alter(soft.copy(), np.random.default_rng(1)), np.float32)))[0]
        base = draw(training, "wrong/model", 0)[:, 0]
        wrong = maps.embed(alter(base, np.random.default_rng(2))[:, None])[0]
        for allowed in ALLOWED:
            found = []
            for fold in (0, 1):
                weight, offset = fit_head(real[half != fold], altered[half != fold])
                threshold = np.quantile(real[half == fold] @ weight + offset, 1 - allowed)
                sets = (model, altered[half == fold], wrong)
                found.append([float((rows @ weight + offset > threshold).mean()) for rows in sets])
            alarms, own, caught = np.mean(found, 0)
            needed = alarms + z * np.sqrt(2 * alarms * (1 - alarms) / (GROUPS * COUNT)) / dose
            print(
                f"| {name} | {dose:.0%} | {allowed:.0%}, {alarms:.1%} | {own:.0%}, {caught:.0%} | {needed:.0%} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
