from __future__ import annotations

import math

import pytest

from pytest_medgan.catalogue import METRICS
from pytest_medgan.report.numbers import Scale, errors_text, percent_change, percent_share, scale_of


@pytest.mark.parametrize(
    ("error", "shown"),
    [
        (0.4, "6.8"),
        (0.36, "6.8"),
        (0.35, "6.79"),  # two digits of the error up to 0.354
        (0.1, "6.79"),
        (0.04, "6.79"),
        (0.004, "6.790"),
        (3.0, "6.8"),
        (15.0, "7"),
        (1e-9, "6.790000"),
    ],
)
def test_digits_follow_the_error(error: float, shown: str) -> None:
    assert scale_of(METRICS["fid"], [error]).show(6.79) == shown


def test_smallest_error_decides_and_unknown_ones_are_ignored() -> None:
    assert scale_of(METRICS["fid"], [0.5, None, 0.0, math.nan, 0.04]).decimals == 2


@pytest.mark.parametrize(("name", "shown"), [("fid", "0.500"), ("kid", "0.50000"), ("copy_rate", "50.00")])
def test_without_an_error_the_metrics_own_decimals_hold(name: str, shown: str) -> None:
    assert scale_of(METRICS[name]).show(0.5) == shown


def test_rates_are_in_percent() -> None:
    scale = scale_of(METRICS["duplicate_rate"], [0.0004])
    assert (scale.show(0.0123), scale.with_unit(0.0123)) == ("1.23", "1.23%")


@pytest.mark.parametrize(("window", "shown"), [((-1000.0, 400.0), "12.5 HU"), (None, "12.5 grey levels")])
def test_intensity_distance_has_a_unit(window: tuple[float, float] | None, shown: str) -> None:
    assert scale_of(METRICS["intensity_distance"], [0.4], window).with_unit(12.5) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "–"),
        (math.nan, "–"),
        (math.inf, "∞"),
        (-math.inf, "−∞"),
        (-0.001, "0.00"),
        (-1.5, "−1.50"),
        (12345.678, "12,345.68"),
    ],
)
def test_special_values_are_shown(value: float | None, shown: str) -> None:
    assert Scale(1.0, "", 2).show(value) == shown


def test_absent_value_has_no_unit() -> None:
    assert Scale(1.0, "HU", 2).with_unit(None) == "–"


@pytest.mark.parametrize(
    ("before", "now", "error", "text"),
    [
        (0.5, 0.0, 0.01, "−100%"),
        (6.8, 12.3, 0.2, "+81%"),
        (2.0, 30.0, 0.1, "×15"),
        (2.0, 2.009, 0.1, ""),
        (2.0, 2.011, 0.1, "+1%"),
        (0.0, 1.0, 0.1, ""),
        (0.2, 1.0, 0.1, ""),  # the value before is not clearly different from zero
        (2.0, math.nan, 0.1, ""),
        (-2.0, -1.0, 0.1, "−50%"),
    ],
)
def test_percent_change_needs_a_value_before(before: float, now: float, error: float, text: str) -> None:
    assert percent_change(before, now, error) == text


@pytest.mark.parametrize(("errors", "text"), [(3.14, "3.1"), (-3.14, "3.1"), (9.96, "10"), (1234.5, "1,234")])
def test_errors_have_one_decimal_below_ten(errors: float, text: str) -> None:
    assert errors_text(errors) == text


@pytest.mark.parametrize(("part", "whole", "text"), [(1, 8, "12%"), (1, 40, "2.5%"), (0, 0, "0.0%"), (3, 3, "100%")])
def test_share_has_one_decimal_below_ten_percent(part: int, whole: int, text: str) -> None:
    assert percent_share(part, whole) == text
