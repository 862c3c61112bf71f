"""Arithmetic on limits keeps the origin, scales the errors and drops the margin."""

from __future__ import annotations

import copy
import pickle

import pytest

from pytest_medgan.records import Anchor, Entry, Limit, Margin, Row, Score, mean_of_runs

VALUE = Score(2.0, se=0.5, sd=0.25, se_total=0.75, groups=2, values=(1.5, 2.5))
ENTRY = Entry({64: VALUE}, Margin("absolute", 1.0), Anchor("2026-01-01", 2, {64: VALUE}), line=7)
ROW = Row("TOY", {"fid": ENTRY}, "b.yaml:3")
LIMIT = ROW["fid"]


@pytest.mark.parametrize(
    ("limit", "value", "scale", "values"),
    [
        (4 * LIMIT, 8.0, 4.0, (6.0, 10.0)),
        (LIMIT * -2, -4.0, 2.0, (-3.0, -5.0)),
        (LIMIT / 4, 0.5, 0.25, (0.375, 0.625)),
        (LIMIT / -4, -0.5, 0.25, (-0.375, -0.625)),
        (LIMIT + 3, 5.0, 1.0, (4.5, 5.5)),
        (3 + LIMIT, 5.0, 1.0, (4.5, 5.5)),
        (LIMIT - 3, -1.0, 1.0, (-1.5, -0.5)),
    ],
)
def test_arithmetic_moves_value_and_errors(limit: Limit, value: float, scale: float, values: tuple[float, ...]) -> None:
    found = limit.values[64]
    assert (found.mean, found.values, found.groups) == (value, values, 2)
    assert (found.se, found.sd, found.se_total) == (0.5 * scale, 0.25 * scale, 0.75 * scale)


def test_arithmetic_keeps_the_origin_and_drops_the_margin() -> None:
    limit = 0.9 * LIMIT
    assert (limit.metric, limit.origin, limit.row, limit.kind) == ("fid", "b.yaml:7", "TOY", "measured")
    assert limit.margin is None
    assert limit.entry.anchor is None
    assert LIMIT.margin == Margin("absolute", 1.0)


def test_arithmetic_moves_every_training_run() -> None:
    row = Row("TOY", {"fid": Entry({64: mean_of_runs([Score(1.0, 0.5), Score(3.0, 0.5)])})}, "b.yaml:3")
    found = (row.fid * 2 + 1).values[64]
    assert (found.mean, [run.mean for run in found.runs]) == (5.0, [3.0, 7.0])
    assert [run.se for run in found.runs] == [1.0, 1.0]


def test_row_gives_limits_by_name_and_attribute() -> None:
    assert ROW.fid == ROW["fid"] == ROW.limits["fid"] == LIMIT
    with pytest.raises(AttributeError, match=r"Row 'TOY' at b\.yaml:3 has no kid; it has fid"):
        _ = ROW.kid


def test_missing_row_has_a_missing_limit_of_any_metric() -> None:
    limit = Row("TOY", {}, "b.yaml", kind="missing").kid
    assert (limit.kind, limit.metric, limit.row, dict(limit.values)) == ("missing", "kid", "TOY", {})


def test_row_can_be_copied_and_pickled() -> None:
    assert copy.deepcopy(ROW).fid == LIMIT
    assert pickle.loads(pickle.dumps(ROW)).fid == LIMIT
