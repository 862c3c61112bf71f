"""Measure what the removal of each cluster does that holds at least 5% of the images.

    python -m benchmarks.gate_trust.clusters --data ../shared/data --work FOLDER [--groups 13]

The same images are measured with and without the cluster, so the effect has a far smaller error than in one gate. It is
given in standard errors of a gate at the full count, three sample groups against three; positive is worse.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from benchmarks.gate_trust import tasks
from benchmarks.gate_trust.bank import Bank, Plan
from benchmarks.gate_trust.evaluations import MEASURED
from pytest_medgan.catalogue import METRICS


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gate_trust.clusters", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="the folder with lidc-patches and weights")
    parser.add_argument("--work", type=Path, required=True, help="where pools and measurements are kept")
    parser.add_argument("--full", type=int, default=4096, help="full count of a sample group")
    parser.add_argument("--groups", type=int, default=13, help="sample groups of the unchanged model")
    arguments = parser.parse_args()
    plan = Plan(arguments.data, arguments.work, arguments.full, arguments.groups, arguments.groups)
    bank = tasks.bank(plan)
    of_real = np.bincount(bank.clusters.predict(bank.real.features), minlength=len(bank.shares)) / len(bank.real)
    print(f"| of the model's images | of the reference | {' | '.join(MEASURED)} |")
    print("| --- " * (len(MEASURED) + 2) + "|")
    for further in range(int((bank.shares >= 0.05).sum())):
        model = f"modes:0.05+{further}"
        cluster = bank.removed(model.partition(":")[2])[0]
        cells = [f"{effect(bank, model, name):.1f}" for name in MEASURED]
        print(f"| {bank.shares[cluster]:.1%} | {of_real[cluster]:.1%} | {' | '.join(cells)} |", flush=True)


def effect(bank: Bank, model: str, name: str) -> float:
    """By how many standard errors of a gate the metric is worse without the cluster, on average over the groups."""
    groups = range(bank.size("model"))
    found = [(bank.estimates(model, g, bank.full)[name], bank.estimates("model", g, bank.full)[name]) for g in groups]
    gap = float(np.mean([without.value - whole.value for without, whole in found]))
    se = float(np.sqrt(2 / 3 * np.mean([whole.se**2 for _, whole in found])))
    return (-gap if METRICS[name].higher_is_better else gap) / se if se > 0 else 0.0


if __name__ == "__main__":
    main()
