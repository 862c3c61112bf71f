"""What every run leaves behind: a candidate, which is a baseline file that nobody has accepted yet."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from pytest_medgan.catalogue import METRICS, ordered
from pytest_medgan.gate import canonical
from pytest_medgan.gate.document import REAL, Count, Document, MetricRecord, RowRecord
from pytest_medgan.records import Fingerprint, LimitValue, MetricScore, Scalar, Scores


def write_candidate(
    path: Path,
    *,
    row: str,
    scores: Mapping[int, Scores],
    fingerprint: Fingerprint,
    complete: bool,
    real: Mapping[int, Scores] | None = None,
    provenance: Mapping[str, Scalar] | None = None,
    baseline: str = "",
    name: str = "",
) -> None:
    """Writes what was measured as a candidate.

    Parameters
    ----------
    path
        The file, whose folder is made; replaced in one step.
    row
        The row it is meant for, unless `accept` is told another.
    scores
        Images a sample group -> what was measured at that look.
    fingerprint
        Of the evaluation; its environment joins the row's provenance.
    complete
        Whether every look the evaluation can give is in `scores`; only a complete candidate can be accepted.
    real
        The Real row at the counts that it has images for.
    provenance
        Facts of the run: commit, dirty (bool), checkpoint digest and the like; no paths.
    baseline
        The file it is meant for, as the user named it.
    name
        Of the data set; by default the baseline's own.
    """
    facts = {**fingerprint.environment, **(provenance or {})}
    rows = {row: record(scores, facts)}
    if real and row != REAL:
        rows[REAL] = record(real, facts)
    own = sorted({metric for entry in rows.values() for metric in entry.metrics} - set(METRICS))
    document = Document(
        name=name or Path(baseline).stem or "unnamed",
        own_metrics=tuple(own),
        complete=complete,
        baseline=baseline,
        fingerprint=fingerprint,
        rows=rows,
    )
    write(path, canonical.text(document))


def record(scores: Mapping[int, Scores], provenance: Mapping[str, Scalar]) -> RowRecord:
    """The row that these looks make. A metric not measured at every look keeps those at which it was."""
    counts = {n: Count(look.n_real, max(len(look.groups), 1)) for n, look in scores.items()}
    names = ordered(metric for look in scores.values() for metric in look.metrics)
    metrics = {
        metric: MetricRecord({n: _value(look[metric]) for n, look in scores.items() if metric in look})
        for metric in names
    }
    return RowRecord(counts, metrics, provenance=dict(provenance))


def write(path: Path, text: str) -> None:
    """Replaces a file in one step, so that a reader sees the old text or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as stream:
            stream.write(text)
        mode = path.stat().st_mode & 0o777 if path.exists() else 0o666 & ~_umask()
        os.chmod(temporary, mode)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _value(score: MetricScore) -> LimitValue:
    """NaN errors (a single group has no sd) are written as 0: nothing is known, and `se` says what is."""
    sd = 0.0 if score.sd != score.sd else score.sd
    total = 0.0 if score.se_total != score.se_total else score.se_total
    values = score.values if len(score.values) > 1 else ()
    return LimitValue(score.mean, score.se, sd, total, len(score.values), tuple(map(float, values)))
