"""How far the gate can be trusted: unchanged models that fail, faults that pass, and what it costs.

    python -m benchmarks.gate_trust --data ../shared/data --work FOLDER [--images 122880] [--fault-images 20480]

The work folder keeps pools and measurements, so a run can be stopped and taken up again; nothing is written elsewhere.
"""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path

import numpy as np

from benchmarks.gate_trust.bank import EXTRA, Bank
from benchmarks.gate_trust.gates import Tally, run
from benchmarks.gate_trust.pools import SqueezeNet, fill
from benchmarks.gate_trust.sampler import split
from pytest_medgan.catalogue import NAMES

FAULTS: dict[str, tuple[str, ...]] = {
    "blur 0.7 to 0.8": ("blur:0.8",) * 3,
    "a cluster of at least 5% removed": ("modes:0.05",) * 3,
    "5% exact duplicates": ("duplicates:0.05",) * 3,
    "grey level +3": ("grey:3",) * 3,
    "noise of 2 grey levels": ("noise:2",) * 3,
    "upside-down": ("upside",) * 3,
    "2% copies of training patches": ("copies:0.02",) * 3,
    "20% weaker contrast": ("contrast:0.2",) * 3,
    "8-pixel checkerboard, amplitude 2": ("checker:2",) * 3,
    "one of three seeds upside-down": ("upside", "model", "model"),
    "noise of 10 grey levels": ("noise:10",) * 3,
    "half of the modes removed": ("modes:half",) * 3,
    "2% exact duplicates": ("duplicates:0.02",) * 3,
    "1% exact duplicates": ("duplicates:0.01",) * 3,
    "1% copies of training patches": ("copies:0.01",) * 3,
    "0.5% copies of training patches": ("copies:0.005",) * 3,
    "a cluster of at least 8% removed": ("modes:0.08",) * 3,
}
_DRAWN = ("modes", "duplicates", "copies", "model")  # made from the unchanged model's pool


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gate_trust", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="the folder with lidc-patches and weights")
    parser.add_argument("--work", type=Path, required=True, help="where pools and measurements are kept")
    parser.add_argument("--images", type=int, default=122_880, help="of the unchanged model")
    parser.add_argument("--fault-images", type=int, default=20_480, help="of each fault that needs its own images")
    parser.add_argument("--extra-images", type=int, default=8_192, help="for fitting and filling up clusters")
    parser.add_argument("--full", type=int, default=4096, help="full count of a sample group")
    parser.add_argument("--gates", type=int, default=1000, help="of the unchanged model")
    parser.add_argument("--fault-gates", type=int, default=100, help="of each fault")
    arguments = parser.parse_args()
    parts = split(arguments.data)
    network = SqueezeNet(arguments.data)
    training = parts["training"].pixels
    own = sorted({model for models in FAULTS.values() for model in models if model.partition(":")[0] not in _DRAWN})
    wanted = {"model": arguments.images, EXTRA: arguments.extra_images} | dict.fromkeys(own, arguments.fault_images)
    for name, images in wanted.items():
        fill(arguments.work, name, training, network, images)
    bank = Bank(arguments.work, parts, network, arguments.full)
    calibration(bank)
    print(
        "| model | gates | candidates | red | ran out | median share of images | red by | FID above mean + 3 sd, at |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    results = {"unchanged": run(bank, ("model",) * 3, arguments.gates, seed=1)}
    show("unchanged", results["unchanged"])
    for seed, (name, models) in enumerate(FAULTS.items(), 2):
        results[name] = run(bank, models, arguments.fault_gates, seed)
        show(name, results[name])
    (arguments.work / f"clusters_{arguments.full}.json").write_text(json.dumps(bank.shares.tolist()))
    plain = {name: vars(tally) for name, tally in results.items()}
    (arguments.work / f"results_{arguments.full}.json").write_text(json.dumps(plain, indent=1))


def show(name: str, tally: Tally) -> None:
    reds = ", ".join(f"{metric} {count}" for metric, count in list(tally.by.items())[:4])
    counts = f"{tally.gates} | {tally.candidates} | {tally.failed} | {tally.exhausted} | {tally.median_share:.3f}"
    print(f"| {name} | {counts} | {reds} | {tally.fid_only:.0%}, {tally.fid_n:,} |", flush=True)


def calibration(bank: Bank) -> None:
    """Claimed over true error of every metric over the unchanged model's groups, at every look."""
    print("| metric | mean | " + " | ".join(f"claimed / true at {n}" for n in bank.looks) + " |")
    print("| --- " * (len(bank.looks) + 2) + "|")
    groups = range(bank.size("model"))
    for name in NAMES:
        cells = []
        for n in bank.looks:
            found = [bank.estimates("model", group, n)[name] for group in groups]
            true = float(np.std([e.value for e in found], ddof=1))
            claimed = math.sqrt(float(np.mean([e.se**2 for e in found])))
            cells.append(f"{claimed / true:.2f}" if true > 0 else "none varied")
        mean = float(np.mean([bank.estimates("model", group, bank.full)[name].value for group in groups]))
        print(f"| {name} | {mean:.4g} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
