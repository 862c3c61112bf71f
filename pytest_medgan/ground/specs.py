"""Parse `NAME,key=value,...` strings: the form in which data, generators and feature spaces are named."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pytest_medgan.errors import SettingsError

_LAST_OPTION = re.compile(r'(.*),\s*([^\W\d]\w*)\s*=\s*("[^"]*"|[^,]*)', re.DOTALL)


@dataclass(frozen=True)
class Spec:
    """A parsed specification string."""

    name: str  # may hold commas: a path, for example
    options: Mapping[str, str]  # in the order given


@dataclass(frozen=True)
class Option:
    """How the value of one key is read."""

    read: Callable[[str], Any]  # raises ValueError for a value it cannot use
    takes: str  # the accepted values in words: "a whole number", "patient or slice"


def parse_spec(text: str, subject: str) -> Spec:
    """Split a specification string into its name and its options.

    Options are read from the right, so commas that no `key=` follows belong to the name. A value that holds commas
    stands in double quotes.

    Args:
        text: `NAME,key=value,...`.
        subject: What the string names, as messages call it: "--medgan-data", "the extractor".

    Raises:
        SettingsError: The name is empty or a key is given twice.

    Examples:
        >>> parse_spec("studies/a,b,split=slice,size=64", "--medgan-data")
        Spec(name='studies/a,b', options={'split': 'slice', 'size': '64'})
        >>> parse_spec('model:build,prompt="CT, lung window",class=3', "the generator").options
        {'prompt': 'CT, lung window', 'class': '3'}
    """
    whole = text
    pairs: list[tuple[str, str]] = []
    while option := _LAST_OPTION.fullmatch(text):
        text, key, value = option.groups()
        pairs.append((key, value[1:-1] if len(value) > 1 and value[0] == value[-1] == '"' else value.strip()))
    name = text.strip()
    if not name:
        raise SettingsError(f"{subject} has no name in {whole!r}. Write NAME or NAME,key=value.")
    options: dict[str, str] = {}
    for key, value in reversed(pairs):
        if key in options:
            raise SettingsError(f"{subject} has {key}= twice. Give it once.")
        options[key] = value
    return Spec(name, options)


def read_options(options: Mapping[str, str], known: Mapping[str, Option], subject: str) -> dict[str, Any]:
    """Read the values of a specification's options.

    Args:
        options: key -> text, as `parse_spec` returns them.
        known: key -> how its value is read.
        subject: What the string names, as messages call it.

    Returns:
        key -> value, for the keys that were given.

    Raises:
        SettingsError: A key is unknown or a value cannot be used; the message names both.
    """
    values: dict[str, Any] = {}
    for key, text in options.items():
        if key not in known:
            takes = f"It takes {', '.join(sorted(known))}." if known else "It takes no options."
            raise SettingsError(f"{subject} has no option {key!r}. {takes}")
        try:
            values[key] = known[key].read(text)
        except ValueError:
            raise SettingsError(f"{subject}: {key}= takes {known[key].takes}, not {text!r}.") from None
    return values


def whole_number(low: int = 0) -> Callable[[str], int]:
    """Return a reader of whole numbers that are at least `low`."""

    def read(text: str) -> int:
        if not text.isascii() or not text.removeprefix("-").isdigit() or int(text) < low:
            raise ValueError(text)
        return int(text)

    return read


def numbers(count: int) -> Callable[[str], tuple[float, ...]]:
    """Return a reader of `count` finite numbers separated by colons."""

    def read(text: str) -> tuple[float, ...]:
        found = tuple(float(part) for part in text.split(":"))
        if len(found) != count or not all(map(math.isfinite, found)):
            raise ValueError(text)
        return found

    return read


def one_of(*choices: str) -> Callable[[str], str]:
    """Return a reader that accepts only the given words."""

    def read(text: str) -> str:
        if text not in choices:
            raise ValueError(text)
        return text

    return read
