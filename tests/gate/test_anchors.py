"""Anchors: the weight of each row, and how far a slow drift can go."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from pytest_medgan.gate.anchors import share_of_row, updated


def test_the_weights_of_rows_fall_with_the_square_of_their_place():
    """Four rows: 1, 1/4, 1/9 and 1/16 of each, whatever the order of the updates."""
    value, se = 10.0, 2.0
    for rows, new in enumerate((20.0, 30.0, 40.0), 1):
        value, se = updated(value, se, rows, new, 2.0)
    weights = np.array([1, 1 / 4, 1 / 9, 1 / 16])
    weights /= weights.sum()
    assert value == pytest.approx(float(weights @ [10, 20, 30, 40]))
    assert se == pytest.approx(2.0 * math.sqrt(float(weights @ weights)))


def test_the_first_row_is_the_anchor():
    assert share_of_row(0) == 1.0
    assert updated(0.0, 0.0, 0, 7.0, 0.5) == (7.0, 0.5)


def test_24_losses_of_3_standard_errors_stop_6_below_the_first_row():
    """Each proposal is judged by row and anchor with half of the alarm risk each."""
    rng, gates = np.random.default_rng(3), 400
    both, first = stats.norm.isf(0.002 / 28), stats.norm.isf(0.002 / 14)
    ends = []
    for _ in range(gates):
        drift, row, rows = 0.0, rng.standard_normal(), 1
        anchor, se = row, 1.0
        for _ in range(24):
            found = drift + 3.0 + rng.standard_normal()
            critical = both if rows > 1 else first
            if found - row <= critical * math.sqrt(2) and found - anchor <= critical * math.hypot(1, se):
                anchor, se = updated(anchor, se, rows, found, 1.0)
                drift, row, rows = drift + 3.0, found, rows + 1
        ends.append(drift)
    assert np.mean(ends) <= 6.5
    assert max(ends) <= 12.0
