"""When two fingerprints differ."""

from __future__ import annotations

import math
from typing import Any

import pytest

from pytest_medgan.records import Fingerprint


def fingerprint(**changes: Any) -> Fingerprint:
    given: dict[str, Any] = {"inputs": {"a": 1, "b": "x"}, "canary": (3.0, 4.0), "canary_tolerance": 1e-3}
    return Fingerprint(**{**given, **changes})


@pytest.mark.parametrize(
    ("other", "line"),
    [
        ({"a": 2, "b": "x"}, "a: 1 != 2"),
        ({"b": "x"}, "a: 1 != absent"),
        ({"a": 1, "b": "x", "c": None}, "c: absent != None"),
    ],
)
def test_differing_inputs_are_named(other: dict[str, Any], line: str) -> None:
    assert fingerprint().differences(fingerprint(inputs=other)) == (line,)


@pytest.mark.parametrize(("gap", "agrees"), [(0.0049, True), (0.0051, False), (math.nan, False)])
def test_canary_agrees_within_its_relative_tolerance(gap: float, agrees: bool) -> None:
    other = fingerprint(canary=(3.0, 4.0 + gap))  # the norm is 5
    assert (fingerprint().differences(other) == ()) is agrees


def test_the_wider_of_two_canary_tolerances_counts() -> None:
    wide = fingerprint(canary=(3.0, 4.0 + 0.009), canary_tolerance=2e-3)
    assert fingerprint().differences(wide) == ()
    assert fingerprint(canary=(3.0, 4.0 + 0.011)).differences(fingerprint(canary_tolerance=2e-3)) != ()


def test_canary_of_another_length_differs() -> None:
    assert fingerprint().differences(fingerprint(canary=(3.0,))) == ("canary: 2 numbers != 1",)


def test_environment_is_never_compared() -> None:
    assert fingerprint(environment={"torch": "2"}).differences(fingerprint(environment={"torch": "3"})) == ()
