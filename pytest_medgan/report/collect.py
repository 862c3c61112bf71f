"""From what the gate and the metrics hand over to the records of a run.

`model_record` builds one model's part. Where the parts come from several processes or calls they cross as plain data
(`model_to_dict`, `model_from_dict`) and `merged` puts the pieces of one model together.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from pytest_medgan.catalogue import METRICS
from pytest_medgan.ground.plain import from_plain, to_plain
from pytest_medgan.records import Fingerprint, Limit, MetricScore, Row, Scores
from pytest_medgan.report.run import (
    HistoryPoint,
    LookRecord,
    Measured,
    MetricFacts,
    ModelRecord,
    RowRecord,
    RowValue,
    VerdictRecord,
)

Sweeps = Mapping[str, Mapping[int, tuple[float, ...]]]  # metric -> k -> one value a sample group
NOTHING: Sweeps = MappingProxyType({})


def model_record(
    name: str,
    looks: Iterable[Scores],
    *,
    full_count: int,
    verdicts: Iterable[Mapping[str, Any]] = (),
    real: Row | Iterable[Scores] | None = None,
    baseline: Row | None = None,
    published: Row | None = None,
    fingerprint: Fingerprint | None = None,
    history: Iterable[HistoryPoint] = (),
    baseline_sweeps: Sweeps = NOTHING,
    published_sweeps: Sweeps = NOTHING,
    checkpoint: str = "",
    accept: str = "",
) -> ModelRecord:
    """One model's part of a run.

    `looks` are the looks taken, in any order; `full_count` is the last possible look, images a sample group;
    `verdicts` are dictionaries as `Verdict.as_dict` makes them, which may have a `nodeid`, the test that asked; `real`
    is the Real row, or the scores of the held-out images at every count; `history` is oldest first; sweeps go by
    metric, then by k, one value a sample group; `checkpoint` is the generator's digest; `accept` is the
    command that would make this run the baseline row, without its reason.
    """
    taken = sorted(looks, key=lambda scores: scores.n_fake)
    records = tuple(_look(scores) for scores in taken)
    judged = tuple(verdict_record(v) for v in verdicts)
    scored = [score for scores in taken for score in scores.metrics.values()]
    catalogue = {score.metric.name: _facts(score) for score in scored} | {v.metric: v.facts for v in judged}
    for unmeasured in (name for look in records for name in look.unmeasured):
        if unmeasured in METRICS and unmeasured not in catalogue:
            known = METRICS[unmeasured]
            catalogue[unmeasured] = MetricFacts(known.name, known.label, known.higher_is_better, known.decimals)
    groups = taken[-1].groups if taken else ()
    return ModelRecord(
        name=name,
        catalogue=MappingProxyType(catalogue),
        looks=records,
        groups=groups,
        full_count=full_count,
        images_used=taken[-1].n_fake * len(groups) if taken else 0,
        verdicts=judged,
        real=row_record(real) if isinstance(real, Row) or real is None else _real_record(real),
        baseline=row_record(baseline, baseline_sweeps),
        published=row_record(published, published_sweeps),
        history=tuple(history),
        checkpoint=checkpoint,
        accept=accept,
        fingerprint=MappingProxyType(dict(fingerprint.inputs)) if fingerprint else {},
        environment=MappingProxyType(dict(fingerprint.environment)) if fingerprint else {},
    )


def verdict_record(data: Mapping[str, Any]) -> VerdictRecord:
    """A verdict out of `Verdict.as_dict()`. Numbers that are not finite become absent, since they decide nothing."""
    plain = {key: None if isinstance(v, float) and not math.isfinite(v) else v for key, v in data.items()}
    return replace(from_plain(VerdictRecord, plain, "verdict"), test=str(data.get("nodeid", data.get("test", ""))))


def row_record(row: Row | None, sweeps: Sweeps = NOTHING) -> RowRecord | None:
    """A row with its values at every count; None of None."""
    if row is None:
        return None
    return RowRecord(
        name=row.name,
        kind=row.kind,
        origin=row.origin,
        metrics=MappingProxyType({metric: _row_values(limit) for metric, limit in row.limits.items()}),
        provenance=MappingProxyType(dict(row.provenance)),
        sweeps=MappingProxyType({metric: MappingProxyType(dict(by_k)) for metric, by_k in sweeps.items()}),
    )


def history_of(rows: Iterable[tuple[str, Row]], count: int | None = None) -> tuple[HistoryPoint, ...]:
    """Accepted states of one baseline row, oldest first, each with its label (a date or a commit).

    Each metric stands with its value at `count` images a sample group, the count of the run it is drawn beside, since
    FID and recall depend on it; without one, at the row's largest. Rows and metrics that have none are passed over.
    """
    points = []
    for label, row in rows:
        at = {m: max(limit.values, default=0) if count is None else count for m, limit in row.limits.items()}
        metrics = {m: limit.values[at[m]] for m, limit in row.limits.items() if at[m] in limit.values}
        if metrics:
            kept = {m: RowValue(v.value, v.se, v.sd, v.se_total, v.groups) for m, v in metrics.items()}
            reason = str(row.provenance.get("reason", ""))
            points.append(HistoryPoint(label, MappingProxyType(kept), reason))
    return tuple(points)


def model_to_dict(model: ModelRecord) -> dict[str, Any]:
    """Plain data that JSON and another process can carry."""
    plain: dict[str, Any] = to_plain(model)
    return plain


def model_from_dict(data: Mapping[str, Any]) -> ModelRecord:
    """What `model_to_dict` made; SettingsError names the key that does not fit."""
    return from_plain(ModelRecord, data, "model")


def merged(records: Iterable[ModelRecord]) -> tuple[ModelRecord, ...]:
    """One record a model, in order of first appearance: looks and verdicts of all its tests together.

    Records of one name but different fingerprints (a test changed the settings by a marker) stay apart, the later ones
    numbered, since their scores must not stand in one table.
    """
    kept: list[ModelRecord] = []
    for record in records:
        place = next((i for i, k in enumerate(kept) if _base_name(k, record) and _agree(k, record)), None)
        if place is not None:
            kept[place] = _joined(kept[place], record)
        else:
            twins = sum(_base_name(k, record) for k in kept)
            kept.append(replace(record, name=f"{record.name} ({twins + 1})") if twins else record)
    return tuple(kept)


def _base_name(kept: ModelRecord, record: ModelRecord) -> bool:
    return kept.name == record.name or kept.name.rsplit(" (", 1)[0] == record.name


def _agree(one: ModelRecord, other: ModelRecord) -> bool:
    """Nothing that both know of their settings differs."""
    return not one.fingerprint or not other.fingerprint or one.fingerprint == other.fingerprint


def _joined(one: ModelRecord, other: ModelRecord) -> ModelRecord:
    looks = {look.n_fake: look for look in one.looks}
    for look in other.looks:
        have = looks.get(look.n_fake)
        looks[look.n_fake] = look if have is None else replace(have, metrics={**have.metrics, **look.metrics})
    verdicts = (*one.verdicts, *(v for v in other.verdicts if v not in one.verdicts))
    return replace(
        one,
        catalogue=MappingProxyType({**one.catalogue, **other.catalogue}),
        looks=tuple(looks[n] for n in sorted(looks)),
        groups=one.groups or other.groups,
        full_count=max(one.full_count, other.full_count),
        images_used=max(one.images_used, other.images_used),
        verdicts=verdicts,
        real=one.real or other.real,
        baseline=one.baseline or other.baseline,
        published=one.published or other.published,
        history=one.history or other.history,
        fingerprint=one.fingerprint or other.fingerprint,
        environment=one.environment or other.environment,
        checkpoint=one.checkpoint or other.checkpoint,
        accept=one.accept or other.accept,
    )


def _real_record(looks: Iterable[Scores]) -> RowRecord:
    """The held-out images' scores as a row."""
    metrics: dict[str, dict[int, RowValue]] = {}
    for scores in looks:
        for name, score in scores.metrics.items():
            sd = score.sd if math.isfinite(score.sd) else 0.0
            value = RowValue(score.mean, score.se, sd, score.se_total, len(score.values))
            metrics.setdefault(name, {})[scores.n_fake] = value
    return RowRecord("Real", "measured", "this session", MappingProxyType(metrics))


def _look(scores: Scores) -> LookRecord:
    return LookRecord(
        scores.n_real,
        scores.n_fake,
        MappingProxyType({name: _measured(score) for name, score in scores.metrics.items()}),
        MappingProxyType(dict(scores.unmeasured)),
    )


def _measured(score: MetricScore) -> Measured:
    return Measured(tuple(map(float, score.values)), score.mean, score.sd, score.se, score.se_total)


def _facts(score: MetricScore) -> MetricFacts:
    m = score.metric
    return MetricFacts(m.name, m.label, m.higher_is_better, m.decimals)


def _row_values(limit: Limit) -> Mapping[int, RowValue]:
    return MappingProxyType(
        {n: RowValue(v.value, v.se, v.sd, v.se_total, v.groups) for n, v in sorted(limit.values.items())}
    )
