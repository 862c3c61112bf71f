"""Whether an evaluation may be compared with a limit at all: compare like with like, or say INCOMPARABLE."""

from __future__ import annotations

from collections.abc import Sequence

from pytest_medgan.catalogue import Metric
from pytest_medgan.gate.document import REAL
from pytest_medgan.records import (
    CONDITION,
    Change,
    Evaluation,
    Fingerprint,
    Limit,
    Outcome,
    Row,
    Seal,
    Verdict,
    VerdictCause,
)

SEEDS = "seeds"  # the fingerprint's latent seeds
UNIT = "sampling_unit"  # in the fingerprint of a model that draws volumes
# Real images are drawn under no condition, and their errors are by patient whatever the model draws.
NOT_OF_REAL = frozenset({CONDITION, UNIT})


def obstacle(metric: Metric, limit: Limit, evaluation: Evaluation) -> Verdict | None:
    """Return the INCOMPARABLE verdict where the limit cannot be compared with, else None.

    A row from a file must vouch for itself: fingerprint, canary and seal must be there and fit. Published figures have
    none of them; whether they may be used is asked elsewhere.
    """
    row = limit.of
    if row is None or limit.kind == "missing":
        return None
    return _unvouched(metric, limit, row, evaluation) or _other_conditions(metric, limit, row, evaluation)


def _unvouched(metric: Metric, limit: Limit, row: Row, evaluation: Evaluation) -> Verdict | None:
    """Return the verdict on a row from a file that does not vouch for itself, or that other code measured."""
    if row.kind == "measured" and row.seal is not Seal.COMPUTED:
        if row.fingerprint is None or row.fingerprint.canary is None:
            return refused(metric, limit, VerdictCause.NO_FINGERPRINT)
        if row.seal is not Seal.VALID:
            broken = row.seal is Seal.BROKEN
            return refused(metric, limit, VerdictCause.SEAL_BROKEN if broken else VerdictCause.UNSEALED)
        revision = str(evaluation.fingerprint.revisions.get(metric.name, metric.revision))
        if limit.entry.revision != revision:
            words = (
                f"{metric.name} was measured by revision {limit.entry.revision or 'unknown'} of its code and this is "
                f"revision {revision}; accept the row again"
            )
            return refused(metric, limit, VerdictCause.OTHER_REVISION, words)
    return None


def _other_conditions(metric: Metric, limit: Limit, row: Row, evaluation: Evaluation) -> Verdict | None:
    """Return the verdict on a row that was measured under other conditions."""
    if row.fingerprint is None:
        return None
    differences = evaluation.fingerprint.differences(row.fingerprint, but=_may_differ(row, evaluation))
    if not differences:
        return None
    words = "measured under other conditions: " + "; ".join(differences)
    return refused(metric, limit, VerdictCause.OTHER_CONDITIONS, words)


def refused(metric: Metric, limit: Limit, cause: VerdictCause, words: str = "") -> Verdict:
    """Return an INCOMPARABLE verdict."""
    return Verdict(metric, Outcome.INCOMPARABLE, limit.origin, cause, words, limit.row)


def change_of(row: Row | None, evaluation: Evaluation) -> Change:
    """Return what was changed: as said, else a checkpoint where the candidate's identity stands in the row."""
    if evaluation.change is not None:
        return evaluation.change
    known = () if row is None else tuple(run.checkpoint for run in row.runs)
    same = evaluation.identity is not None and evaluation.identity in known
    return Change.CHECKPOINT if same else Change.RECIPE


def run_to_compare(row: Row, identities: Sequence[str | None]) -> int | None:
    """Return which training run of a row a change of form is compared with; None where that is open.

    Args:
        row: The row.
        identities: Of the candidate and of the accepted model that was named, either of which may stand in the row.
    """
    if len(row.runs) <= 1:
        return 0
    known = [run.checkpoint for run in row.runs]
    return next((known.index(one) for one in identities if one is not None and one in known), None)


def replaced_conditions(
    new: Row, before: Row | None, file: Fingerprint | None, *, selected: bool = False
) -> tuple[str, ...]:
    """Return how a new row's conditions differ from those of the row that it replaces, one line each.

    A row is compared as the gate compares it: by its own fingerprint, which need not be the file's. A row that replaces
    none is compared with the file, whose models may draw under any condition.

    Args:
        new: The new row.
        before: The row that it replaces; None where there is none.
        file: The file's fingerprint.
        selected: Whether the new row was chosen as the best of several, and so has latent seeds of its own.
    """
    known = file if before is None else before.fingerprint
    if known is None or new.fingerprint is None:
        return ()
    fresh = selected or (before is not None and is_selected(before) and not same_runs(before, new))
    may_differ = frozenset({CONDITION}) if before is None else frozenset()
    return new.fingerprint.differences(known, but=may_differ | _excepted(new, fresh=fresh))


def is_selected(row: Row) -> bool:
    """Whether a row's training runs were chosen as the best of more."""
    return row.selected_from > max(len(row.runs), 1)


def same_runs(old: Row, new: Row) -> bool:
    """Whether every training run of the new row stands in the old one."""
    known = {run.checkpoint for run in old.runs if run.checkpoint is not None}
    return bool(new.runs) and all(run.checkpoint in known for run in new.runs)


def _may_differ(row: Row, evaluation: Evaluation) -> frozenset[str]:
    """Return the inputs in which an evaluation may differ from a row."""
    return _excepted(row, fresh=is_selected(row) and change_of(row, evaluation) is Change.RECIPE)


def _excepted(row: Row, *, fresh: bool) -> frozenset[str]:
    """Return the inputs that do not count for a row; `fresh` latent seeds are those of a row that was selected."""
    return frozenset({*((SEEDS,) if fresh else ()), *(NOT_OF_REAL if row.name == REAL else ())})
