"""What every run leaves behind: a candidate, which is a baseline file that nobody has accepted yet."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from pytest_medgan.catalogue import METRICS, ordered
from pytest_medgan.gate import canonical
from pytest_medgan.gate.document import REAL, Document
from pytest_medgan.ground.files import write_text
from pytest_medgan.records import Count, Entry, Fingerprint, Row, Scalar, Score, Scores, TrainingRun


def write_candidate(
    path: Path,
    *,
    row: str,
    scores: Mapping[int, Scores],
    fingerprint: Fingerprint,
    complete: bool,
    runs: Sequence[TrainingRun] = (),
    real: Mapping[int, Scores] | None = None,
    provenance: Mapping[str, Scalar] | None = None,
    baseline: str = "",
    name: str = "",
) -> None:
    """Write what was measured as a candidate.

    Args:
        path: The file, whose folder is made; replaced in one step.
        row: The row it is meant for, unless `accept` is told another.
        scores: What was measured, by images per sample group.
        fingerprint: Of the evaluation; its environment joins the row's provenance.
        complete: Whether every look the evaluation can give is in `scores`; only then can it be accepted.
        runs: The training runs that were measured, in the order of `Score.runs`.
        real: The Real row at the counts that it has images for.
        provenance: Facts of the run, such as the commit; no paths.
        baseline: The file it is meant for, as the user named it.
        name: Of the data set; by default the baseline's own.

    Raises:
        OutputError: The file cannot be written.
    """
    facts = {**fingerprint.environment, **(provenance or {})}
    rows = {row: measured_row(row, scores, fingerprint, facts, runs)}
    if real and row != REAL:
        rows[REAL] = measured_row(REAL, real, fingerprint, facts)
    own = {metric for one in rows.values() for metric in one.entries} - set(METRICS)
    document = Document(
        name=name or Path(baseline).stem or "unnamed",
        own_metrics=tuple(sorted(own)),
        complete=complete,
        baseline=baseline,
        fingerprint=fingerprint,
        rows=rows,
    )
    write_text(path, canonical.text(document))


def measured_row(
    name: str,
    scores: Mapping[int, Scores],
    fingerprint: Fingerprint,
    provenance: Mapping[str, Scalar] = MappingProxyType({}),
    runs: Sequence[TrainingRun] = (),
) -> Row:
    """Return the row that these looks make; a metric not measured at every look keeps those at which it was."""
    names = ordered(metric for look in scores.values() for metric in look.metrics)
    known = {metric: look.metric(metric).revision for look in scores.values() for metric in look.metrics}
    revisions = {**known, **fingerprint.revisions}
    entries = {
        metric: Entry(
            MappingProxyType({n: _kept(look[metric]) for n, look in scores.items() if metric in look}),
            revision=str(revisions[metric]),
        )
        for metric in names
    }
    counts = {n: Count(look.n_real, max(len(look.groups), 1)) for n, look in scores.items()}
    return Row(
        name,
        MappingProxyType(entries),
        origin="",
        fingerprint=fingerprint,
        runs=tuple(runs),
        counts=MappingProxyType(counts),
        provenance=MappingProxyType(dict(provenance)),
    )


def _kept(score: Score) -> Score:
    """Return a score as a file keeps it: a total error that is not known is 0, a single group has no list of values."""
    if score.runs:
        return replace(score, runs=tuple(map(_kept, score.runs)))
    total = 0.0 if math.isnan(score.se_total) else score.se_total
    values = tuple(map(float, score.values)) if len(score.values) > 1 else ()
    return replace(score, se_total=total, values=values)
