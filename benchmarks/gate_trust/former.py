"""The rule before both sides' errors counted, kept for comparison: a margin made of the row's error alone."""

from __future__ import annotations

import math

from scipy import stats

from benchmarks.gate_trust.evaluations import Looks
from pytest_medgan.catalogue import METRICS
from pytest_medgan.gate.uncertainty import share_error

ALARM = float(stats.norm.isf(0.002 / 14))  # an unchanged model's share of the promise, 0.998, in one of 14 metrics
ACCEPT, REJECT = float(stats.norm.isf(0.01 / 4)), float(stats.norm.isf(0.002 / 14 / 4))


def former_is_red(row: Looks, candidate: Looks) -> bool:
    """Whether the former gate would have been red: the looks one by one, what passed early asked again at the end."""
    counts = sorted(row)
    still_open, passed = set(row[counts[0]]), set()
    for n in counts:
        last = n == counts[-1]
        for name in sorted(still_open | (passed if last else set())):
            loss, error, margin = _numbers(row, candidate, name, n, counts[-1])
            if loss + ACCEPT * error <= margin:
                passed.add(name)
                still_open.discard(name)
            elif last or loss - REJECT * error > margin:
                return True
        if not still_open:
            return False
    return False


def _numbers(row: Looks, candidate: Looks, name: str, n: int, full: int) -> tuple[float, float, float]:
    """Return loss, its error and the margin fixed when the row was accepted."""
    base, found = row[n][name], candidate[n][name]
    sign = -1.0 if METRICS[name].higher_is_better else 1.0
    errors = [_error(name, score.mean, score.se, n, score.groups) for score in (base, found)]
    at_full = row[full][name]
    own = _error(name, at_full.mean, at_full.se, full, at_full.groups)
    both = math.sqrt(2.0) * own
    metric = METRICS[name]
    if (metric.low, metric.high) == (0.0, 1.0):
        both = _edge(name, at_full.mean, own, full * at_full.groups)
    return sign * (found.mean - base.mean), math.hypot(*errors), (ALARM + ACCEPT) * both


def _error(name: str, value: float, se: float, n: int, groups: int) -> float:
    """Return a standard error with the floor of a share."""
    metric = METRICS[name]
    return max(se, share_error(value, n * groups)) if (metric.low, metric.high) == (0.0, 1.0) else se


def _edge(name: str, value: float, se: float, trials: int) -> float:
    """Return the error of the difference between a share and the worst that chance makes of it."""
    here, both = share_error(value, trials), math.sqrt(2.0) * se
    if here == 0.0:
        return both
    for _ in range(100):
        edge = value + (-ALARM if METRICS[name].higher_is_better else ALARM) * both
        both = se * math.hypot(1.0, share_error(min(max(edge, 0.0), 1.0), trials) / here)
    return both
