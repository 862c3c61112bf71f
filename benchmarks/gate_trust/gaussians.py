"""The decision alone on Gaussian metrics whose truth is known: nested looks, `auto` margins.

python -m benchmarks.gate_trust.gaussians
"""

from __future__ import annotations

import math
from collections import Counter

import numpy as np

from benchmarks.gate_trust.evaluations import MEASURED, Float, TableEvaluation, is_red, judge, row_of
from pytest_medgan.catalogue import METRICS
from pytest_medgan.gate.risks import DEFAULT
from pytest_medgan.gate.uncertainty import Error
from pytest_medgan.records import Outcome, Score

GATES = 2_000
LOOKS = (512, 1024, 2048, 4096)
LEVEL = 1000.0  # of every metric, far beyond 1, so that no share's floor comes in


def simulate(
    gates: int, metrics: int, shift: float, correlation: float, seed: int
) -> tuple[Counter[Outcome], int, float]:
    """Judge gates whose first metric is worse by `shift` of what a gate sees.

    Returns:
        The outcomes of the first metric, gates that are not red, and the median share of the images looked at.
    """
    rng = np.random.default_rng(seed)
    steps = np.sqrt(np.diff((0, *LOOKS)))
    first, green, furthest = Counter[Outcome](), 0, []
    full = Error(math.sqrt(2.0 / LOOKS[-1]))
    risks = ((1.0 - DEFAULT.promise) / DEFAULT.metrics, DEFAULT.miss / len(LOOKS))
    sees = sum(full.quantile(risk) for risk in risks) * full.se
    names = MEASURED[:metrics]
    for _ in range(gates):
        shared = rng.standard_normal((2, 1, len(LOOKS))) * math.sqrt(correlation)
        own = rng.standard_normal((2, metrics, len(LOOKS))) * math.sqrt(1 - correlation)
        means = ((shared + own) * steps).cumsum(-1) / np.array(LOOKS) + LEVEL
        sign = -1.0 if METRICS[names[0]].higher_is_better else 1.0
        means[1, 0] += sign * shift * sees
        candidate = TableEvaluation(_looks(means[1], names))
        verdicts = judge(candidate, row_of(_looks(means[0], names)))
        first[verdicts[0].outcome] += 1
        green += not is_red(verdicts)
        furthest.append(candidate.furthest / LOOKS[-1])
    return first, green, float(np.median(furthest))


def _looks(means: Float, names: tuple[str, ...]) -> dict[int, dict[str, Score]]:
    """Return the looks of metrics [M, looks] whose errors fall with the square root of the count."""
    return {
        n: {name: Score(float(means[i, place]), 1.0 / math.sqrt(n)) for i, name in enumerate(names)}
        for place, n in enumerate(LOOKS)
    }


def main() -> None:
    print("| truth | metrics | gates | green | first metric | median share of images | promise |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    cases = (
        ("unchanged, independent metrics", 14, 0.0, 0.0, "red at most 0.2%"),
        ("unchanged, correlation 0.8", 14, 0.0, 0.8, "red at most 0.2%"),
        ("unchanged, one metric", 1, 0.0, 0.0, "red at most 0.2%"),
        ("worse by what a gate sees, one metric", 1, 1.0, 0.0, "green at most 2%"),
        ("worse by 0.9 of it, one metric", 1, 0.9, 0.0, ""),
        ("worse by 1.5 of it in one of 14", 14, 1.5, 0.0, "green at most 2%"),
        ("better by 2 of it, one metric", 1, -2.0, 0.0, "red at most 0.2%"),
    )
    for seed, (name, metrics, shift, correlation, promise) in enumerate(cases):
        first, green, share = simulate(GATES, metrics, shift, correlation, seed)
        shown = ", ".join(f"{outcome} {count}" for outcome, count in first.most_common())
        print(f"| {name} | {metrics} | {GATES:,} | {green:,} | {shown} | {share:.3f} | {promise} |", flush=True)


if __name__ == "__main__":
    main()
