"""Gates put together from measured sample groups, judged by the shipped defaults."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from benchmarks.gate_trust.evaluations import TableEvaluation, judge, reds, row_of
from pytest_medgan.evaluate.combining import combine_groups
from pytest_medgan.records import Estimate, Row, Score

Group = tuple[str, int]  # a model and the number of one of its sample groups


class Bank(Protocol):
    """Measured sample groups by model and number."""

    full: int  # images of a sample group
    looks: tuple[int, ...]
    names: tuple[str, ...]  # of the metrics

    def size(self, model: str) -> int:
        """Return how many sample groups of a model there are."""
        ...

    def sources(self, model: str, group: int) -> set[int]:
        """Return the groups of the unchanged model that a group was made from, which no baseline beside it may hold."""
        ...

    def estimates(self, model: str, group: int, n: int) -> dict[str, Estimate]:
        """Return every metric of a group's first n images."""
        ...


class BankLooks(Mapping[int, Mapping[str, Score]]):
    """The looks of sample groups, measured when a gate first asks for them."""

    def __init__(self, bank: Bank, groups: Sequence[Group]) -> None:
        self.bank, self.groups = bank, groups

    def __getitem__(self, n: int) -> Mapping[str, Score]:
        parts = [self.bank.estimates(model, group, n) for model, group in self.groups]
        return {name: combine_groups([part[name] for part in parts]) for name in self.bank.names}

    def __iter__(self) -> Iterator[int]:
        return iter(self.bank.looks)

    def __len__(self) -> int:
        return len(self.bank.looks)


@dataclass(frozen=True)
class Tally:
    """What became of many gates of one model."""

    gates: int
    failed: int
    median_share: float  # of a full run's images that the median gate looked at
    by: Mapping[str, int]  # metric -> gates that it turned red
    fid_only: (
        float  # share of gates that a fixed FID threshold at mean + 3 sd catches, at as many images as the gate took
    )
    candidates: int  # distinct candidates among them


def baseline(bank: Bank, groups: Sequence[Group]) -> Row:
    """Return the row that these groups make, with `auto` margins."""
    return row_of(dict(BankLooks(bank, groups)))


def run(bank: Bank, models: Sequence[str], gates: int, seed: int) -> Tally:
    """Gates whose candidate's three sample groups come from `models`, one each, disjoint from the baseline's."""
    rng = np.random.default_rng(seed)
    failed, furthest, by, fid_only, seen = 0, [], Counter[str](), 0, set()
    thresholds = {n: fid_threshold(bank, n) for n in bank.looks}
    for _ in range(gates):
        candidate, row = _draw(bank, models, rng)
        evaluation = TableEvaluation(BankLooks(bank, candidate))
        found = reds(judge(evaluation, row))
        failed += bool(found)
        by.update(found)
        furthest.append(evaluation.furthest / bank.full)
        seen.add(tuple(sorted(candidate)))
        fid_only += _fid(bank, candidate, evaluation.furthest) > thresholds[evaluation.furthest]
    share = float(np.median(furthest))
    return Tally(gates, failed, share, dict(by.most_common()), fid_only / gates, len(seen))


def fid_threshold(bank: Bank, n: int) -> float:
    """What people do today: mean + 3 sd of the FID of the unchanged model's single sample groups of n images."""
    values = [bank.estimates("model", group, n)["fid"].value for group in range(bank.size("model"))]
    return float(np.mean(values) + 3 * np.std(values, ddof=1))


def _fid(bank: Bank, groups: Sequence[Group], n: int) -> float:
    """Of the candidate's first sample group."""
    model, group = groups[0]
    return bank.estimates(model, group, n)["fid"].value


def _draw(bank: Bank, models: Sequence[str], rng: np.random.Generator) -> tuple[list[Group], Row]:
    used: set[int] = set()
    candidate: list[Group] = []
    for model in models:
        free = [g for g in range(bank.size(model)) if (model, g) not in candidate and not bank.sources(model, g) & used]
        group = int(rng.choice(free))
        candidate.append((model, group))
        used |= bank.sources(model, group)
    free = [g for g in range(bank.size("model")) if g not in used]
    chosen = rng.choice(free, 3, replace=False)
    return candidate, baseline(bank, [("model", int(g)) for g in chosen])
