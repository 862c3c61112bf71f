"""A run as it is kept: a folder with `scores.json` (versioned, strict JSON) and `evidence.npz`.

Everything a report shows is derived from this folder, so that it can be drawn again elsewhere. The records here are
plain copies of what the gate and the metrics said; they hold no path of the machine and nothing about a patient.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from pytest_medgan.catalogue import METRICS, ordered
from pytest_medgan.errors import SettingsError
from pytest_medgan.ground.plain import from_plain, to_plain
from pytest_medgan.records import Evidence, Outcome, Scalar
from pytest_medgan.report.evidence import read_bundle, without_real, write_bundle
from pytest_medgan.report.privacy import scrub_plain

SCHEMA = "medgan-run"
SCHEMA_VERSION = 1
SCORES_FILE = "scores.json"
EVIDENCE_FILE = "evidence.npz"

# how bad an outcome is, worst first: what a run is called when its verdicts differ
SEVERITY = (
    Outcome.FAIL,
    Outcome.INCOMPARABLE,
    Outcome.MISSING,
    Outcome.UNDECIDED,
    Outcome.STALE,
    Outcome.PASS,
)


@dataclass(frozen=True)
class MetricFacts:
    """What a table needs to know of a metric; kept with the run because users add metrics of their own."""

    name: str
    label: str
    higher_is_better: bool
    decimals: int = 3

    @property
    def arrow(self) -> str:
        return "↑" if self.higher_is_better else "↓"

    def show(self, value: float | None) -> str:
        """A value with the metric's own number of decimals; a dash where there is none."""
        return "–" if value is None or not math.isfinite(value) else f"{value:.{self.decimals}f}"


@dataclass(frozen=True)
class Measured:
    """One metric at one look (records.MetricScore without its metric)."""

    values: tuple[float, ...]  # one a sample group
    mean: float
    sd: float  # ddof=1; nan for a single group
    se: float  # of the mean, reference held fixed
    se_total: float  # of the mean, both sides redrawn


@dataclass(frozen=True)
class LookRecord:
    """One look (records.Scores)."""

    n_real: int
    n_fake: int  # images a sample group
    metrics: Mapping[str, Measured]
    unmeasured: Mapping[str, str] = field(default_factory=dict)  # metric -> why


@dataclass(frozen=True)
class RowValue:
    """One value of a row at one count (records.LimitValue)."""

    value: float
    se: float = 0.0
    sd: float = 0.0
    se_total: float = 0.0
    groups: int = 1


@dataclass(frozen=True)
class RowRecord:
    """A row that stands beside the measured values: Real, baseline or published (records.Row)."""

    name: str
    kind: str  # "measured", "published" or "missing"
    origin: str  # file:line
    metrics: Mapping[str, Mapping[int, RowValue]]  # metric -> count -> value; count 0 holds at the full count
    provenance: Mapping[str, Scalar] = field(default_factory=dict)
    sweeps: Mapping[str, Mapping[int, tuple[float, ...]]] = field(default_factory=dict)  # metric -> k -> groups

    def at(self, metric: str, count: int, full: int) -> RowValue | None:
        """The value at a count, or None; a value filed under 0 stands for the full count."""
        values = self.metrics.get(metric, {})
        return values.get(count, values.get(0) if count == full else None)

    def largest(self, metric: str) -> RowValue | None:
        """The value at the row's own largest count, whatever that was."""
        values = self.metrics.get(metric, {})
        return values[max(values)] if values else None


@dataclass(frozen=True)
class VerdictRecord:
    """One comparison, field by field what `records.Verdict.as_dict` gives, and the test that asked for it."""

    metric: str
    label: str
    higher_is_better: bool
    outcome: str
    mean: float | None = None
    sd: float | None = None
    values: tuple[float, ...] | None = None
    se: float | None = None
    decimals: int = 3
    n_fake: int | None = None
    limit: float | None = None
    margin: float | None = None
    origin: str = ""
    row: str | None = None
    loss: float | None = None
    loss_se: float | None = None
    critical: float | None = None
    reason: str = ""
    needed_margin: float | None = None
    looks: tuple[int, ...] = ()
    real: float | None = None
    test: str = ""  # the test's name, without its folder's absolute path

    @property
    def green(self) -> bool:
        return self.outcome in (Outcome.PASS, Outcome.STALE)

    def left_open(self, full_count: int) -> bool:
        """Undecided while more images could have been drawn: something else had already failed."""
        return self.outcome == Outcome.UNDECIDED and self.n_fake is not None and self.n_fake < full_count

    @property
    def facts(self) -> MetricFacts:
        return MetricFacts(self.metric, self.label, self.higher_is_better, self.decimals)

    @property
    def errors_lost(self) -> float | None:
        """The loss in standard errors; negative is better. None where there is no loss or no error."""
        if self.loss is None or not self.loss_se or not math.isfinite(self.loss / self.loss_se):
            return None
        return self.loss / self.loss_se


@dataclass(frozen=True)
class HistoryPoint:
    """One accepted state of the baseline row, oldest first in a history."""

    label: str  # what the axis says: a date, a version or a commit
    metrics: Mapping[str, RowValue]
    reason: str = ""


@dataclass(frozen=True)
class ModelRecord:
    """One model of the session."""

    name: str
    catalogue: Mapping[str, MetricFacts]
    looks: tuple[LookRecord, ...] = ()  # ascending
    groups: tuple[str, ...] = ()  # the sample groups' seeds
    full_count: int = 0  # images a sample group at the last possible look
    images_used: int = 0  # generated in all, over the sample groups
    verdicts: tuple[VerdictRecord, ...] = ()
    real: RowRecord | None = None
    baseline: RowRecord | None = None
    published: RowRecord | None = None
    history: tuple[HistoryPoint, ...] = ()
    fingerprint: Mapping[str, Scalar] = field(default_factory=dict)
    environment: Mapping[str, Scalar] = field(default_factory=dict)
    checkpoint: str = ""  # the generator's digest; empty where it has none
    accept: str = ""  # the command that would make this run the baseline row, without the reason

    @property
    def last(self) -> LookRecord | None:
        """The largest look taken."""
        return self.looks[-1] if self.looks else None

    @property
    def unchanged(self) -> bool:
        """The baseline row was measured from this very model."""
        known = self.baseline.provenance.get("checkpoint") if self.baseline else None
        return bool(known) and known == self.checkpoint

    @property
    def metrics(self) -> tuple[str, ...]:
        """Every metric that was measured or judged, in the catalogue's order."""
        seen = {name for look in self.looks for name in (*look.metrics, *look.unmeasured)}
        return ordered(seen | {v.metric for v in self.verdicts})

    @property
    def outcome(self) -> Outcome | None:
        """The worst of its verdicts; None where nothing was judged."""
        return worst(tuple(v.outcome for v in self.verdicts))

    def facts(self, metric: str) -> MetricFacts:
        """Of the run's own catalogue; a curve may show a metric of ours that the run was not asked for."""
        if metric in self.catalogue or metric not in METRICS:
            return self.catalogue.get(metric, MetricFacts(metric, metric, True))
        known = METRICS[metric]
        return MetricFacts(known.name, known.label, known.higher_is_better, known.decimals)

    def verdict(self, metric: str) -> VerdictRecord | None:
        """The worst verdict on the metric; one left open before the full count yields to any that was decided."""
        mine = [v for v in self.verdicts if v.metric == metric]
        mine = [v for v in mine if not v.left_open(self.full_count)] or mine
        return min(mine, key=lambda v: _severity(v.outcome)) if mine else None


@dataclass(frozen=True)
class ReportRun:
    """One session."""

    models: tuple[ModelRecord, ...]
    facts: Mapping[str, Scalar] = field(default_factory=dict)  # header facts, as the terminal shows them
    warnings: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()  # what forbids green beside the verdicts, such as "no GPU test was run"
    report_only: bool = False  # verdicts are shown and nothing failed
    created: str | None = None  # ISO 8601
    schema: str = SCHEMA
    schema_version: int = SCHEMA_VERSION

    @property
    def outcome(self) -> Outcome | None:
        """The worst verdict of the session; FAIL where a problem stands, None where nothing was judged."""
        outcomes = tuple(str(m.outcome) for m in self.models if m.outcome is not None)
        return Outcome.FAIL if self.problems else worst(outcomes)


def worst(outcomes: tuple[str, ...]) -> Outcome | None:
    """The worst of outcomes, or None of none."""
    return SEVERITY[min(map(_severity, outcomes))] if outcomes else None


def _severity(outcome: str) -> int:
    """Place in SEVERITY; an outcome that this version does not know counts as the worst."""
    return SEVERITY.index(Outcome(outcome)) if outcome in Outcome.__members__ else 0


def to_dict(run: ReportRun) -> dict[str, object]:
    """The run as strict-JSON data, free of machine paths, DICOM tags and UIDs."""
    plain: dict[str, object] = scrub_plain(to_plain(run))
    return plain


def from_dict(data: Mapping[str, object]) -> ReportRun:
    """The run out of plain data; SettingsError where it is of another schema."""
    if data.get("schema") != SCHEMA:
        raise SettingsError(f"{SCORES_FILE} is not a record of a medgan run; name the folder that a run wrote")
    if data.get("schema_version") != SCHEMA_VERSION:
        raise SettingsError(
            f"{SCORES_FILE} has schema version {data.get('schema_version')} and this version reads {SCHEMA_VERSION}; "
            "render it with the version that wrote it"
        )
    return from_plain(ReportRun, data)


def write_run(
    directory: Path,
    run: ReportRun,
    evidence: Mapping[str, Evidence] = MappingProxyType({}),
    *,
    include_real: bool = False,
) -> Path:
    """Writes `scores.json` and `evidence.npz` and returns the folder, made where it was missing.

    `evidence` goes by model name. Without `include_real` pictures of real and training images are left out of the
    folder, whoever put them into the evidence: a run folder becomes a CI artifact.
    """
    directory.mkdir(parents=True, exist_ok=True)
    by_place = {
        place: evidence[model.name] if include_real else without_real(evidence[model.name])
        for place, model in enumerate(run.models)
        if model.name in evidence
    }
    write_bundle(directory / EVIDENCE_FILE, by_place)
    text = json.dumps(to_dict(run), indent=1, ensure_ascii=False, allow_nan=False)
    (directory / SCORES_FILE).write_text(text + "\n", encoding="utf-8")
    return directory


def read_run(directory: Path) -> tuple[ReportRun, dict[str, Evidence]]:
    """The run and its evidence by model name. Raises SettingsError where the folder holds no readable run."""
    file = directory / SCORES_FILE
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
    except OSError:
        raise SettingsError(
            f"the folder holds no readable {SCORES_FILE}; name a folder that a run with --medgan-report wrote",
            file=str(directory),
        ) from None
    except ValueError as error:
        raise SettingsError(f"{SCORES_FILE} is not JSON ({error}); run the tests again", file=str(file)) from None
    if not isinstance(data, dict):
        raise SettingsError(f"{SCORES_FILE} is not a record of a medgan run; name the folder that a run wrote")
    run = from_dict(data)
    bundle = read_bundle(directory / EVIDENCE_FILE)
    return run, {model.name: bundle[place] for place, model in enumerate(run.models) if place in bundle}
