"""The margin `auto`: how wide it must be for an unchanged model to pass as promised."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

from pytest_medgan.catalogue import Metric
from pytest_medgan.gate.decision import DEFAULT, Settings
from pytest_medgan.gate.uncertainty import limit_error, share_error
from pytest_medgan.records import LimitValue


def auto_margin(metric: Metric, values: Mapping[int, LimitValue], settings: Settings = DEFAULT) -> float:
    """The smallest margin at which an unchanged model passes at the full count with its share of the promise.

    `values` are the row's own at every look. With z the quantile of that share, an unchanged model's loss stays below
    z * se; the gate then asks for loss + c * se <= margin, so margin = (z + c) * se with se that of the difference: the
    row's own error twice, in quadrature. The error of a share depends on the share: the one the model would have at
    the edge is solved for, so that a row with none of something leaves room for a handful.
    """
    full = max(values)
    own = limit_error(metric, values[full], full)
    both = own + own
    alarm, accept = both.quantile(settings.alarm_risk()), both.quantile(settings.pass_risk(len(values)))
    if (metric.low, metric.high) == (0.0, 1.0):
        both = replace(both, se=_edge(metric, values[full], full, own.se, alarm))
    return (alarm + accept) * both.se


def _edge(metric: Metric, value: LimitValue, n: int, se: float, alarm: float) -> float:
    """The error of the difference between a share and the worst that chance makes of it.

    A score interval (Wilson 1927) by fixed point: the edge lies `alarm` errors away, its variance is that of a share at
    the edge times what the metric's own variance is to a binomial one.
    """
    trials = n * value.groups
    here = share_error(value.value, trials, 4.0)
    both = math.sqrt(2.0) * se
    if here == 0.0:
        return both
    for _ in range(100):
        edge = value.value + (-alarm if metric.higher_is_better else alarm) * both
        there = share_error(min(max(edge, 0.0), 1.0), trials, 4.0)
        both = se * math.hypot(1.0, there / here)
    return both
