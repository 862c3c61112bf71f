"""The decision alone on Gaussian metrics whose truth is known: 10,000 gates, nested looks, `auto` margins.

python -m benchmarks.gate_trust.gaussians
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from types import MappingProxyType

import numpy as np
from pytest_medgan.gate.margins import auto_margin

from pytest_medgan.catalogue import METRICS, NAMES
from pytest_medgan.gate.decision import decide
from pytest_medgan.records import Evidence, Fingerprint, Limit, LimitValue, Margin, MetricScore, Outcome, Scores

GATES = 10_000
LOOKS = (512, 1024, 2048, 4096)


class Table:
    """An evaluation whose looks are written down."""

    def __init__(self, looks: dict[int, Scores]) -> None:
        self.looks, self.furthest = looks, 0

    @property
    def counts(self) -> tuple[int, ...]:
        return tuple(self.looks)

    @property
    def fingerprint(self) -> Fingerprint:
        return Fingerprint({})

    def at(self, n: int) -> Scores:
        self.furthest = n
        return self.looks[n]

    def evidence(self) -> Evidence:
        return Evidence()


def simulate(
    gates: int, metrics: int, shift: float, correlation: float, seed: int
) -> tuple[Counter[Outcome], int, float]:
    """Gates whose first metric is worse by `shift` margins: its outcomes, green gates, median share of the images."""
    rng = np.random.default_rng(seed)
    steps = np.sqrt(np.diff((0, *LOOKS)))
    errors = 1 / np.sqrt(LOOKS)
    first, green, furthest = Counter[Outcome](), 0, []
    for _ in range(gates):
        shared = rng.standard_normal((2, 1, len(LOOKS))) * math.sqrt(correlation)
        own = rng.standard_normal((2, metrics, len(LOOKS))) * math.sqrt(1 - correlation)
        means = ((shared + own) * steps).cumsum(-1) / np.array(LOOKS)
        limits, rows = [], {n: {} for n in LOOKS}
        for i, name in enumerate(NAMES[:metrics]):
            metric = replace(METRICS[name], higher_is_better=False, low=-math.inf, high=math.inf)
            values = {n: LimitValue(means[0, i, j], errors[j]) for j, n in enumerate(LOOKS)}
            margin = auto_margin(metric, values)
            limits.append((metric, Limit(name, MappingProxyType(values), "here", Margin("auto", margin))))
            for j, n in enumerate(LOOKS):
                mean = means[1, i, j] + (shift * margin if i == 0 else 0.0)
                rows[n][name] = MetricScore(metric, (mean,), mean, math.nan, errors[j], errors[j])
        table = Table({n: Scores(1000, n, ("0",), row) for n, row in rows.items()})
        verdicts = decide(table, limits)
        first[verdicts[0].outcome] += 1
        green += all(verdict.outcome.green for verdict in verdicts)
        furthest.append(table.furthest / LOOKS[-1])
    return first, green, float(np.median(furthest))


def main() -> None:
    print("| truth | metrics | gates | green | first metric | median share of images | promise |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    cases = (
        ("unchanged, independent metrics", 14, 0.0, 0.0, "red at most 0.2%"),
        ("unchanged, correlation 0.8", 14, 0.0, 0.8, "red at most 0.2%"),
        ("unchanged, one metric", 1, 0.0, 0.0, "red at most 0.2%"),
        ("worse by the margin, one metric", 1, 1.0, 0.0, "green at most 1%, FAIL at most 0.014%"),
        ("worse by 0.9 margins, one metric", 1, 0.9, 0.0, ""),
        ("worse by 1.5 margins in one of 14", 14, 1.5, 0.0, "green at most 1%"),
        ("better by 2 margins, one metric", 1, -2.0, 0.0, "red at most 0.2%"),
    )
    for seed, (name, metrics, shift, correlation, promise) in enumerate(cases):
        first, green, share = simulate(GATES, metrics, shift, correlation, seed)
        shown = ", ".join(f"{outcome} {count}" for outcome, count in first.most_common())
        print(f"| {name} | {metrics} | {GATES:,} | {green:,} | {shown} | {share:.3f} | {promise} |", flush=True)


if __name__ == "__main__":
    main()
