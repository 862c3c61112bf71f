"""Evaluations and rows made of measured numbers, as the gate sees them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pytest_medgan.catalogue import METRICS, NAMES
from pytest_medgan.gate.decision import decide
from pytest_medgan.gate.seal import sealed
from pytest_medgan.records import (
    Change,
    Count,
    Entry,
    Evidence,
    Fingerprint,
    Margin,
    Outcome,
    Paired,
    Row,
    Score,
    Scores,
    TrainingRun,
    Verdict,
    VerdictCause,
    mean_of_runs,
)

Float = npt.NDArray[np.float64]
Looks = Mapping[int, Mapping[str, Score]]  # images per sample group -> metric -> score
# anomaly_rate needs heads of the product's feature spaces, memorised_rate training patients, implausible_rate HU
MEASURED = tuple(name for name in NAMES if name not in ("anomaly_rate", "memorised_rate", "implausible_rate"))
FINGERPRINT = Fingerprint({"numeric_class": "float32"}, (1.0,))


@dataclass
class TableEvaluation:
    """A candidate whose looks are written down; remembers how far it was asked to look."""

    looks: Looks
    runs: tuple[str, ...] = ()  # names of several training runs
    change: Change | None = Change.RECIPE
    identity: str | None = "candidate"
    fingerprint: Fingerprint = FINGERPRINT
    furthest: int = 0

    @property
    def counts(self) -> tuple[int, ...]:
        return tuple(sorted(self.looks))

    def at(self, n: int) -> Scores:
        self.furthest = max(self.furthest, n)
        return Scores(1000, n, ("0", "1", "2"), self.looks[n], runs=self.runs)

    def paired(self, n: int) -> Paired | None:
        return None

    def evidence(self) -> Evidence:
        return Evidence()


def score_of(values: Sequence[float], errors: Sequence[float], freedom: float = math.inf) -> Score:
    """Return a score of sample groups that are independent given the reference."""
    k = len(values)
    se = math.sqrt(math.fsum(error * error for error in errors)) / k
    sd = float(np.std(values, ddof=1)) if k > 1 else math.nan
    return Score(float(np.mean(values)), se, sd, se, k, tuple(map(float, values)), freedom * k)


def joined(runs: Sequence[Looks]) -> Looks:
    """Return the looks of several training runs together."""
    first = runs[0]
    return {n: {name: mean_of_runs([run[n][name] for run in runs]) for name in first[n]} for n in first}


def row_of(looks: Looks, runs: Sequence[str] = ("accepted",), **facts: int) -> Row:
    """Return the sealed row that these looks make, with margins `auto`."""
    names = list(next(iter(looks.values())))
    entries = {
        name: Entry({n: scores[name] for n, scores in looks.items()}, Margin(), revision=str(METRICS[name].revision))
        for name in names
    }
    row = Row(
        "model",
        entries,
        "row.yaml:1",
        fingerprint=FINGERPRINT,
        runs=tuple(TrainingRun(run) for run in runs),
        family=max(len(names), len(METRICS)),
        counts={n: Count(1000, 3) for n in looks},
        **facts,
    )
    return sealed(row)


def judge(candidate: TableEvaluation, row: Row) -> tuple[Verdict, ...]:
    """Judge every metric of the row with the shipped defaults."""
    return decide(candidate, [(METRICS[name], row[name]) for name in row.entries])


def is_red(verdicts: Iterable[Verdict]) -> bool:
    """Whether a metric failed or stayed undecided; blind metrics are told, and fail no gate that still sees."""
    return any(not verdict.outcome.green and verdict.outcome is not Outcome.BLIND for verdict in verdicts)


def asks_for_more_runs(verdicts: Iterable[Verdict]) -> bool:
    """Whether a single training run is suspicious and nothing failed for certain."""
    verdicts = tuple(verdicts)
    failed = any(verdict.outcome is Outcome.FAIL for verdict in verdicts)
    return not failed and any(verdict.cause is VerdictCause.MORE_RUNS for verdict in verdicts)


def reds(verdicts: Iterable[Verdict]) -> tuple[str, ...]:
    """Return the metrics that turned a gate red, not those that were left open by them."""
    return tuple(
        verdict.metric.name for verdict in verdicts if is_red([verdict]) and verdict.cause is not VerdictCause.STOPPED
    )
