"""Should a gate compare FID and the intensity distance as they are, or their logarithms? Both, on the same groups.

    python -m benchmarks.gate_trust.scale --work FOLDER [--groups 1500] [--worse 150] [--worlds NAME ...] [--full N ...]

A row and a candidate of three sample groups each are compared at the full count, with both sides' errors: as they are,
(c - r) / hypot(se_r, se_c), and on the log scale, log(c / r) / hypot(se_r / r, se_c / c). Either is red above the
critical value of one of the catalogue's metrics. Candidates are unchanged, or worse: all their latents are wider by the
dose and moved by half of it. The table gives the shares of red candidates, as they are / on the log scale.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import numpy as np
from scipy import stats

from benchmarks.gate_trust.evaluations import Float
from benchmarks.gate_trust.worlds import WORLDS, Bank, prepare_process
from pytest_medgan.gate.risks import DEFAULT
from pytest_medgan.metrics import measure

METRICS = ("fid", "intensity_distance")
DOSES = (0.3, 0.6)
GROUPS = 3  # of the row, and as many of the candidate
CRITICAL = float(stats.norm.isf((1.0 - DEFAULT.promise) / DEFAULT.metrics))
CASES = ("gaussian", "t5", "t2.5", "log-normal", "0.5% far outliers", "30 discrete images", "5 patients")


def measured(bank: Bank, work: Path, dose: float, groups: int) -> Float:
    """Return values and standard errors float64 [groups, metrics, 2] of a model that is worse by a dose."""
    path = work / "scale" / f"{bank.folder.name}_{dose}_{groups}.npy"
    if path.exists():
        return np.asarray(np.load(path))
    found = np.empty((groups, len(METRICS), 2))
    for group in range(groups):
        rng = np.random.default_rng([bank.full, group, 2, round(100 * dose)])
        latents = bank.world.model(rng, bank.full) * (1 + dose) + dose / 2
        features, pixels, _ = bank.images(latents, rng)
        estimates = measure(bank.reference, fake=features, pixels=pixels, metrics=METRICS).estimates
        found[group] = [(estimates[name].value, estimates[name].se) for name in METRICS]
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(f".{os.getpid()}.part.npy")
    np.save(part, found)
    os.replace(part, path)
    return found


def red_shares(base: Float, candidates: Float | None, gates: int, seed: int = 0) -> tuple[Float, Float]:
    """Return the shares of red gates, metric by metric, as they are and on the log scale.

    Args:
        base: Groups of the unchanged model, float64 [groups, metrics, 2].
        candidates: Groups of the candidate; None takes three others of the unchanged model.
        gates: Gates that are put together at random.
        seed: Seed of the choice.
    """
    rng = np.random.default_rng(seed)
    red = np.zeros((2, len(METRICS)))
    for _ in range(gates):
        drawn = rng.choice(len(base), 2 * GROUPS, replace=False)
        others = base[drawn[GROUPS:]] if candidates is None else candidates[rng.choice(len(candidates), GROUPS, False)]
        row, se_row = _together(base[drawn[:GROUPS]])
        found, se_found = _together(others)
        red[0] += (found - row) / np.hypot(se_row, se_found) > CRITICAL
        red[1] += np.log(found / row) / np.hypot(se_row / row, se_found / found) > CRITICAL
    return red[0] / gates, red[1] / gates


def _together(groups: Float) -> tuple[Float, Float]:
    """Return the mean of sample groups and its standard error."""
    return groups[..., 0].mean(0), np.sqrt((groups[..., 1] ** 2).sum(0)) / len(groups)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gate_trust.scale", description=__doc__)
    parser.add_argument("--work", type=Path, required=True, help="where measurements are kept")
    parser.add_argument("--groups", type=int, default=1500, help="sample groups of the unchanged model")
    parser.add_argument("--worse", type=int, default=150, help="sample groups of each worse model")
    parser.add_argument("--gates", type=int, default=40_000, help="gates of each unchanged model; a fifth of it else")
    parser.add_argument("--full", type=int, nargs="+", default=(64, 120), help="full counts")
    parser.add_argument("--worlds", nargs="+", default=CASES, choices=CASES, metavar="NAME")
    arguments = parser.parse_args()
    prepare_process()
    heads = " | ".join(f"{name}: {case}" for name in METRICS for case in ("unchanged", *map(str, DOSES)))
    print(f"| world | n | {heads} |")
    print("| --- " * (2 + len(METRICS) * (1 + len(DOSES))) + "|")
    for full in arguments.full:
        for name in arguments.worlds:
            bank = Bank(WORLDS[name], full, arguments.work)
            base = measured(bank, arguments.work, 0.0, arguments.groups)
            found = [red_shares(base, None, arguments.gates)]
            for dose in DOSES:
                worse = measured(bank, arguments.work, dose, arguments.worse)
                found.append(red_shares(base, worse, arguments.gates // 5))
            cells = [
                f"{linear[i]:.2%} / {log[i]:.2%}" if case == 0 else f"{linear[i]:.0%} / {log[i]:.0%}"
                for i in range(len(METRICS))
                for case, (linear, log) in enumerate(found)
            ]
            print(f"| {name} | {full} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
