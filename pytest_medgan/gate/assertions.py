"""What a test calls: `assert_metric`, one named helper a metric, and `assert_no_regression`.

Each takes an Evaluation (`medgan_scores`) or a frozen Scores, raises AssertionError unless the verdict is green, and
returns what was compared. A limit is a number, a Limit (`row.fid`, `4 * real.fid`) or a Row.
"""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from types import MappingProxyType

from pytest_medgan.catalogue import METRICS, Metric, ordered
from pytest_medgan.errors import SettingsError
from pytest_medgan.gate.decision import DEFAULT, PLAIN, Settings, decide
from pytest_medgan.gate.message import failure
from pytest_medgan.records import Evaluation, Evidence, Fingerprint, Limit, LimitValue, Outcome, Row, Scores, Verdict


@dataclass(frozen=True)
class GateContext:
    """What the plugin tells the assertions about the session they run in."""

    listener: Callable[[Verdict], None] | None = None  # hears every verdict, green or not
    accept_command: str | None = None  # "medgan baseline accept CANDIDATE": row and reason are added here
    report_only: bool = False  # verdicts are heard and nothing fails
    settings: Settings = DEFAULT
    metrics: Mapping[str, Metric] = field(default_factory=lambda: METRICS)  # the catalogue and the project's own


context: ContextVar[GateContext | None] = ContextVar("pytest_medgan_gate", default=None)


def assert_metric(
    scores: Evaluation | Scores, name: str, limit: float | Limit | Row, *, published: bool = False, paired: bool = False
) -> Verdict:
    """Asserts that a metric is within its limit; which side is worse comes from the catalogue.

    Parameters
    ----------
    scores
        `medgan_scores`, or a frozen Scores, which is one look.
    name
        A metric of the catalogue.
    limit
        A number, a Limit such as `row.fid`, `0.9 * row.improved_recall` or `4 * real.fid`, or a Row.
    published
        Allows a limit from published figures, which were measured with another extractor on other images.
    paired
        For a candidate that should draw what the baseline drew (a refactoring, a quantisation, another runtime):
        compares image by image with the accepted model, named by `paired_with`, on common latents, which needs a
        fraction of the images. Without that model nothing is paired. The verdict says so, and where it does not help.

    Returns
    -------
    Verdict
        What was compared, green unless the session is report-only.

    Raises
    ------
    AssertionError
        The verdict is neither PASS nor STALE.
    SettingsError
        There is no such metric.
    """
    __tracebackhide__ = True
    return _gate(scores, ((name, _limit(name, limit)),), published, paired)[0]


def assert_no_regression(
    scores: Evaluation | Scores, row: Row, *, published: bool = False, paired: bool = False
) -> tuple[Verdict, ...]:
    """Asserts that no metric of a baseline row has become worse by more than its margin.

    `published` and `paired` as in `assert_metric`.

    Returns
    -------
    tuple of Verdict
        One a metric, in the catalogue's order.

    Raises
    ------
    AssertionError
        One failure that lists every metric that does not pass, and what else moved.
    """
    __tracebackhide__ = True
    names = ordered(row.limits)
    if row.kind == "missing":
        names = ordered(_current().metrics)
    elif not names:
        raise SettingsError(f"row {row.name!r} has no metric to compare with; accept it again")
    return _gate(
        scores,
        tuple((name, row[name] if name in row.limits else _absent(name, row)) for name in names),
        published,
        paired,
    )


def assert_inception_score_above(scores: Evaluation | Scores, limit: float | Limit | Row) -> Verdict:
    """Asserts an inception score of at least the limit."""
    __tracebackhide__ = True
    return assert_metric(scores, "inception_score", limit)


def assert_fid_below(scores: Evaluation | Scores, limit: float | Limit | Row) -> Verdict:
    """Asserts a Fréchet inception distance of at most the limit."""
    __tracebackhide__ = True
    return assert_metric(scores, "fid", limit)


def assert_kid_below(scores: Evaluation | Scores, limit: float | Limit | Row) -> Verdict:
    """Asserts a kernel inception distance of at most the limit."""
    __tracebackhide__ = True
    return assert_metric(scores, "kid", limit)


def assert_precision_above(scores: Evaluation | Scores, limit: float | Limit | Row) -> Verdict:
    """Asserts a precision (Sajjadi et al. 2018) of at least the limit."""
    __tracebackhide__ = True
    return assert_metric(scores, "precision", limit)


def assert_recall_above(scores: Evaluation | Scores, limit: float | Limit | Row) -> Verdict:
    """Asserts a recall (Sajjadi et al. 2018) of at least the limit."""
    __tracebackhide__ = True
    return assert_metric(scores, "recall", limit)


def assert_improved_precision_above(scores: Evaluation | Scores, limit: float | Limit | Row) -> Verdict:
    """Asserts an improved precision (Kynkäänniemi et al. 2019) of at least the limit."""
    __tracebackhide__ = True
    return assert_metric(scores, "improved_precision", limit)


def assert_improved_recall_above(scores: Evaluation | Scores, limit: float | Limit | Row) -> Verdict:
    """Asserts an improved recall (Kynkäänniemi et al. 2019) of at least the limit."""
    __tracebackhide__ = True
    return assert_metric(scores, "improved_recall", limit)


def assert_density_above(scores: Evaluation | Scores, limit: float | Limit | Row) -> Verdict:
    """Asserts a density of at least the limit."""
    __tracebackhide__ = True
    return assert_metric(scores, "density", limit)


def assert_coverage_above(scores: Evaluation | Scores, limit: float | Limit | Row) -> Verdict:
    """Asserts a coverage of at least the limit."""
    __tracebackhide__ = True
    return assert_metric(scores, "coverage", limit)


def assert_authenticity_above(scores: Evaluation | Scores, limit: float | Limit | Row) -> Verdict:
    """Asserts an authenticity of at least the limit."""
    __tracebackhide__ = True
    return assert_metric(scores, "authenticity", limit)


def assert_copy_rate_below(scores: Evaluation | Scores, limit: float | Limit | Row) -> Verdict:
    """Asserts a share of copied training images of at most the limit."""
    __tracebackhide__ = True
    return assert_metric(scores, "copy_rate", limit)


def assert_duplicate_rate_below(scores: Evaluation | Scores, limit: float | Limit | Row) -> Verdict:
    """Asserts a share of duplicates among the generated images of at most the limit."""
    __tracebackhide__ = True
    return assert_metric(scores, "duplicate_rate", limit)


def assert_intensity_distance_below(scores: Evaluation | Scores, limit: float | Limit | Row) -> Verdict:
    """Asserts a distance between grey-level distributions of at most the limit."""
    __tracebackhide__ = True
    return assert_metric(scores, "intensity_distance", limit)


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

    def at(self, n: int) -> Scores:
        return self.scores

    def evidence(self) -> Evidence:
        return Evidence()


def _gate(
    scores: Evaluation | Scores, limits: tuple[tuple[str, Limit], ...], published: bool, paired: bool
) -> tuple[Verdict, ...]:
    __tracebackhide__ = True
    current = _current()
    unknown = [name for name, _ in limits if name not in current.metrics]
    if unknown:
        raise SettingsError(f"no metric is named {', '.join(unknown)}; there are {', '.join(current.metrics)}")
    pairs = tuple((current.metrics[name], limit) for name, limit in limits)
    missing_row = all(limit.kind == "missing" for _, limit in pairs)
    printed = [limit for _, limit in pairs if limit.kind == "published"]
    if printed and not published:
        reason = "published figures, measured elsewhere: gate on them only with published=True"
        verdicts = tuple(
            Verdict(metric, Outcome.INCOMPARABLE, None, None, None, None, limit.origin, limit.row, reason=reason)
            for metric, limit in pairs
        )
    else:
        evaluation = _Frozen(scores) if isinstance(scores, Scores) else scores
        verdicts = decide(evaluation, pairs, current.settings, paired=paired)
        if missing_row:  # nothing says which metrics it would have had: those that were measured
            verdicts = tuple(v for v in verdicts if v.measured is not None) or verdicts[:1]
    for verdict in verdicts:
        if current.listener is not None:
            current.listener(verdict)
    if not current.report_only and not all(verdict.outcome.green for verdict in verdicts):
        raise AssertionError(failure(verdicts, current.accept_command))
    return verdicts


def _current() -> GateContext:
    return context.get() or GateContext()


def _limit(name: str, limit: float | Limit | Row) -> Limit:
    if isinstance(limit, Row):
        return limit[name] if name in limit.limits else _absent(name, limit)
    if isinstance(limit, Limit):
        if limit.metric != name:
            raise SettingsError(f"a limit for {limit.metric} ({limit.origin}) was given for {name}")
        return limit
    try:
        number = math.nan if isinstance(limit, bool | str | bytes) else float(limit)
    except (TypeError, ValueError):
        number = math.nan
    if math.isnan(number):
        raise SettingsError(f"the limit for {name} is {limit!r}; give a number, a Limit or a Row")
    return Limit(name, MappingProxyType({PLAIN: LimitValue(number)}), _caller(), kind="number")


def _absent(name: str, row: Row) -> Limit:
    """The limit of a metric that a row has not: never green."""
    return Limit(name, MappingProxyType({}), row.origin, kind="missing", row=row.name)


def _caller() -> str:
    """Where the test stands that gave a plain number."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename == __file__:
        frame = frame.f_back
    return f"{os.path.basename(frame.f_code.co_filename)}:{frame.f_lineno}"
