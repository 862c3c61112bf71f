"""Scores and evaluations made by hand."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

import pytest

from pytest_medgan.catalogue import METRICS
from pytest_medgan.gate.candidate import write_candidate
from pytest_medgan.records import (
    Evidence,
    Fingerprint,
    Limit,
    LimitValue,
    Margin,
    MetricScore,
    Scores,
)

COUNTS = (128, 256, 512, 1024)
FINGERPRINT = Fingerprint({"crop": "image", "size": 128}, tuple(i / 16 for i in range(128)), 1e-3, {"torch": "2.15"})


def make_score(name: str, mean: float, se: float = 0.01, *, sd: float = 0.02, groups: int = 3) -> MetricScore:
    step = sd if groups == 3 else 0.0
    values = tuple(mean + step * (i - (groups - 1) / 2) for i in range(groups))
    return MetricScore(METRICS[name], values, mean, sd if groups > 1 else math.nan, se, 1.3 * se)


@dataclass
class FakeEvaluation:
    """An evaluation that remembers which looks were asked for."""

    table: Mapping[int, Mapping[str, MetricScore]]
    fingerprint: Fingerprint = FINGERPRINT
    unmeasured: Mapping[str, str] = field(default_factory=dict)
    asked: list[int] = field(default_factory=list)

    @property
    def counts(self) -> tuple[int, ...]:
        return tuple(sorted(self.table))

    def at(self, n: int) -> Scores:
        self.asked.append(n)
        return Scores(1000, n, ("0", "1", "2"), self.table[n], self.unmeasured)

    def evidence(self) -> Evidence:
        return Evidence()


@pytest.fixture(autouse=True)
def _not_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.delenv("BUILD_NUMBER", raising=False)


@pytest.fixture
def score() -> Callable[..., MetricScore]:
    return make_score


@pytest.fixture
def evaluation() -> Callable[..., FakeEvaluation]:
    """evaluation(fid=20, kid=0.1, se=.5): the same mean at every look, errors falling as 1/sqrt(n)."""

    def make(
        se: float = 0.01,
        fingerprint: Fingerprint = FINGERPRINT,
        unmeasured: Mapping[str, str] | None = None,
        **means: float,
    ) -> FakeEvaluation:
        table = {
            n: {name: make_score(name, mean, se * math.sqrt(COUNTS[-1] / n)) for name, mean in means.items()}
            for n in COUNTS
        }
        return FakeEvaluation(table, fingerprint, unmeasured or {})

    return make


@pytest.fixture
def limit() -> Callable[..., Limit]:
    """limit("fid", 20, margin=Margin(...)): a baseline's entry with a value at every look."""

    def make(
        name: str,
        value: float,
        *,
        se: float = 0.01,
        margin: Margin | None = None,
        real: float | None = None,
        kind: str = "measured",
    ) -> Limit:
        values = {n: LimitValue(value, se * math.sqrt(COUNTS[-1] / n), 0.02, 1.3 * se, 3) for n in COUNTS}
        reals = None if real is None else {n: LimitValue(real) for n in COUNTS}
        return Limit(name, MappingProxyType(values), "base.yaml:31", margin, reals, FINGERPRINT, kind=kind, row="model")

    return make


@pytest.fixture
def candidate(tmp_path: Path, evaluation: Callable[..., FakeEvaluation]) -> Callable[..., Path]:
    """Writes a candidate and gives its path."""

    def make(
        name: str = "candidate.yaml",
        *,
        row: str = "model",
        complete: bool = True,
        fingerprint: Fingerprint = FINGERPRINT,
        dirty: bool = False,
        fid: float = 20.0,
        real: bool = True,
        baseline: str = "base.yaml",
    ) -> Path:
        ours, theirs = evaluation(fid=fid, improved_recall=0.8, se=0.05), evaluation(fid=2.0, improved_recall=0.97)
        write_candidate(
            tmp_path / name,
            row=row,
            scores={n: ours.at(n) for n in ours.counts},
            fingerprint=fingerprint,
            complete=complete,
            real={n: theirs.at(n) for n in theirs.counts} if real else None,
            provenance={"commit": "1234567", "dirty": dirty},
            baseline=baseline,
        )
        return tmp_path / name

    return make
