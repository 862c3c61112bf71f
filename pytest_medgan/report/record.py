"""The record of a run: everything that a report shows, already computed.

The record holds no path of the machine and nothing about a patient. `report.folder` writes it as `scores.json`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from pytest_medgan.catalogue import METRICS, Metric, ordered
from pytest_medgan.records import Fingerprint, Outcome, Row, Scalar, Score, Scores, Verdict

SCHEMA = "medgan-run"
SCHEMA_VERSION = 2

# outcomes, the worst first: the outcome of a run is the worst of its verdicts
SEVERITY = ("FAIL", "INCOMPARABLE", "MISSING", "BLIND", "UNDECIDED", "STALE", "PASS")

Sweep = Mapping[str, Mapping[int, tuple[float, ...]]]  # metric -> k -> one value per sample group


@dataclass(frozen=True)
class Comparison:
    """A verdict and the test that asked for it."""

    verdict: Verdict
    test: str = ""  # node id of the test, relative to the root of the tests

    @property
    def metric(self) -> str:
        """Name of the metric."""
        return self.verdict.metric.name

    @property
    def outcome(self) -> Outcome:
        """How the comparison ended."""
        return self.verdict.outcome

    @property
    def errors_lost(self) -> float | None:
        """The loss in standard errors; negative is better. None where there is no loss or no error."""
        loss, error = self.verdict.loss, self.verdict.loss_se
        if loss is None or not error or not math.isfinite(loss / error):
            return None
        return loss / error

    def left_open(self, full_count: int) -> bool:
        """Whether it is undecided below the full count, because another metric had failed and drawing stopped."""
        n = self.verdict.n_fake
        return self.outcome == Outcome.UNDECIDED and n is not None and n < full_count


@dataclass(frozen=True)
class HistoryPoint:
    """One accepted state of a baseline row."""

    label: str  # a date, a version or a commit, as the axis shows it
    metrics: Mapping[str, Score]  # at the count of the run
    reason: str = ""  # why it was accepted


@dataclass(frozen=True)
class ModelRecord:
    """One model of a run."""

    name: str
    row: str = ""  # the baseline row it is compared with
    looks: tuple[Scores, ...] = ()  # ascending
    full_count: int = 0  # images per sample group at the last possible look
    comparisons: tuple[Comparison, ...] = ()
    real: Row | None = None  # held-out real images, measured like a model
    baseline: Row | None = None
    published: Row | None = None
    published_sweep: Sweep = field(default_factory=dict)
    history: tuple[HistoryPoint, ...] = ()  # oldest first
    fingerprint: Fingerprint | None = None
    window: tuple[float, ...] | None = None  # HU of grey 0 and 255; None where unknown
    checkpoint: str = ""  # the generator's digest; empty where it has none
    accept: str = ""  # command that makes this run the baseline row, without its reason; empty without a candidate

    @property
    def last(self) -> Scores | None:
        """The largest look taken."""
        return self.looks[-1] if self.looks else None

    @property
    def groups(self) -> tuple[str, ...]:
        """Seeds of the sample groups."""
        return self.looks[-1].groups if self.looks else ()

    @property
    def images_used(self) -> int:
        """Images generated over all sample groups."""
        return self.looks[-1].n_fake * len(self.groups) if self.looks else 0

    @property
    def is_the_accepted_model(self) -> bool:
        """Whether the baseline row was measured on this same model."""
        known = [run.checkpoint for run in self.baseline.runs] if self.baseline else []
        return bool(self.checkpoint) and self.checkpoint in known

    @property
    def metrics(self) -> tuple[str, ...]:
        """Every metric that was measured, judged or could not be measured, in the catalogue's order."""
        seen = {name for look in self.looks for name in (*look.metrics, *look.unmeasured)}
        return ordered(seen | {c.metric for c in self.comparisons})

    @property
    def outcome(self) -> Outcome | None:
        """The worst of the verdicts that are not forgiven; None where nothing was judged."""
        return worst(tuple(c.outcome for c in self.comparisons if not c.verdict.forgiven))

    def metric(self, name: str) -> Metric:
        """Return a metric as the run declares it, otherwise as the catalogue does."""
        for look in self.looks:
            if name in look.metrics:
                return look.metric(name)
        for comparison in self.comparisons:
            if comparison.metric == name:
                return comparison.verdict.metric
        return METRICS.get(name) or Metric(name, name, True, -math.inf, math.inf, "", False)

    def comparison(self, name: str) -> Comparison | None:
        """Return the worst comparison of a metric; those left open count only where none was decided."""
        every = [c for c in self.comparisons if c.metric == name]
        decided = [c for c in every if not c.left_open(self.full_count)]
        return min(decided or every, key=lambda c: SEVERITY.index(str(c.outcome)), default=None)


@dataclass(frozen=True)
class ReportRun:
    """One run of the tests, or of `medgan evaluate`."""

    models: tuple[ModelRecord, ...]
    facts: Mapping[str, Scalar] = field(default_factory=dict)  # shown as settings
    warnings: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()  # they make the run FAIL whatever the verdicts, such as "no GPU test was run"
    report_only: bool = False  # verdicts are shown and no test failed
    created: str | None = None  # ISO 8601
    schema: str = SCHEMA
    schema_version: int = SCHEMA_VERSION

    @property
    def outcome(self) -> Outcome | None:
        """The worst verdict of the run; FAIL where there is a problem, None where nothing was judged."""
        outcomes = tuple(m.outcome for m in self.models if m.outcome is not None)
        return Outcome.FAIL if self.problems else worst(outcomes)


def worst(outcomes: tuple[Outcome, ...]) -> Outcome | None:
    """Return the worst of some outcomes; None where there is none."""
    return min(outcomes, key=lambda outcome: SEVERITY.index(str(outcome)), default=None)


def row_value(row: Row | None, metric: str, count: int, full_count: int) -> Score | None:
    """Return a row's value of a metric at a count, or None; a value at count 0 is one at the full count."""
    if row is None or metric not in row.entries:
        return None
    values = row.entries[metric].at
    return values.get(count, values.get(0) if count == full_count else None)


def largest_value(row: Row | None, metric: str) -> tuple[int, Score] | None:
    """Return a row's largest count of a metric and its value, or None."""
    if row is None or metric not in row.entries or not row.entries[metric].at:
        return None
    values = row.entries[metric].at
    return max(values), values[max(values)]
