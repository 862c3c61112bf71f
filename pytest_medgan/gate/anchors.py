"""Anchors keep many small losses from adding up to a large one.

Each change is compared with the row that was accepted last, so a model that loses a little with each change could be
accepted without end. Every metric therefore keeps an anchor: a mean of the rows accepted since the anchor was set, in
which the j-th row counts 1 / j^2. A plain mean would be carried along by the drift that it is there to stop (24 losses
of 3 standard errors end at 7.4 below the first row instead of 6.0), and the first row alone would be known no better
than any other.

A row that is better than its anchor by more than chance becomes the anchor, so that what was gained cannot be lost
again in small steps. In the other direction only a person moves it.
"""

from __future__ import annotations

import math


def share_of_row(rows: int) -> float:
    """Return the weight of a new row in the anchor that `rows` rows were accepted under before.

    Examples:
        >>> share_of_row(0), share_of_row(1)
        (1.0, 0.2)
    """
    place = rows + 1
    return 1.0 / place**2 / math.fsum(1.0 / j**2 for j in range(1, place + 1))


def updated(value: float, se: float, rows: int, row_value: float, row_se: float) -> tuple[float, float]:
    """Return an anchor's value and standard error after one more row was accepted.

    Args:
        value: The anchor's value, in metric units.
        se: Its standard error.
        rows: Rows that it is the mean of.
        row_value: The new row's value.
        row_se: Its standard error.
    """
    share = share_of_row(rows)
    return value + share * (row_value - value), math.hypot((1.0 - share) * se, share * row_se)
