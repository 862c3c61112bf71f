"""Scores, rows, evaluations and candidates made by hand."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

import pytest

from pytest_medgan.catalogue import METRICS
from pytest_medgan.gate.candidate import write_candidate
from pytest_medgan.gate.seal import sealed
from pytest_medgan.records import (
    Change,
    Count,
    Entry,
    Evidence,
    Fingerprint,
    Limit,
    Margin,
    Paired,
    Row,
    Score,
    Scores,
    TrainingRun,
    mean_of_runs,
)

COUNTS = (128, 256, 512, 1024)
FINGERPRINT = Fingerprint(
    {"crop": "image", "numeric_class": "float32", "seeds": "0,1,2", "size": 128},
    tuple(i / 16 for i in range(128)),
    {"torch": "2.15"},
)

# a file of format 1, which has no seals, with remarks
OLD_BASELINE = """\
# the first of all
format: 1
kind: measured
name: phantom
fingerprint:
  inputs:
    crop: image
  canary_tolerance: 10.0
  canary:
    - [0.5, -1.25]
rows:
  dcgan:  # ours
    provenance:
      accepted: "2026-11-23"
      checkpoint: "a1"
      commit: "1234567"
      torch: "2.15"
    counts:
      512: {n_real: 800, groups: 3}
    metrics:
      fid:
        margin: {kind: auto, amount: 0.95}
        at:
          512: {value: 120.75, sd: 0.722, se: 0.4, se_total: 0.8}
"""


def make_score(value: float, se: float = 0.01, *, sd: float = 0.02, groups: int = 3) -> Score:
    """Return a score of one training run whose sample groups lie around its value."""
    step = sd if groups == 3 else 0.0
    values = tuple(value + step * (i - (groups - 1) / 2) for i in range(groups))
    return Score(value, se, sd if groups > 1 else math.nan, 1.3 * se, groups, values if groups > 1 else ())


def make_looks(value: float | tuple[float, ...], se: float) -> dict[int, Score]:
    """Return a score at every look, errors falling as 1/sqrt(n); several values are training runs."""
    runs = value if isinstance(value, tuple) else (value,)
    return {n: mean_of_runs([make_score(run, se * math.sqrt(COUNTS[-1] / n)) for run in runs]) for n in COUNTS}


def revision_of(metric: str) -> str:
    """Return the revision of a metric as a row keeps it; the project's own metrics have the first one."""
    return str(METRICS[metric].revision if metric in METRICS else 1)


def make_row(
    se: float = 0.01,
    margin: Margin | None = None,
    runs: tuple[str, ...] = ("accepted",),
    **values: float | tuple[float, ...],
) -> Row:
    """Return a sealed row named "model"; metrics with several values have as many training runs."""
    count = max((len(value) for value in values.values() if isinstance(value, tuple)), default=1)
    names = runs if len(runs) == count else tuple(f"run {i}" for i in range(count))
    entries = {
        name: Entry(MappingProxyType(make_looks(value, se)), margin or Margin(), revision=revision_of(name), line=31)
        for name, value in values.items()
    }
    row = Row(
        "model",
        MappingProxyType(entries),
        "base.yaml:12",
        fingerprint=FINGERPRINT,
        runs=tuple(TrainingRun(name) for name in names),
        family=14,
        counts={n: Count(1000, 3) for n in COUNTS},
    )
    return sealed(row)


@dataclass
class FakeEvaluation:
    """An evaluation that remembers which looks were asked for."""

    table: Mapping[int, Mapping[str, Score]]
    fingerprint: Fingerprint = FINGERPRINT
    unmeasured: Mapping[str, str] = field(default_factory=dict)
    identity: str | None = "candidate"
    change: Change | None = None
    runs: tuple[str, ...] = ()
    pairs: Callable[[int], Paired | None] = lambda n: None
    asked: list[int] = field(default_factory=list)

    @property
    def counts(self) -> tuple[int, ...]:
        return tuple(sorted(self.table))

    def at(self, n: int) -> Scores:
        self.asked.append(n)
        return Scores(1000, n, ("0", "1", "2"), self.table[n], self.unmeasured, runs=self.runs)

    def paired(self, n: int) -> Paired | None:
        return self.pairs(n)

    def evidence(self) -> Evidence:
        return Evidence()


def make_evaluation(se: float = 0.01, **values: float | tuple[float, ...]) -> FakeEvaluation:
    """Return an evaluation with the same value at every look; several values are training runs."""
    looks = {name: make_looks(value, se) for name, value in values.items()}
    count = max((len(value) for value in values.values() if isinstance(value, tuple)), default=1)
    runs = tuple(f"candidate {i}" for i in range(count)) if count > 1 else ()
    return FakeEvaluation({n: {name: at[n] for name, at in looks.items()} for n in COUNTS}, runs=runs)


@pytest.fixture(autouse=True)
def _not_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.delenv("BUILD_NUMBER", raising=False)


@pytest.fixture
def evaluation() -> Callable[..., FakeEvaluation]:
    """Return the maker of evaluations: evaluation(fid=20, kid=0.1, se=0.5)."""
    return make_evaluation


@pytest.fixture
def row() -> Callable[..., Row]:
    """Return the maker of rows: row(fid=20, se=0.5), row(fid=(20, 21, 22))."""
    return make_row


@pytest.fixture
def limit() -> Callable[..., Limit]:
    """Return the maker of a row's limit: limit("fid", 20, margin=Margin(...))."""

    def make(name: str, value: float, *, se: float = 0.01, margin: Margin | None = None) -> Limit:
        return make_row(se, margin, **{name: value})[name]

    return make


@pytest.fixture
def candidate(tmp_path: Path) -> Callable[..., Path]:
    """Return the writer of candidates, which gives their path."""

    def make(
        name: str = "candidate.yaml",
        *,
        row: str = "model",
        complete: bool = True,
        fingerprint: Fingerprint = FINGERPRINT,
        dirty: bool = False,
        fid: float | None = 20.0,
        recall: float | None = 0.8,
        se: float = 0.05,
        checkpoint: str | None = None,
        recipe: str | None = None,
        real: bool = True,
        real_fid: float = 2.0,
        baseline: str = "base.yaml",
    ) -> Path:
        values = {"fid": fid, "improved_recall": recall}
        ours = make_evaluation(se, **{metric: value for metric, value in values.items() if value is not None})
        theirs = make_evaluation(fid=real_fid, improved_recall=0.97)
        write_candidate(
            tmp_path / name,
            row=row,
            scores={n: ours.at(n) for n in ours.counts},
            fingerprint=fingerprint,
            complete=complete,
            runs=(TrainingRun(checkpoint or name, recipe, {"commit": "1234567", "dirty": dirty}),),
            real={n: theirs.at(n) for n in theirs.counts} if real else None,
            provenance={"medgan": "0.1"},
            baseline=baseline,
        )
        return tmp_path / name

    return make
