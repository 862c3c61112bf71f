"""How far the gate can be trusted: unchanged models that fail, faults that pass, and what it costs.

    python -m benchmarks.gate_trust --data ../shared/data --work FOLDER [--groups 60] [--fault-groups 24]

The work folder keeps pools and measurements, so a run can be stopped and taken up again; nothing is written elsewhere.
"""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.gate_trust import tasks
from benchmarks.gate_trust.bank import Bank, Plan
from benchmarks.gate_trust.evaluations import MEASURED
from benchmarks.gate_trust.gates import Tally, run

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
    **{f"the next larger cluster removed, {n}": (f"modes:0.05+{n}",) * 3 for n in range(1, 8)},
}
LADDERS: dict[str, tuple[str, ...]] = {  # doses from strong to weak
    "blur, pixels": ("0.8", "0.76", "0.74", "0.72"),
    "thinned, share of a cluster that holds 5%": ("1", "0.75", "0.5", "0.25"),
    "duplicates, share of the images": ("0.05", "0.02", "0.01", "0.005", "0.002", "0.001"),
    "grey, levels": ("3", "2", "1"),
    "noise, levels": ("2", "1", "0.5"),
    "some_upside, share of the images": ("0.1", "0.05", "0.02", "0.01"),
    "copies, share of the images": ("0.02", "0.01", "0.005", "0.002", "0.001"),
    "contrast, share that is lost": ("0.2", "0.1", "0.05", "0.02"),
    "checker, amplitude": ("2", "1", "0.5"),
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gate_trust", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="the folder with lidc-patches and weights")
    parser.add_argument("--work", type=Path, required=True, help="where pools and measurements are kept")
    parser.add_argument("--full", type=int, default=4096, help="full count of a sample group")
    parser.add_argument("--groups", type=int, default=60, help="sample groups of the unchanged model")
    parser.add_argument("--fault-groups", type=int, default=24, help="sample groups of each fault")
    parser.add_argument("--dose-groups", type=int, default=12, help="sample groups of each weaker dose")
    parser.add_argument("--gates", type=int, default=1000, help="of the unchanged model")
    parser.add_argument("--fault-gates", type=int, default=100, help="of each fault and dose")
    parser.add_argument("--faults", nargs="+", default=list(FAULTS), choices=list(FAULTS), metavar="NAME")
    parser.add_argument("--no-doses", action="store_true", help="leave the weaker doses out")
    parser.add_argument("--extractor", default="", help="a feature space of the product instead of SqueezeNet")
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    arguments = parser.parse_args()
    counts = (arguments.full, arguments.groups, arguments.fault_groups)
    plan = Plan(arguments.data, arguments.work, *counts, arguments.extractor)
    weaker = replace(plan, fault_groups=arguments.dose_groups)
    gates = arguments.fault_gates
    with ProcessPoolExecutor(arguments.workers, multiprocessing.get_context("spawn")) as pool:
        list(pool.map(partial(tasks.measure, plan), range(arguments.groups)))
        bank = tasks.bank(plan)
        calibration(bank)
        print("| model | gates | candidates | red | median share of images | red by | FID above mean + 3 sd |")
        print("| --- | --- | --- | --- | --- | --- | --- |")
        results = {"unchanged": run(bank, ("model",) * 3, arguments.gates, seed=1)}
        show("unchanged", results["unchanged"])
        faults = {
            pool.submit(tasks.gates, plan, models, gates, seed): name
            for seed, (name, models) in enumerate(FAULTS.items(), 2)
            if name in arguments.faults
        }
        for future in as_completed(faults):
            results[faults[future]] = future.result()
            show(faults[future], future.result())
        if not arguments.no_doses:
            doses(pool, weaker, gates)
    if any(model.startswith("modes") for name in arguments.faults for model in FAULTS[name]):
        (arguments.work / f"clusters_{arguments.full}.json").write_text(json.dumps(bank.shares.tolist()))
    plain = {name: asdict(tally) for name, tally in results.items()}
    (arguments.work / f"results_{arguments.full}.json").write_text(json.dumps(plain, indent=1))


def doses(pool: ProcessPoolExecutor, plan: Plan, gates: int) -> None:
    """How weak a fault may be and still be caught."""
    print(f"| fault | dose: gates red of {gates} |")
    print("| --- | --- |")
    ladders = {pool.submit(tasks.ladder, plan, name, steps, gates): name for name, steps in LADDERS.items()}
    for future in as_completed(ladders):
        print(f"| {ladders[future]} | {', '.join(f'{d}: {r}' for d, r in future.result().items())} |", flush=True)


def show(name: str, tally: Tally) -> None:
    reds = ", ".join(f"{metric} {count}" for metric, count in list(tally.by.items())[:4])
    counts = f"{tally.gates} | {tally.candidates} | {tally.failed} | {tally.median_share:.3f}"
    print(f"| {name} | {counts} | {reds} | {tally.fid_only:.0%} |", flush=True)


def calibration(bank: Bank) -> None:
    """Claimed over true error of every metric over the unchanged model's groups, at every look."""
    print("| metric | mean | " + " | ".join(f"claimed / true at {n}" for n in bank.looks) + " |")
    print("| --- " * (len(bank.looks) + 2) + "|")
    groups = range(bank.size("model"))
    for name in MEASURED:
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
