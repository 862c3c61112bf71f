"""Read the markers of a test; the closest one wins."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest

from pytest_medgan.errors import SettingsError

MODEL = ("generator", "runs")  # words that name the model under test; a test has one of them
MARKER_KEYS = (
    "name",
    "data",
    "generator",
    "runs",
    "change",
    "paired_with",
    "extractor",
    "beside",
    "baseline",
    "samples",
    "seeds",
    "metrics",
)
_AS_TEXT = ("generator", "paired_with", "extractor", "beside", "baseline")  # of these words the value is text


def marker_values(item: pytest.Item) -> dict[str, Any]:
    """Return the values of a test's medgan markers; the closest marker wins.

    A closer marker that names a model, by generator= or by runs=, replaces the model of a farther one, whichever of the
    two words that one uses.

    Raises:
        SettingsError: A marker has an argument that it does not take, or names the model twice.
    """
    values: dict[str, Any] = {}
    for markers in _closest_first(item):
        here: dict[str, Any] = {}
        for marker in markers:
            _check_words(marker)
            here = {**marker.kwargs, **here}
        if all(here.get(word) is not None for word in MODEL):
            raise SettingsError("The marker's generator= and runs= contradict one another. Leave one out.")
        if names_model(values):
            here = {name: value for name, value in here.items() if name not in MODEL}
        values = {**here, **values}
    for name, value in values.items():
        _check_value(name, value)
    return values


def names_model(values: Mapping[str, Any]) -> bool:
    """Return whether the values of a marker name the model under test."""
    return any(values.get(word) is not None for word in MODEL)


def _closest_first(item: pytest.Item) -> Iterator[list[pytest.Mark]]:
    """Yield the markers of each place: parameter set, function, class, base class, module.

    pytest itself puts the function before the parameter set and the base class before the class.
    """
    for node, pairs in groupby(item.iter_markers_with_node("medgan"), key=lambda pair: pair[0]):
        markers = [marker for _, marker in pairs]
        places = [_place(marker, node) for marker in markers]
        for place in sorted(set(places)):
            yield [marker for marker, own in zip(markers, places, strict=True) if own == place]


def _place(marker: pytest.Mark, node: Any) -> int:
    """Return the place of a marker within its node; the lowest is the closest to the test."""
    owner = getattr(node, "obj", None)
    if isinstance(owner, type):
        for place, parent in enumerate(owner.__mro__):
            own = vars(parent).get("pytestmark", [])
            if any(getattr(one, "mark", one) is marker for one in (own if isinstance(own, list) else [own])):
                return place
    callspec = getattr(node, "callspec", None)
    return -1 if callspec is not None and any(marker is one for one in callspec.marks) else 0


def _check_words(marker: pytest.Mark) -> None:
    """Raise SettingsError for a marker with an argument that it does not take."""
    if marker.args:
        raise SettingsError("The marker medgan takes keywords only, such as medgan(generator='model.safetensors').")
    if unknown := sorted(set(marker.kwargs) - set(MARKER_KEYS)):
        raise SettingsError(f"The marker medgan takes {', '.join(MARKER_KEYS)}, not {unknown[0]!r}.")


def _check_value(name: str, value: Any) -> None:
    """Raise SettingsError for a value of the marker that is an object where text belongs."""
    if name in _AS_TEXT and value is not None and not isinstance(value, str | Path):
        fixture = f", or override the fixture medgan_{name}" if name in ("generator", "extractor") else ""
        raise SettingsError(
            f"The marker medgan takes {name}= as text, not {type(value).__name__}. Write it as on the command "
            f"line{fixture}."
        )
    if name == "runs" and value is not None and not isinstance(value, Iterable):
        raise SettingsError(f"The marker medgan takes runs= as text or a list, not {type(value).__name__}.")
