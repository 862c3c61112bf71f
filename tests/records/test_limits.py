"""Arithmetic on limits keeps the origin, scales the errors and drops the margin."""

from __future__ import annotations

import copy
import pickle

import pytest

from pytest_medgan.records import Limit, LimitValue, Margin, Row

VALUE = LimitValue(2.0, se=0.5, sd=0.25, se_total=0.75, groups=2, values=(1.5, 2.5))
LIMIT = Limit("fid", {64: VALUE}, "b.yaml:7", margin=Margin("absolute", 1.0), row="TOY", model="digest")


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
    assert (found.value, found.values, found.groups) == (value, values, 2)
    assert (found.se, found.sd, found.se_total) == (0.5 * scale, 0.25 * scale, 0.75 * scale)


def test_arithmetic_keeps_the_origin_and_drops_the_margin() -> None:
    limit = 0.9 * LIMIT
    assert (limit.metric, limit.origin, limit.row, limit.model) == ("fid", "b.yaml:7", "TOY", "digest")
    assert limit.margin is None
    assert LIMIT.margin == Margin("absolute", 1.0)


def test_row_gives_limits_by_name_and_attribute() -> None:
    row = Row("TOY", {"fid": LIMIT}, "b.yaml:3")
    assert row.fid is row["fid"] is LIMIT
    with pytest.raises(AttributeError, match=r"row 'TOY' at b\.yaml:3 has no kid; it has fid"):
        _ = row.kid


def test_missing_row_has_a_missing_limit_of_any_metric() -> None:
    limit = Row("TOY", {}, "b.yaml", kind="missing").kid
    assert (limit.kind, limit.metric, limit.row, dict(limit.values)) == ("missing", "kid", "TOY", {})


def test_row_can_be_copied_and_pickled() -> None:
    row = Row("TOY", {"fid": LIMIT}, "b.yaml:3")
    assert copy.deepcopy(row).fid == LIMIT
    assert pickle.loads(pickle.dumps(row)).fid == LIMIT
