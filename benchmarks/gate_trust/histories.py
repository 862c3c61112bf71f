"""What many acceptances add up to, and what choosing the best of several runs does to a row.

    python -m benchmarks.gate_trust.histories salami [--trials 500]
    python -m benchmarks.gate_trust.histories best [--trials 1000]

`salami`: every proposal is worse than the row in the file by so many standard errors of its FID; it is accepted where
gate and acceptance let it pass, and proposed again, measured afresh, where they do not. How far has the accepted model
come from the first one after 24 proposals? The rule before this one keeps no anchor and fixes its margin anew with
every row.

`best`: of five training runs of one recipe, those with the best FID become the row. An unchanged recipe is then judged:
one run first, three where the first is suspicious, and three from the start where the row holds a single run.
"""

from __future__ import annotations

import argparse
from dataclasses import replace

import numpy as np

from benchmarks.gate_trust.evaluations import (
    MEASURED,
    Looks,
    TableEvaluation,
    asks_for_more_runs,
    is_red,
    joined,
    judge,
    row_of,
)
from benchmarks.gate_trust.former import former_is_red
from benchmarks.gate_trust.recipes import N, simulated_runs
from pytest_medgan.gate.drift import lost_metrics, with_anchors
from pytest_medgan.gate.risks import DEFAULT
from pytest_medgan.records import Row, Score, VerdictCause

FIRST = 1000.0  # FID of the first row, whose standard error is 1
PROPOSALS = 24
STEPS = (0.5, 1.0, 2.0, 3.0, 4.0)  # standard errors
TRAINED = 5
SPREADS = (1.0, 3.0, 10.0)  # spread of training over the error of sampling, in every metric


def salami(step: float, rng: np.random.Generator) -> tuple[float, int]:
    """Return how much worse than the first the accepted model is after all proposals, and how many were accepted."""
    row, worse, accepted = _row(_measured(FIRST, rng), "first"), 0.0, 0
    for proposal in range(PROPOSALS):
        looks = _measured(FIRST + worse + step, rng)
        new = _row(looks, f"proposal {proposal}")
        if is_red(judge(TableEvaluation(looks), row)) or lost_metrics(row, new, DEFAULT):
            continue
        row = with_anchors(row, new, "2026-01-01", DEFAULT)
        worse, accepted = worse + step, accepted + 1
    return worse, accepted


def former_salami(step: float, rng: np.random.Generator) -> float:
    """Return the same by the rule before this one."""
    row, worse = _measured(FIRST, rng), 0.0
    for _ in range(PROPOSALS):
        looks = _measured(FIRST + worse + step, rng)
        if not former_is_red(row, looks):
            row, worse = looks, worse + step
    return worse


def _measured(value: float, rng: np.random.Generator) -> Looks:
    """Return one measurement of a model's FID, with a standard error of 1."""
    return {N: {"fid": Score(value + rng.standard_normal(), 1.0, 1.0, 1.0, 3)}}


def _row(looks: Looks, name: str) -> Row:
    return replace(row_of(looks, [name]), provenance={"accepted": "2026-01-01"})


def best(spread: float, kept: int, told: bool, trials: int) -> tuple[float, float]:
    """Return the shares of unchanged recipes whose first run is suspicious or red, and that are red in the end."""
    rng = np.random.default_rng([int(spread), kept, told])
    first_red = red = 0
    for _ in range(trials):
        law = (spread,) * len(MEASURED)
        trained = simulated_runs(rng, law, TRAINED, sampled=False)
        seen = [_measure(run, rng) for run in trained]
        order = sorted(range(TRAINED), key=lambda i: seen[i][N]["fid"].mean)[:kept]
        # a row that is chosen by its scores is measured again, on latent seeds of its own
        chosen = [_measure(trained[i], rng) if told else seen[i] for i in order]
        facts = {"selected_from": TRAINED} if told else {}
        row = row_of(joined(chosen), [f"row {i}" for i in range(kept)], **facts)
        runs = simulated_runs(rng, law, 3)
        verdicts = judge(TableEvaluation(runs[0]), row)
        unsure = asks_for_more_runs(verdicts) or any(one.cause is VerdictCause.ONE_RUN for one in verdicts)
        in_the_end = is_red(verdicts)
        if unsure:
            in_the_end = is_red(judge(TableEvaluation(joined(runs), ("a", "b", "c")), row))
        first_red += unsure or is_red(verdicts)
        red += in_the_end
    return first_red / trials, red / trials


def _measure(run: Looks, rng: np.random.Generator) -> Looks:
    """Return what a run gives on average with the error of sampling added."""
    return {
        n: {name: replace(score, mean=score.mean + rng.standard_normal()) for name, score in scores.items()}
        for n, scores in run.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gate_trust.histories", description=__doc__)
    parser.add_argument("which", choices=("salami", "best"))
    parser.add_argument("--trials", type=int, default=500)
    parser.add_argument("--spreads", type=float, nargs="+", default=SPREADS, help="of `best`")
    arguments = parser.parse_args()
    trials = arguments.trials
    if arguments.which == "salami":
        print("| step (standard errors) | trials | accepted of 24 | worse in the end: mean | 95% | former rule: mean |")
        print("| --- " * 6 + "|")
        for step in STEPS:
            rng = np.random.default_rng(int(10 * step))
            found = [salami(step, rng) for _ in range(trials)]
            former = np.mean([former_salami(step, rng) for _ in range(trials)])
            ends, counts = np.array([end for end, _ in found]), np.mean([count for _, count in found])
            cells = f"{counts:.1f} | {ends.mean():.1f} | {np.percentile(ends, 95):.1f} | {former:.1f}"
            print(f"| {step:g} | {trials} | {cells} |", flush=True)
        return
    print("| spread r | row | selected_from said | trials | first run suspicious or red | red in the end |")
    print("| --- " * 6 + "|")
    for spread in arguments.spreads:
        for kept in (1, 3, 5):
            for told in (False, True) if kept < TRAINED else (False,):
                first, red = best(spread, kept, told, trials)
                said = "yes" if told else "no"
                print(f"| {spread:g} | best {kept} of 5 | {said} | {trials} | {first:.1%} | {red:.1%} |", flush=True)


if __name__ == "__main__":
    main()
