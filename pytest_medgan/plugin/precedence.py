"""Decide which of several values holds: marker, then command line, then ini key; `fixtures` adds what is overridden.

The model under test is named by one of two settings, `generator` and `runs`. The one from the higher level holds, and
the other counts as not given.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path, PurePath
from typing import Any

import pytest

from pytest_medgan.errors import SettingsError
from pytest_medgan.plugin.markers import MODEL
from pytest_medgan.session.places import located, located_runs


class Level(IntEnum):
    """Where a value was written; the higher level holds."""

    DEFAULT = 0  # nowhere
    INI = 1
    SET_INI = 2  # an ini key on the command line: -o medgan_runs="a b"
    LINE = 3
    MARKER = 4


@dataclass(frozen=True)
class Given:
    """A value as it was written."""

    value: Any  # None at the level DEFAULT alone
    level: Level
    base: Path  # where its paths are looked for


def value_of(config: pytest.Config, name: str) -> str | None:
    """Return the value of an option on the command line, else that of its ini key, else None."""
    given = config.getoption(f"--medgan-{name}")
    if given is None:
        given = config.getini(f"medgan_{name.replace('-', '_')}")
    return str(given) if given not in (None, "") else None


def given(config: pytest.Config, marker: Mapping[str, Any], name: str) -> Given:
    """Return a setting as it was written at its highest level.

    Args:
        config: pytest's configuration.
        marker: The values of the test's markers.
        name: The setting, as a marker names it.
    """
    if marker.get(name) is not None:
        return Given(marker[name], Level.MARKER, config.rootpath)
    option = name.replace("_", "-")
    value = value_of(config, option)
    if value is None:
        return Given(None, Level.DEFAULT, config.rootpath)
    if config.getoption(f"--medgan-{option}") is not None:
        return Given(value, Level.LINE, config.invocation_params.dir)
    changed = {text.partition("=")[0] for text in config.getoption("override_ini", None) or ()}
    return Given(value, Level.SET_INI if f"medgan_{name}" in changed else Level.INI, config.rootpath)


def located_value(config: pytest.Config, marker: Mapping[str, Any], name: str) -> Any:
    """Return the value of a setting that may be a path, resolved from where it was written; None where none is given.

    Raises:
        SettingsError: It is a built-in name, and a path of that name exists too.
    """
    found = given(config, marker, name)
    return located(found.value, found.base, name)


def chosen_model(config: pytest.Config, marker: Mapping[str, Any]) -> tuple[str | None, tuple[str, ...]]:
    """Return the generator, or else the training runs, that the settings name; at most one of the two.

    Raises:
        SettingsError: One level names both, or the runs cannot be read.
    """
    generator, runs = (given(config, marker, word) for word in MODEL)
    if generator.level == runs.level != Level.DEFAULT:
        raise SettingsError(_contradiction(generator.level))
    if runs.level < generator.level:
        return located(generator.value, generator.base, "generator"), ()
    return None, () if runs.value is None else _parsed_runs(runs)


def _contradiction(level: Level) -> str:
    """Return the message for a level that names both a generator and runs."""
    if level in (Level.INI, Level.SET_INI):
        return "The ini keys medgan_generator and medgan_runs contradict one another. Leave one out."
    return (
        "--medgan-generator and --medgan-runs contradict one another, and addopts counts as the command line. Leave "
        "one out."
    )


def _parsed_runs(runs: Given) -> tuple[str, ...]:
    """Return training runs, each resolved from where it was written."""
    from pytest_medgan.evaluate.settings import parse_runs, split_words

    if isinstance(runs.value, str):
        subject = "The marker's runs=" if runs.level is Level.MARKER else "--medgan-runs"
        words = split_words(runs.value, subject)
    else:
        words = [str(word) for word in runs.value]
    return parse_runs(located_runs(words, runs.base))


def model_name(spec: str | None, generator: Any) -> str:
    """Return the name that tables show for a model whose marker gives none.

    Args:
        spec: The generator's string; None where a fixture made it.
        generator: The generator.
    """
    if spec:
        head = spec.split(",")[0]
        return head.rpartition(":")[2] if ":" in head else PurePath(head).stem
    return str(getattr(generator, "__name__", type(generator).__name__))
