"""Does the power column tell the truth? How often it expects a loss to be seen, and how often the loss is seen.

    python -m benchmarks.gate_trust.powers simulated [--gates 2000]
    python -m benchmarks.gate_trust.powers measured --runs FOLDER [--gates 2000]

A row of three or five training runs says which loss of a candidate's first run is not passed in 98 of 100; losses in
between follow the same law, Student's t. "Seen" are gates in which that metric does not pass the first run: it fails,
or it asks for two more. `simulated` knows each loss; `measured` takes the runs that `benchmarks.gate_trust.recipes`
takes, where the loss is the difference of the recipes' means, and the error beside the share of seen ones counts the
candidate's runs, which are the only independent ones.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy import stats

from benchmarks.gate_trust.evaluations import MEASURED, Looks, TableEvaluation, is_red, joined, judge, row_of
from benchmarks.gate_trust.recipes import LAWS, SAME, drawn_gates, read_runs, run_command, simulated_runs
from pytest_medgan.catalogue import METRICS
from pytest_medgan.gate.decision import spreads_of
from pytest_medgan.gate.difference import expected_difference
from pytest_medgan.gate.drift import scores_of
from pytest_medgan.gate.risks import DEFAULT, Question, criticals
from pytest_medgan.records import Row

STEPS = (1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 12.0)  # standard deviations of a run by which a recipe is worse
LEAST = 0.02  # metrics that are seen and expected to be seen less often are left out
ROWS = (3, 5)  # training runs of a row


def expected_share(row: Row, name: str, loss: float) -> float:
    """Return how often a row expects that it does not pass a candidate of one run that is worse by `loss`."""
    entry, metric = row.entries[name], METRICS[name]
    full = max(entry.at)
    prior = spreads_of(row, scores_of(row, full), full).row_at_full
    expected = expected_difference(metric, entry.at[full], full, prior)
    if not expected.error.se > 0:
        return math.nan
    question = Question(recipe=expected.run_sd is not None)
    alarm = criticals(DEFAULT, question, expected.error).alarm
    return float(stats.t.cdf(loss / expected.error.se - alarm, expected.error.freedom))


def simulate(gates: int, seed: int = 2) -> None:
    """Print expected and seen shares for losses that are known."""
    print("| runs of a recipe | R | worse by (run sd) | gates | expected to be seen | seen | points apart |")
    print("| --- " * 7 + "|")
    for law_place, (name, law) in enumerate(LAWS.items()):
        place = int(np.argmax(law))
        sd = math.sqrt(1 + law[place] ** 2)
        for count in ROWS:
            for worse in STEPS:
                rng = np.random.default_rng([seed, law_place, count, int(worse)])
                expected, seen = np.empty(gates), np.empty(gates, bool)
                for gate in range(gates):
                    row = _row(simulated_runs(rng, law, count))
                    verdicts = judge(TableEvaluation(simulated_runs(rng, law, 1, worse)[0]), row)
                    expected[gate] = expected_share(row, MEASURED[place], worse * sd)
                    seen[gate] = is_red([verdicts[place]])
                apart = 100 * (expected.mean() - seen.mean())
                cells = f"{gates} | {expected.mean():.0%} | {seen.mean():.0%} | {apart:+.0f}"
                print(f"| {name} | {count} | {worse:g} | {cells} |", flush=True)


def measured(folder: Path, gates: int, seed: int = 1) -> None:
    """Print expected and seen shares of measured recipes, metric by metric."""
    runs = read_runs(folder)
    same, full = runs[SAME], max(runs[SAME][0])
    print("| candidate | R | metric | loss (run sd) | expected to be seen | seen | points apart |")
    print("| --- " * 7 + "|")
    for count in ROWS:
        for name in (name for name in runs if name != SAME):
            rng = np.random.default_rng([seed, count])
            draws = list(drawn_gates(rng, same, runs[name], rows=count, gates=gates))
            rows = [_row(of_row) for of_row, _ in draws]
            firsts = [candidate[0] for _, candidate in draws]
            verdicts = [judge(TableEvaluation(first), row) for row, first in zip(rows, firsts, strict=True)]
            for place, metric in enumerate(same[0][full]):
                loss, sd = _loss_of(runs, name, metric, full)
                if not sd > 0:
                    continue
                red = np.array([is_red([verdict[place]]) for verdict in verdicts])
                expected = float(np.nanmean([expected_share(row, metric, loss) for row in rows]))
                seen, error = float(red.mean()), _error_by_run(red, firsts)
                if max(expected, seen) >= LEAST:
                    cells = f"{expected:.0%} | {seen:.0%} ± {error:.0%} | {100 * (expected - seen):+.0f}"
                    print(f"| {name} | {count} | {metric} | {loss / sd:.1f} | {cells} |", flush=True)


def _row(runs: Sequence[Looks]) -> Row:
    return row_of(joined(runs), [f"row {i}" for i in range(len(runs))])


def _error_by_run(red: npt.NDArray[np.bool_], candidates: Sequence[Looks]) -> float:
    """Return the standard error of a share of red gates over the candidate's runs."""
    known = {id(one): one for one in candidates}.values()
    shares = [float(red[[one is run for one in candidates]].mean()) for run in known]
    return float(np.std(shares, ddof=1)) / math.sqrt(len(shares)) if len(shares) > 1 else math.nan


def _loss_of(runs: Mapping[str, list[Looks]], name: str, metric: str, full: int) -> tuple[float, float]:
    """Return by how much a recipe is worse than the unchanged one on average, and the spread of the unchanged one."""
    values = np.array([run[full][metric].mean for run in runs[SAME]])
    sign = -1.0 if METRICS[metric].higher_is_better else 1.0
    loss = float(np.mean([run[full][metric].mean for run in runs[name]]) - values.mean())
    return sign * loss, float(values.std(ddof=1))


if __name__ == "__main__":
    run_command("python -m benchmarks.gate_trust.powers", __doc__, simulate, measured)
