"""Gates put together from measured sample groups, judged by the shipped defaults."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from pytest_medgan.gate.margins import auto_margin

from benchmarks.gate_trust.bank import Bank
from pytest_medgan.catalogue import METRICS, NAMES
from pytest_medgan.evaluate.combining import combine_groups
from pytest_medgan.gate.decision import DEFAULT, decide
from pytest_medgan.records import Evidence, Fingerprint, Limit, LimitValue, Margin, Outcome, Scores, Verdict

Group = tuple[str, int]  # a model and the number of one of its sample groups


@dataclass
class BankEvaluation:
    """Three sample groups as the gate sees a model; remembers how far it was asked to look."""

    bank: Bank
    groups: Sequence[Group]
    furthest: int = 0

    @property
    def counts(self) -> tuple[int, ...]:
        return self.bank.looks

    @property
    def fingerprint(self) -> Fingerprint:
        return Fingerprint({})

    def at(self, n: int) -> Scores:
        self.furthest = max(self.furthest, n)
        parts = [self.bank.estimates(model, group, n) for model, group in self.groups]
        scores = {
            name: combine_groups(
                METRICS[name],
                tuple(part[name].value for part in parts),
                tuple(part[name].se for part in parts),
                tuple(part[name].se_total for part in parts),
            )
            for name in NAMES
        }
        return Scores(len(self.bank.reference), n, tuple(str(i) for i in range(len(parts))), scores)

    def evidence(self) -> Evidence:
        return Evidence()


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


def baseline(bank: Bank, groups: Sequence[Group]) -> list[Limit]:
    """The row that these groups make, with `auto` margins."""
    looks = [BankEvaluation(bank, groups).at(n) for n in bank.looks]
    limits = []
    for name in NAMES:
        values = {
            look.n_fake: LimitValue(look[name].mean, look[name].se, look[name].sd, look[name].se_total, len(groups))
            for look in looks
        }
        margin = Margin("auto", auto_margin(METRICS[name], values, DEFAULT))
        limits.append(Limit(name, MappingProxyType(values), "bank", margin, row="model"))
    return limits


def run(bank: Bank, models: Sequence[str], gates: int, seed: int) -> Tally:
    """Gates whose candidate's three sample groups come from `models`, one each, disjoint from the baseline's."""
    rng = np.random.default_rng(seed)
    failed, furthest, by, fid_only, seen = 0, [], Counter[str](), 0, set()
    thresholds = {n: fid_threshold(bank, n) for n in bank.looks}
    for _ in range(gates):
        candidate, limits = _draw(bank, models, rng)
        evaluation = BankEvaluation(bank, candidate)
        verdicts = decide(evaluation, [(METRICS[limit.metric], limit) for limit in limits])
        reds = [verdict for verdict in verdicts if _turned_red(verdict)]
        failed += bool(reds)
        by.update(verdict.metric.name for verdict in reds)
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


def _draw(bank: Bank, models: Sequence[str], rng: np.random.Generator) -> tuple[list[Group], list[Limit]]:
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


def _turned_red(verdict: Verdict) -> bool:
    return not verdict.outcome.green and not (verdict.outcome is Outcome.UNDECIDED and "already" in verdict.reason)
