"""Specification strings: what is a name, what is an option, and what a wrong one says."""

from __future__ import annotations

import pytest

from pytest_medgan.errors import SettingsError
from pytest_medgan.ground.specs import Option, Spec, numbers, one_of, parse_spec, read_options, whole_number

KNOWN = {
    "size": Option(whole_number(8), "a whole number of at least 8"),
    "split": Option(one_of("patient", "slice"), "patient or slice"),
    "window": Option(numbers(2), "two numbers such as -1000:400"),
}


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("phantom", Spec("phantom", {})),
        ("a,b", Spec("a,b", {})),
        ("a=1", Spec("a=1", {})),
        ("a,b=1,c", Spec("a,b=1,c", {})),
        ("a,b=1,c=2", Spec("a", {"b": "1", "c": "2"})),
        ("a,b=x=y", Spec("a", {"b": "x=y"})),
        ("a, b = 1", Spec("a", {"b": "1"})),
        ("a,b=", Spec("a", {"b": ""})),
        ("C:\\x,y-z=1", Spec("C:\\x,y-z=1", {})),
    ],
)
def test_parse_spec_splits_name_and_options(text: str, spec: Spec) -> None:
    assert parse_spec(text, "it") == spec


def test_parse_spec_keeps_the_order_of_options() -> None:
    assert list(parse_spec("a,c=1,b=2", "it").options) == ["c", "b"]


@pytest.mark.parametrize("text", ["", " ", ",size=3"])
def test_parse_spec_without_a_name_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match=r"^--data has no name in"):
        parse_spec(text, "--data")


def test_parse_spec_refuses_a_key_given_twice() -> None:
    with pytest.raises(SettingsError, match=r"^--data has size= twice\. Give it once\.$"):
        parse_spec("a,size=1,size=1", "--data")


def test_read_options_reads_each_value() -> None:
    given = {"size": "64", "split": "slice", "window": "-1e3:400"}
    assert read_options(given, KNOWN, "--data") == {"size": 64, "split": "slice", "window": (-1000.0, 400.0)}


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("size", "7"),
        ("size", "٣٤"),
        ("size", "1.5"),
        ("size", "--9"),
        ("split", "slise"),
        ("window", "1"),
        ("window", "1:2:3"),
        ("window", "nan:1"),
        ("window", "a:b"),
    ],
)
def test_read_options_names_key_and_value_it_cannot_use(key: str, text: str) -> None:
    with pytest.raises(SettingsError) as info:
        read_options({key: text}, KNOWN, "--data")
    assert str(info.value) == f"--data: {key}= takes {KNOWN[key].takes}, not {text!r}."


def test_read_options_lists_the_known_keys() -> None:
    with pytest.raises(SettingsError, match=r"^--data has no option 'sise'\. It takes size, split, window\.$"):
        read_options({"sise": "1"}, KNOWN, "--data")


def test_whole_number_accepts_its_bound() -> None:
    assert whole_number(-3)("-3") == -3
    with pytest.raises(ValueError, match="-4"):
        whole_number(-3)("-4")
