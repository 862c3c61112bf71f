"""Plain data: there and back, wrong data, and the schema."""

from __future__ import annotations

import enum
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pytest

from pytest_medgan.errors import SettingsError
from pytest_medgan.ground.plain import from_plain, json_schema, to_plain
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
    with pytest.raises(SettingsError, match=r"run\.colour must be a Colour, not str"):
        from_plain(Painted, {"colour": "blue"})


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({}, "run.name is absent"),
        ({"name": 1}, "run.name must be a str, not int"),
        ({"name": "a", "inners": {}}, "run.inners must be a list, not dict"),
        ({"name": "a", "inners": [{"number": "x"}]}, r"run.inners\[0\].number must be a float, not str"),
        ({"name": "a", "inners": [{"number": True}]}, "must be a float, not bool"),
        ({"name": "a", "by_count": [1]}, "run.by_count must be a table, not list"),
        ({"name": "a", "free": {"x": [1]}}, "run.free.x must be a single value, not list"),
        ([], "run must be a table, not list"),
    ],
)
def test_data_of_another_type_are_named(data: object, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        from_plain(Outer, data)


def test_schema_follows_the_types() -> None:
    schema = json_schema(Outer, "outer")
    assert schema["$ref"] == "#/$defs/Outer"
    outer = schema["$defs"]["Outer"]
    assert outer["required"] == ["name", "inners", "by_count", "free"]
    assert outer["properties"]["inners"] == {"type": "array", "items": {"$ref": "#/$defs/Inner"}}
    assert schema["$defs"]["Inner"]["properties"]["number"] == {"type": ["number", "null", "string"]}
    assert json_schema(Painted, "")["$defs"]["Painted"]["properties"]["colour"] == {"type": "string", "enum": ["red"]}
