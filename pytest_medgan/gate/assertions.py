"""What a test calls: `assert_metric` and `assert_no_regression`; the named helpers are in named.py.

Each takes an Evaluation (`medgan_scores`) or a frozen Scores, raises AssertionError unless the verdict is green, and
returns what was compared. A limit is a number, a Limit (`row.fid`, `real.fid + 5`) or a Row.
"""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field, replace

from pytest_medgan.catalogue import METRICS, Metric, ordered
from pytest_medgan.errors import SettingsError
from pytest_medgan.gate.blindness import blind_aspects
from pytest_medgan.gate.comparable import refused
from pytest_medgan.gate.decision import decide
from pytest_medgan.gate.message import failure
from pytest_medgan.gate.risks import DEFAULT, Settings
from pytest_medgan.gate.words import sentence
from pytest_medgan.records import (
    Change,
    Evaluation,
    Evidence,
    Fingerprint,
    Limit,
    Outcome,
    Paired,
    Row,
    Scores,
    Verdict,
    VerdictCause,
    plain_limit,
)


@dataclass(frozen=True)
class GateContext:
    """What the plugin tells the assertions about the session they run in."""

    listener: Callable[[Verdict], None] | None = None  # hears every verdict, green or not
    accept_command: str | None = None  # "medgan baseline accept CANDIDATE": row and reason are added here
    report_only: bool = False  # verdicts are heard and nothing fails
    every_look: bool = False  # judge every look up to the full count (--medgan-full)
    settings: Settings = DEFAULT
    metrics: Mapping[str, Metric] = field(default_factory=lambda: METRICS)  # the catalogue and the project's own


context: ContextVar[GateContext | None] = ContextVar("pytest_medgan_gate", default=None)


def assert_metric(
    scores: Evaluation | Scores,
    name: str,
    limit: float | Limit | Row,
    *,
    published: bool = False,
    paired: bool = False,
    confidence: float | None = None,
) -> Verdict:
    """Assert that a metric is within its limit; which side is worse comes from the catalogue.

    Args:
        scores: `medgan_scores`, or a frozen Scores, which is one look.
        name: A metric of the catalogue, or one of the project's own.
        limit: A number, a Limit such as `row.fid` or `real.fid + 5`, or a Row.
        published: Allow a limit from published figures, which were measured with another extractor on other images.
        paired: The candidate should draw what the baseline drew (a refactoring, a quantisation, another runtime).
            Compares image by image with the accepted model, named by `paired_with`, on common latents, and fails on any
            visible difference. The verdict says where pairing does not help. Only for limits with a margin, which the
            rows of models have.
        confidence: For a limit without margin (a number, `real.fid + 5`): how certain it must be that the limit is
            kept, at least 0.5 and below 1. Without it the mean decides at the full count, so a model that lies on the
            limit fails half of the time.

    Returns:
        What was compared; green unless the session is report-only.

    Raises:
        AssertionError: The verdict is neither PASS nor STALE.
        SettingsError: There is no such metric; the limit or the confidence cannot be used; `paired` for a limit
            without margin.
    """
    __tracebackhide__ = True
    pairs = ((name, _limit(name, limit)),)
    return _gate(scores, pairs, published=published, paired=paired, confidence=confidence)[0]


def assert_no_regression(
    scores: Evaluation | Scores, row: Row, *, published: bool = False, paired: bool = False
) -> tuple[Verdict, ...]:
    """Assert that no metric of a baseline row has become worse by more than its margin.

    Metrics that are BLIND, because a loss that matters could not be seen at this number of images, do not fail the test
    as long as another metric sees fidelity and another one sees diversity.

    Args:
        scores: `medgan_scores`, or a frozen Scores, which is one look.
        row: A row of the baseline.
        published: As in `assert_metric`.
        paired: As in `assert_metric`.

    Returns:
        One verdict per metric, in the catalogue's order.

    Raises:
        AssertionError: One failure that lists every metric that does not pass, and what else moved.
        SettingsError: The row has no metric; `paired` for a row without margins.
    """
    __tracebackhide__ = True
    if not isinstance(row, Row):
        raise SettingsError(
            f"assert_no_regression takes a row of the baseline, such as medgan_baseline.row('NAME'), not {_kind(row)}. "
            "Give the row; a single limit is for assert_metric."
        )
    names = ordered(row.entries)
    if row.kind == "missing":
        names = ordered(_current().metrics)
    elif not names:
        raise SettingsError(f"Row {row.name!r} has no metric to compare with. Accept it again.")
    limits = tuple((name, row[name] if name in row.entries else row.without(name)) for name in names)
    return _gate(scores, limits, published=published, paired=paired, together=True)


@dataclass(frozen=True)
class _Frozen:
    """A Scores as an Evaluation with one look; it carries no fingerprint of its own."""

    scores: Scores

    @property
    def counts(self) -> tuple[int, ...]:
        return (self.scores.n_fake,)

    @property
    def fingerprint(self) -> Fingerprint:
        return Fingerprint({"scores": "frozen, without a fingerprint: pass medgan_scores instead"})

    @property
    def identity(self) -> str | None:
        return None

    @property
    def change(self) -> Change | None:
        return None

    def at(self, n: int) -> Scores:
        return self.scores

    def paired(self, n: int) -> Paired | None:
        return None

    def evidence(self) -> Evidence:
        return Evidence()


def _gate(
    scores: Evaluation | Scores,
    limits: tuple[tuple[str, Limit], ...],
    *,
    published: bool,
    paired: bool,
    confidence: float | None = None,
    together: bool = False,
) -> tuple[Verdict, ...]:
    """Judge, tell the session, and raise unless all is green; `together` forgives metrics that are blind."""
    __tracebackhide__ = True
    if not isinstance(scores, Scores) and not all(hasattr(scores, name) for name in ("counts", "fingerprint", "at")):
        raise SettingsError(
            f"An assertion takes medgan_scores first, or what its at(n) returns, not {_kind(scores)}. Give the scores."
        )
    current = _current()
    unknown = [name for name, _ in limits if name not in current.metrics]
    if unknown:
        raise SettingsError(f"There is no metric {', '.join(unknown)}; there are {', '.join(current.metrics)}.")
    if confidence is not None and not 0.5 <= _as_number(confidence) < 1.0:
        raise SettingsError(f"The confidence is {confidence!r}. Give at least 0.5 and less than 1, such as 0.95.")
    pairs = tuple((current.metrics[name], limit) for name, limit in limits)
    if confidence is not None and any(limit.margin is not None for _, limit in pairs):
        raise SettingsError(
            "A confidence is for a limit without margin; the row's own margin says how certain it must be."
        )
    if paired:
        _refuse_plain(limits)
    verdicts = _verdicts(scores, pairs, current, published=published, paired=paired, confidence=confidence)
    if together:
        verdicts = _forgiven(verdicts)
    for verdict in verdicts:
        if current.listener is not None:
            current.listener(verdict)
    if current.report_only or all(verdict.outcome.green or verdict.forgiven for verdict in verdicts):
        return verdicts
    raise AssertionError(failure(verdicts, current.accept_command, together=together))


def _refuse_plain(limits: tuple[tuple[str, Limit], ...]) -> None:
    """Raise SettingsError where limits have no margin: their values are compared, so that nothing would be paired."""
    plain = [name for name, limit in limits if limit.margin is None and limit.kind != "missing"]
    if plain:
        raise SettingsError(
            f"paired=True is for the limits of a model's baseline row, and the limit of {', '.join(plain)} has no "
            "margin. Give the row or its entry (row.fid), or leave paired out."
        )


def _verdicts(
    scores: Evaluation | Scores,
    pairs: tuple[tuple[Metric, Limit], ...],
    current: GateContext,
    *,
    published: bool,
    paired: bool,
    confidence: float | None,
) -> tuple[Verdict, ...]:
    """Return one verdict per limit."""
    if not published and any(limit.kind == "published" for _, limit in pairs):
        stopped = (refused(metric, limit, VerdictCause.PUBLISHED) for metric, limit in pairs)
        return tuple(replace(verdict, reason=sentence(verdict)) for verdict in stopped)
    evaluation: Evaluation = _Frozen(scores) if isinstance(scores, Scores) else scores
    settings = replace(current.settings, metrics=max(current.settings.metrics, len(current.metrics)))
    verdicts = decide(evaluation, pairs, settings, paired=paired, confidence=confidence, every_look=current.every_look)
    if all(limit.kind == "missing" for _, limit in pairs):  # no row says which metrics it would have: those measured
        verdicts = tuple(v for v in verdicts if v.measured is not None) or verdicts[:1]
    return verdicts


def _forgiven(verdicts: tuple[Verdict, ...]) -> tuple[Verdict, ...]:
    """Return the verdicts of one test, its blind metrics forgiven where the others see fidelity and diversity."""
    blind = {verdict.metric.name for verdict in verdicts if verdict.outcome is Outcome.BLIND}
    if blind_aspects((verdict.metric.name for verdict in verdicts), blind):
        return verdicts
    return tuple(replace(v, forgiven=True) if v.outcome is Outcome.BLIND else v for v in verdicts)


def _current() -> GateContext:
    """Return what the plugin told, or the defaults."""
    return context.get() or GateContext()


def _limit(name: str, limit: float | Limit | Row) -> Limit:
    """Return what was given as a Limit."""
    if not isinstance(name, str):
        raise SettingsError(f"A metric is named by text, such as 'fid', not by {_kind(name)}. Give one name.")
    if isinstance(limit, Row):
        return limit[name] if name in limit.entries else limit.without(name)
    if isinstance(limit, Limit):
        if limit.metric != name:
            raise SettingsError(f"A limit for {limit.metric} ({limit.origin}) was given for {name}.")
        return limit
    number = _as_number(limit)
    if math.isnan(number):
        raise SettingsError(f"The limit for {name} is {limit!r}. Give a number, a Limit or a Row.")
    return plain_limit(name, number, _caller())


def _as_number(value: object) -> float:
    """Return a number as a float; nan for text, for True and False, those of arrays as well, and for anything else."""
    if isinstance(value, bool | str | bytes) or str(getattr(value, "dtype", "")) in ("bool", "torch.bool"):
        return math.nan
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, RuntimeError, OverflowError):
        return math.nan


def _kind(value: object) -> str:
    """Return what a value is, for a message."""
    return f"a {type(value).__name__}"


def _caller() -> str:
    """Return where the test stands that gave a plain number."""
    own = os.path.dirname(__file__)
    frame = sys._getframe(1)
    while frame.f_back is not None and os.path.dirname(frame.f_code.co_filename) == own:
        frame = frame.f_back
    return f"{os.path.basename(frame.f_code.co_filename)}:{frame.f_lineno}"
