"""When two fingerprints differ."""

from __future__ import annotations

import math
from typing import Any

import pytest

from pytest_medgan.records import Fingerprint


def fingerprint(**changes: Any) -> Fingerprint:
    given: dict[str, Any] = {"inputs": {"a": 1, "b": "x"}, "canary": (3.0, 4.0)}
    return Fingerprint(**{**given, **changes})


@pytest.mark.parametrize(
    ("other", "line"),
    [
        ({"a": 2, "b": "x"}, "a: 1 != 2"),
        ({"b": "x"}, "a: 1 != absent"),
        ({"a": 1, "b": "x", "c": None}, "c: absent != None"),
        ({"a": 1, "b": "0123456789ab" + 52 * "c"}, "b: x != 0123456789ab"),
    ],
)
def test_differing_inputs_are_named(other: dict[str, Any], line: str) -> None:
    assert fingerprint().differences(fingerprint(inputs=other)) == (line,)


@pytest.mark.parametrize(("gap", "agrees"), [(0.0049, True), (0.0051, False), (math.nan, False)])
def test_canary_agrees_within_its_relative_tolerance(gap: float, agrees: bool) -> None:
    other = fingerprint(canary=(3.0, 4.0 + gap))  # the norm is 5
    assert (fingerprint().differences(other) == ()) is agrees


@pytest.mark.parametrize(("numeric_class", "gap"), [("float32", 0.005), ("tf32", 0.05), ("bfloat16", 0.25)])
def test_canary_tolerance_is_that_of_the_numeric_class(numeric_class: str, gap: float) -> None:
    inputs = {"numeric_class": numeric_class}
    ours = fingerprint(inputs=inputs)
    assert fingerprint(inputs=inputs, canary=(3.0, 4.0 + 0.98 * gap)).same_canary(ours)
    assert not fingerprint(inputs=inputs, canary=(3.0, 4.0 + 1.02 * gap)).same_canary(ours)


def test_keys_that_may_differ_are_left_out() -> None:
    other = fingerprint(inputs={"a": 2, "b": "y"})
    assert fingerprint().differences(other, but=frozenset({"a"})) == ("b: x != y",)
    assert fingerprint().differing_inputs(other) == ("a", "b")


def test_revisions_are_compared_metric_by_metric_elsewhere() -> None:
    assert fingerprint(revisions={"fid": 1}).differences(fingerprint(revisions={"fid": 2})) == ()


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_canary_that_is_not_finite_agrees_with_none(value: float) -> None:
    broken = fingerprint(canary=(3.0, value))
    assert not fingerprint().same_canary(broken)
    assert not broken.same_canary(fingerprint())
    assert not broken.same_canary(broken)


def test_canary_of_another_length_differs() -> None:
    assert fingerprint().differences(fingerprint(canary=(3.0,))) == ("canary: 2 numbers != 1",)


def test_environment_is_never_compared() -> None:
    assert fingerprint(environment={"torch": "2"}).differences(fingerprint(environment={"torch": "3"})) == ()
