"""Plain data and back, and data that do not fit."""

from __future__ import annotations

import enum
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pytest

from pytest_medgan.errors import DataError, SettingsError
from pytest_medgan.ground.plain import from_plain, to_plain
from pytest_medgan.records import Scalar


@dataclass(frozen=True)
class Inner:
    number: float
    maybe: float | None = None


@dataclass(frozen=True)
class Outer:
    name: str
    inners: tuple[Inner, ...] = ()
    by_count: Mapping[int, Inner] = field(default_factory=dict)
    free: Mapping[str, Scalar] = field(default_factory=dict)


class Colour(enum.StrEnum):
    RED = "red"


@dataclass(frozen=True)
class Painted:
    colour: Colour


def test_plain_data_give_back_an_equal_record() -> None:
    outer = Outer("a", (Inner(1.5), Inner(2.0, 3.0)), {60: Inner(0.0)}, {"x": 1, "y": None, "z": True, "w": "t"})
    assert from_plain(Outer, to_plain(outer)) == outer


def test_nan_becomes_null_and_nan_again() -> None:
    plain = to_plain(Inner(math.nan, math.nan))
    assert plain == {"number": None, "maybe": None}
    again = from_plain(Inner, plain)
    assert math.isnan(again.number)
    assert again.maybe is None  # None and nan share null; where None is allowed it wins


def test_infinities_survive_strict_json() -> None:
    inner = Inner(math.inf, -math.inf)
    assert from_plain(Inner, json.loads(json.dumps(to_plain(inner), allow_nan=False))) == inner


def test_numpy_scalars_and_enums_become_built_in_types() -> None:
    plain = to_plain({"a": np.float64(1.5), "b": np.str_("x"), "c": Colour.RED})
    assert [type(value) for value in plain.values()] == [float, str, str]
    assert from_plain(Painted, to_plain(Painted(Colour.RED))) == Painted(Colour.RED)
    with pytest.raises(SettingsError, match=r"run\.colour must be one of red\. Run the tests again"):
        from_plain(Painted, {"colour": "blue"})


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({}, "run.name is absent"),
        ({"name": 1}, "run.name must be text and is a whole number"),
        ({"name": "a", "inners": {}}, "run.inners must be a list and is a table"),
        ({"name": "a", "inners": [{"number": "x"}]}, r"run.inners\[0\].number must be a number and is text"),
        ({"name": "a", "inners": [{"number": True}]}, "must be a number and is true or false"),
        ({"name": "a", "by_count": [1]}, "run.by_count must be a table and is a list"),
        ({"name": "a", "by_count": {"": {}}}, "run.by_count must have a whole number as each key"),
        ({"name": "a", "free": {"x": [1]}}, "run.free.x must be a single value and is a list"),
        ([], "run must be a table and is a list"),
    ],
)
def test_data_of_another_type_are_named(data: object, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        from_plain(Outer, data)


def test_error_and_action_are_the_callers() -> None:
    with pytest.raises(DataError) as caught:
        from_plain(Inner, {}, "answers", action="Save the answers again.", error=DataError)
    assert str(caught.value) == "answers.number is absent. Save the answers again."


def test_unknown_keys_are_ignored() -> None:
    assert from_plain(Inner, {"number": 1, "later": 2}) == Inner(1.0)
