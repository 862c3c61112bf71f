"""Retrained models: how often an unchanged recipe is turned red, and how often a worse one is caught.

    python -m benchmarks.gate_trust.recipes simulated [--gates 2000]
    python -m benchmarks.gate_trust.recipes measured --runs FOLDER [--gates 2000]

A row holds three or five training runs. A candidate is one run of its own; where that run is suspicious, two more are
trained and the three are judged together (two stages). Beside it stand a single stage and the rule before this one,
which knows no training runs, on the same runs.

`simulated` draws runs whose spread is known: r is the spread of training over the error of sampling. `measured` takes
tables of real training runs, FOLDER/RECIPE/RUN.json, as `benchmarks.gate_trust.measuring` or `measuring_whole` writes
them; rows are made of the recipe "same". Its gates are put together at random and share runs: no more of them are
independent than there are runs.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.gate_trust.evaluations import (
    MEASURED,
    Float,
    Looks,
    TableEvaluation,
    asks_for_more_runs,
    is_red,
    joined,
    judge,
    row_of,
)
from benchmarks.gate_trust.former import former_is_red
from pytest_medgan.catalogue import METRICS
from pytest_medgan.gate.risks import DEFAULT
from pytest_medgan.records import Outcome, Score, Verdict

CANDIDATES = 3  # runs of a candidate, where the first one is suspicious
SAME = "same"  # the recipe that rows are made of
N = 512  # images of the only look of simulated gates
CORRELATION = 0.5  # between the metrics of one simulated training run
# spread of training over the error of sampling, metric by metric; "a GAN" is what one small recipe showed
LAWS: Mapping[str, tuple[float, ...]] = {
    "no spread of training": (0.0,) * 14,
    "r = 1": (1.0,) * 14,
    "r = 3": (3.0,) * 14,
    "r = 10": (10.0,) * 14,
    "a GAN": (2.0, 8.9, 7.9, 3.0, 3.0, 4.1, 5.1, 5.1, 2.8, 1.5, 0.0, 0.0, 5.0, 1.0),
    "half 0, half 10": (0.0,) * 7 + (10.0,) * 7,
    "one 30, the rest 0": (0.0, 30.0) + (0.0,) * 12,
}
_HEADING = "| gates | asked for more | red | one stage | former rule | trainings |"
STEPS = (0.0, 3.0, 5.0, 8.0)  # standard deviations of a run by which a simulated recipe is worse in its first metric


@dataclass(frozen=True)
class Rates:
    """Shares of the gates."""

    asked: float  # the first run asked for two more
    red: float  # red in the end
    single: float  # red, were one run judged at the risk of three
    former: float  # red by the rule before this one, of one run against one
    trainings: float  # training runs of the candidate that a gate took


def simulated_runs(
    rng: np.random.Generator, law: Sequence[float], count: int, worse: float = 0.0, *, sampled: bool = True
) -> list[Looks]:
    """Return training runs of a law.

    Args:
        rng: The source of chance.
        law: Spread of training over the error of sampling, which is 1, for each metric.
        count: Runs.
        worse: Standard deviations of one run by which the metric with the largest spread is worse.
        sampled: Whether the values have the error of sampling; without it they are what the runs give on average.
    """
    spread = np.array(law)
    shared = rng.standard_normal((count, 1)) * math.sqrt(CORRELATION)
    training = (shared + rng.standard_normal((count, len(law))) * math.sqrt(1 - CORRELATION)) * spread
    values = 1000.0 + training + (rng.standard_normal((count, len(law))) if sampled else 0.0)
    place = int(np.argmax(spread))
    sign = -1.0 if METRICS[MEASURED[place]].higher_is_better else 1.0
    values[:, place] += sign * worse * math.sqrt(1 + spread[place] ** 2)
    return [_simulated_looks(run) for run in values]


def _simulated_looks(values: Float) -> Looks:
    """Return one run as the only look of a gate; values far beyond 1 have no floor that a share would have."""
    return {N: {name: Score(float(value), 1.0, 1.0, 1.0, 3) for name, value in zip(MEASURED, values, strict=True)}}


def rates_of(draws: Iterable[tuple[Sequence[Looks], Sequence[Looks]]]) -> tuple[Rates, list[tuple[Verdict, ...]]]:
    """Judge gates, each the runs of a row and three runs of a candidate; also the verdicts on the first runs."""
    counts = np.zeros(5)
    verdicts = []
    for row_runs, candidate in draws:
        row = row_of(joined(row_runs), [f"row {i}" for i in range(len(row_runs))])
        first = judge(TableEvaluation(candidate[0]), row)
        asked, red = asks_for_more_runs(first), is_red(first)
        if asked:
            three = TableEvaluation(joined(candidate), tuple(f"run {i}" for i in range(len(candidate))))
            red = is_red(judge(three, row))
        single = any(_is_beyond(verdict) for verdict in first)
        counts += (asked, red, single, former_is_red(row_runs[0], candidate[0]), 3 if asked else 1)
        verdicts.append(first)
    return Rates(*(counts / len(verdicts)).tolist()), verdicts


def _is_beyond(verdict: Verdict) -> bool:
    """Whether one run lies beyond what the mean of three may, were that asked of one run."""
    if verdict.loss is None or not verdict.loss_se or verdict.outcome is Outcome.BLIND:
        return False
    from pytest_medgan.gate.uncertainty import Error

    freedom = 4.0 + max(verdict.row_runs - 1, 0)
    critical = Error(verdict.loss_se, freedom).quantile(DEFAULT.recipe_risk / DEFAULT.metrics)
    return verdict.loss > critical * verdict.loss_se


def simulate(gates: int, seed: int = 1) -> None:
    """Print the table of simulated recipes."""
    print(f"| runs of a recipe | R | worse by (run sd) {_HEADING}")
    print("| --- " * 9 + "|")
    for law_place, (name, law) in enumerate(LAWS.items()):
        for runs in (3, 5):
            for worse in STEPS:
                rng = np.random.default_rng([seed, law_place, runs, int(worse)])
                draws = ((simulated_runs(rng, law, runs), simulated_runs(rng, law, 3, worse)) for _ in range(gates))
                rates, _ = rates_of(draws)
                print(f"| {name} | {runs} | {worse:g} | {gates} | {_cells(rates)} |", flush=True)


def _cells(rates: Rates) -> str:
    shares = (rates.asked, rates.red, rates.single, rates.former)
    return " | ".join([*(f"{share:.1%}" for share in shares), f"{rates.trainings:.2f}"])


def read_runs(folder: Path) -> dict[str, list[Looks]]:
    """Return the measured runs of each recipe of three runs or more, FOLDER/RECIPE/RUN.json."""
    found: dict[str, list[Looks]] = {}
    for path in sorted(folder.glob("*/*.json")):
        plain = json.loads(path.read_text())
        looks = {int(n): {name: Score(**score) for name, score in metrics.items()} for n, metrics in plain.items()}
        found.setdefault(path.parent.name, []).append(looks)
    return {name: of_recipe for name, of_recipe in found.items() if len(of_recipe) >= CANDIDATES}


def measured(folder: Path, gates: int, seed: int = 1) -> None:
    """Print the tables of measured recipes: the spread of training, and the gates."""
    runs = read_runs(folder)
    same = runs[SAME]
    print(f"{folder.name}: {', '.join(f'{name} {len(found)} runs' for name, found in runs.items())}\n")
    _print_spread(runs)
    print(f"\n| candidate | R {_HEADING} by |")
    print("| --- " * 9 + "|")
    for count in (3, 5):
        for name, candidates in runs.items():
            rng = np.random.default_rng([seed, count])
            rates, first = rates_of(drawn_gates(rng, same, candidates, rows=count, gates=gates))
            print(f"| {name} | {count} | {gates} | {_cells(rates)} | {_worst(first)} |", flush=True)


def drawn_gates(
    rng: np.random.Generator, same: Sequence[Looks], candidates: Sequence[Looks], *, rows: int, gates: int
) -> Iterable[tuple[Sequence[Looks], Sequence[Looks]]]:
    """Draw gates: a row of the recipe "same" and three other runs of the candidate's recipe."""
    for _ in range(gates):
        order = rng.permutation(len(same))
        left = order[rows:] if candidates is same else rng.permutation(len(candidates))
        yield [same[i] for i in order[:rows]], [candidates[i] for i in left[:CANDIDATES]]


def _worst(verdicts: Iterable[tuple[Verdict, ...]]) -> str:
    """Name the metrics in which first runs were worst most often."""
    counts: dict[str, int] = {}
    for gate in verdicts:
        known = [v for v in gate if v.loss is not None and v.loss_se]
        worst = max(known, key=lambda v: v.loss / v.loss_se if v.loss_se else 0.0)  # type: ignore[operator]
        counts[worst.metric.name] = counts.get(worst.metric.name, 0) + 1
    most = sorted(counts.items(), key=lambda item: -item[1])[:3]
    return ", ".join(f"{name} {count}" for name, count in most)


def _print_spread(runs: Mapping[str, list[Looks]]) -> None:
    """Print the spread of the recipe "same" in every metric, and how far the others lie from its mean."""
    same = runs[SAME]
    full = max(same[0])
    others = [name for name in runs if name != SAME]
    print(
        f"| metric at {full} | mean | spread of runs | r | {' | '.join(f'{name}, run sd worse' for name in others)} |"
    )
    print("| --- " * (4 + len(others)) + "|")
    for metric in same[0][full]:
        values = np.array([run[full][metric].mean for run in same])
        sampling = math.sqrt(float(np.mean([run[full][metric].se ** 2 for run in same])))
        sd = float(values.std(ddof=1))
        r = math.sqrt(max((sd / sampling) ** 2 - 1, 0.0)) if sampling > 0 else math.nan
        sign = -1.0 if METRICS[metric].higher_is_better else 1.0
        away = [sign * (np.mean([run[full][metric].mean for run in runs[name]]) - values.mean()) for name in others]
        cells = [f"{gap / sd:.1f}" if sd > 0 else "-" for gap in away]
        share = f"{sd / abs(values.mean()):.1%}" if values.mean() else "-"
        print(f"| {metric} | {values.mean():.4g} | {share} | {r:.1f} | {' | '.join(cells)} |")


def run_command(
    prog: str, text: str | None, simulated: Callable[[int], None], of_runs: Callable[[Path, int], None]
) -> None:
    """Run a benchmark that is either simulated or made of measured runs, as the command line says."""
    parser = argparse.ArgumentParser(prog=prog, description=text)
    parser.add_argument("which", choices=("simulated", "measured"))
    parser.add_argument("--runs", type=Path, help="the folder of measured runs")
    parser.add_argument("--gates", type=int, default=2000, help="gates of each line")
    arguments = parser.parse_args()
    if arguments.which == "simulated":
        simulated(arguments.gates)
    elif arguments.runs is None:
        parser.error("measured needs --runs FOLDER")
    else:
        of_runs(arguments.runs, arguments.gates)


if __name__ == "__main__":
    run_command("python -m benchmarks.gate_trust.recipes", __doc__, simulate, measured)
