"""Unchanged models drawn afresh: how often one is turned red, world by world.

    python -m benchmarks.gate_trust.fresh --work FOLDER [--groups 600] [--gates 2000] [--worlds NAME ...]

A gate is a row of three sample groups and a candidate of three others, every metric of the catalogue, every look, the
shipped defaults. Gates are put together at random from a bank of measured groups, so they share groups: the number of
independent gates is groups / 6, and the error beside a rate is found by drawing the groups anew. The rule before this
one judges the same gates. Blind metrics are not counted as red: they are told, and fail no gate that still sees.
"""

from __future__ import annotations

import argparse
import json
import math
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from benchmarks.gate_trust.evaluations import MEASURED, Float, Looks, TableEvaluation, judge, reds, row_of, score_of
from benchmarks.gate_trust.former import former_is_red
from benchmarks.gate_trust.worlds import FULL, WORLDS, Bank, prepare_process
from pytest_medgan.metrics.ms_ssim import PAIRS
from pytest_medgan.records import Outcome

GROUPS = 3  # of the row, and as many of the candidate
REDRAWN = 200  # times the groups are drawn anew for the error of a rate


@dataclass(frozen=True)
class Tally:
    """What became of the gates of one world at one count."""

    world: str
    full: int
    groups: int  # measured, independent
    gates: int
    red: int
    error: float  # standard error of the share of red gates
    former: int  # red by the rule before this one
    stale: int
    median_share: float  # of a full run's images that the median gate looked at
    by: dict[str, int]  # metric -> gates that it turned red
    blind: dict[str, float]  # metric -> share of gates in which it was blind


def looks_of(bank: Bank, estimates: Float, groups: list[int]) -> Looks:
    """Return the looks of these sample groups together."""
    return {
        n: {
            name: score_of(
                estimates[groups, place, i, 0].tolist(), estimates[groups, place, i, 1].tolist(), _freedom(name, n)
            )
            for i, name in enumerate(MEASURED)
        }
        for place, n in enumerate(bank.looks)
    }


def _freedom(name: str, n: int) -> float:
    """Return the degrees of freedom of one group's error, where pairs carry it."""
    return float(min(PAIRS, n // 2) - 1) if name == "ms_ssim" else math.inf


def gates(bank: Bank, groups: int, count: int, seed: int = 1) -> Tally:
    """Judge gates put together at random from a bank."""
    estimates, rng = bank.estimates(groups), np.random.default_rng(seed)
    drawn, red, former = np.empty((count, 2 * GROUPS), np.int64), np.zeros(count, bool), np.zeros(count, bool)
    by, blind, furthest, stale = Counter[str](), Counter[str](), [], 0
    for gate in range(count):
        drawn[gate] = rng.choice(groups, 2 * GROUPS, replace=False)
        accepted, measured = (looks_of(bank, estimates, part.tolist()) for part in np.split(drawn[gate], 2))
        candidate = TableEvaluation(measured)
        verdicts = judge(candidate, row_of(accepted))
        found = reds(verdicts)
        red[gate], former[gate] = bool(found), former_is_red(accepted, measured)
        by.update(found)
        blind.update(verdict.metric.name for verdict in verdicts if verdict.outcome is Outcome.BLIND)
        stale += any(verdict.outcome is Outcome.STALE for verdict in verdicts)
        furthest.append(candidate.furthest / bank.full)
    return Tally(
        world=bank.world.name,
        full=bank.full,
        groups=groups,
        gates=count,
        red=int(red.sum()),
        error=_error_of_rate(drawn, red, groups, rng),
        former=int(former.sum()),
        stale=stale,
        median_share=float(np.median(furthest)),
        by=dict(by.most_common()),
        blind={name: seen / count for name, seen in blind.most_common()},
    )


def _error_of_rate(drawn: np.ndarray, red: np.ndarray, groups: int, rng: np.random.Generator) -> float:
    """Return the standard error of the share of red gates; groups are drawn anew and weigh its gates."""
    rates = []
    for _ in range(REDRAWN):
        times = rng.multinomial(groups, np.full(groups, 1 / groups))
        weight = times[drawn].prod(1)
        rates.append(float((weight * red).sum() / max(weight.sum(), 1)))
    return float(np.std(rates))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gate_trust.fresh", description=__doc__)
    parser.add_argument("--work", type=Path, required=True, help="where measurements are kept")
    parser.add_argument("--groups", type=int, default=600, help="sample groups of each world and count")
    parser.add_argument("--gates", type=int, default=2000, help="gates of each world and count")
    parser.add_argument("--full", type=int, nargs="+", default=FULL, help="full counts")
    parser.add_argument("--worlds", nargs="+", default=list(WORLDS), choices=list(WORLDS), metavar="NAME")
    arguments = parser.parse_args()
    prepare_process()
    print("| world | n | groups | gates | red | former rule red | median share of images | red by |")
    print("| --- " * 8 + "|")
    found = []
    for full in arguments.full:
        for name in arguments.worlds:
            tally = gates(Bank(WORLDS[name], full, arguments.work), arguments.groups, arguments.gates)
            found.append(asdict(tally))
            by = ", ".join(f"{metric} {count}" for metric, count in tally.by.items()) or "none"
            share, former = tally.red / tally.gates, tally.former / tally.gates
            print(
                f"| {name} | {full} | {tally.groups} | {tally.gates} | {tally.red} ({share:.2%} ± {tally.error:.2%}) "
                f"| {former:.1%} | {tally.median_share:.2f} | {by} |",
                flush=True,
            )
    (arguments.work / "fresh.json").write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
