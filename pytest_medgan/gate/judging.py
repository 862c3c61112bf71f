"""One comparison at one look: outcome and cause from a difference, a margin and critical values.

With `loss` the difference, `se` its error, `full` its error at the full count, and the critical values of risks.py:

- Margin `auto`: at the full count PASS when loss <= alarm * se, which reports show as what is allowed, FAIL when
  loss > certain * se, and between the two more training runs decide. The margin, (alarm + accept) * full, is the loss
  that is turned red in 98 of 100 candidates. An earlier look says PASS when
  loss + accept * max(se, full) <= margin, and FAIL when even loss - reject * se > (certain + accept) * full. What seems
  to be better by more than chance goes on to the full count, where STALE rests on it.
- Some metrics span less at few images, such as the inception score and coverage. There an early PASS takes margin and
  full times `span`, the share of the full count's range that the look has: no loss could be as large as the margin.
- A margin of one's own: PASS when loss + accept * se <= margin, clearly within; FAIL when loss - reject * se > margin,
  clearly beyond; else UNDECIDED, which is not green.
- Both sides: where any change is a fault, what is better by as much fails as well.
- No margin: a plain question gets a plain answer. At the full count the mean decides and on the limit counts as within;
  earlier looks end the test where the answer is clear. With a confidence, being within must be that certain.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from pytest_medgan.gate.difference import Difference
from pytest_medgan.gate.risks import Criticals
from pytest_medgan.records import Outcome, VerdictCause


@dataclass(frozen=True)
class Ruling:
    """What one look says."""

    outcome: Outcome
    cause: VerdictCause = VerdictCause.NONE
    critical: float | None = None  # multiple of the error that decided
    margin: float | None = None  # in metric units
    needed_margin: float | None = None  # undecided at the full count: the margin that would have passed
    allowed: float | None = None  # the largest loss that passes at the full count; None: the margin itself


_MORE_IMAGES = (Outcome.UNDECIDED, VerdictCause.MORE_IMAGES)


def judge_auto(
    seen: Difference, full_se: float, critical: Criticals, *, last: bool, both_sides: bool = False, span: float = 1.0
) -> Ruling:
    """Judge against the margin that follows from the errors.

    Args:
        seen: The difference at this look.
        full_se: Its standard error at the full count, as far as this look can tell.
        critical: The critical values.
        last: Whether this is the full count.
        both_sides: Whether better is a fault as well.
        span: Range of the metric at this look as a share of that at the full count, in [0,1].
    """
    allowed = critical.alarm * (seen.error.se if last else full_se)
    ruling = _judge_auto(seen, full_se, critical, last=last, both_sides=both_sides, span=span)
    return replace(ruling, allowed=allowed)


def _judge_auto(
    seen: Difference, full_se: float, critical: Criticals, *, last: bool, both_sides: bool, span: float
) -> Ruling:
    """Return the ruling of `judge_auto` without what is allowed."""
    se, loss = seen.error.se, abs(seen.loss) if both_sides else seen.loss
    margin = (critical.alarm + critical.accept) * full_se
    if last:
        if loss <= critical.alarm * se:
            return _accepted(seen, critical.alarm, margin, both_sides=both_sides, better=-critical.certain * se)
        if loss > critical.certain * se:
            return Ruling(Outcome.FAIL, VerdictCause.WORSE, critical.certain, margin)
        return Ruling(Outcome.UNDECIDED, VerdictCause.MORE_RUNS, critical.alarm, margin)
    if loss + critical.accept * max(se, span * full_se) <= span * margin:
        return _passed_early(seen, critical, margin, both_sides=both_sides)
    if loss - critical.reject * se > (critical.certain + critical.accept) * full_se:
        return Ruling(Outcome.FAIL, VerdictCause.WORSE, critical.reject, margin)
    return Ruling(*_MORE_IMAGES, critical.accept, margin)


def judge_margin(
    seen: Difference, margin: float, critical: Criticals, *, last: bool, both_sides: bool = False, span: float = 1.0
) -> Ruling:
    """Judge against a margin of the user's own, in metric units; arguments as in `judge_auto`."""
    se, loss = seen.error.se, abs(seen.loss) if both_sides else seen.loss
    needed = loss + critical.accept * se
    if needed <= span * margin and not last:
        return _passed_early(seen, critical, margin, both_sides=both_sides)
    if needed <= margin and last:
        return _accepted(seen, critical.accept, margin, both_sides=both_sides, better=-critical.certain * se)
    if loss - critical.reject * se > margin:
        return Ruling(Outcome.FAIL, VerdictCause.WORSE, critical.reject, margin)
    if not last:
        return Ruling(*_MORE_IMAGES, critical.accept, margin)
    if critical.alarm < critical.certain and loss > critical.alarm * se:
        return Ruling(Outcome.UNDECIDED, VerdictCause.MORE_RUNS, critical.accept, margin, needed)
    return Ruling(Outcome.UNDECIDED, VerdictCause.WITHIN_CHANCE, critical.accept, margin, needed)


def judge_plain(
    seen: Difference, critical: Criticals, *, last: bool, confidence: float | None = None, looks: int = 1
) -> Ruling:
    """Judge against a limit without margin.

    Args:
        seen: The difference from the limit at this look.
        critical: The critical values.
        last: Whether this is the full count.
        confidence: How certain it must be that the limit is kept, 0.5 to 1; None lets the mean decide.
        looks: Looks that share the risk that this leaves.
    """
    se, loss = seen.error.se, seen.loss
    accept = critical.accept
    if confidence is not None:
        accept = max(seen.error.quantile((1.0 - confidence) / looks), 0.0)
        if loss + accept * se <= 0:
            return Ruling(Outcome.PASS, critical=accept)
    elif last:
        outcome = Outcome.PASS if loss <= 0 else Outcome.FAIL
        return Ruling(outcome, VerdictCause.NONE if loss <= 0 else VerdictCause.WRONG_SIDE, 0.0)
    elif loss + accept * se < 0:
        return Ruling(Outcome.PASS, critical=accept)
    if loss - critical.reject * se > 0 or (last and loss > 0):
        return Ruling(Outcome.FAIL, VerdictCause.WRONG_SIDE, critical.reject if not last else 0.0)
    if not last:
        return Ruling(*_MORE_IMAGES, accept)
    return Ruling(Outcome.UNDECIDED, VerdictCause.NOT_CERTAIN, accept)


def _accepted(seen: Difference, critical: float, margin: float, *, both_sides: bool, better: float) -> Ruling:
    """Return PASS, or STALE where the loss lies below `better`: better by more than chance."""
    if not both_sides and seen.loss < better:
        return Ruling(Outcome.STALE, VerdictCause.BETTER, critical, margin)
    return Ruling(Outcome.PASS, VerdictCause.NONE, critical, margin)


def _passed_early(seen: Difference, critical: Criticals, margin: float, *, both_sides: bool) -> Ruling:
    """Return PASS; what seems to be better by more than chance goes on to the full count, so that it is not missed."""
    if not both_sides and seen.loss < -critical.reject * seen.error.se:
        return Ruling(*_MORE_IMAGES, critical.accept, margin)
    return Ruling(Outcome.PASS, VerdictCause.NONE, critical.accept, margin)


def known(seen: Difference) -> bool:
    """Whether loss and error are numbers that can decide."""
    return math.isfinite(seen.loss) and math.isfinite(seen.error.se)
