"""Remove the candidates that an earlier run left of the models which this run is asked to measure.

A model that is not measured now, because a fixture fails or the run is stopped, must not leave a candidate that
`medgan baseline accept` would take for this run's. So it is removed before the tests run; every candidate is written at
the end of the run. The candidates of models that no selected test measures stay.

A test says by its marker or its settings which model it measures. Where the project's own fixture makes the model, its
name is known once it is made. If the fixture fails, the candidates that this test left before are removed; pytest's
cache holds their names.
"""

from __future__ import annotations

from collections.abc import Collection, Generator, Iterable
from pathlib import Path
from typing import Any

import pytest

from pytest_medgan.errors import SettingsError
from pytest_medgan.plugin.channel import hand_over_line
from pytest_medgan.plugin.markers import marker_values, names_model
from pytest_medgan.plugin.overrides import is_replaced
from pytest_medgan.plugin.precedence import chosen_model, given, model_name
from pytest_medgan.plugin.state import state_of, writes_files
from pytest_medgan.session.candidates import candidate_path

SCORES = "medgan_scores"  # the fixture by which a test asks for a model to be measured
KEPT = "medgan/candidates"  # in pytest's cache: id of a test -> names of the candidates that it left
PATTERN = "candidate-*.yaml"
NAME_IS_KNOWN = pytest.StashKey[bool]()  # the candidate was looked for by the name of the model


class Earlier:
    """Remove earlier candidates, in every process that runs tests: the controller of pytest-xdist knows no markers."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> None:
        """Remove the candidates of the selected tests before the first one runs.

        It is no hook of the collection, since `pytest --fixtures` collects tests too, and runs none.
        """
        if runs_no_test(self._config) or not any(_report_dir(self._config).glob(PATTERN)):
            return
        for item in session.items:
            if SCORES in getattr(item, "fixturenames", ()) and not _may_be_skipped(item):
                _remove_by_settings(item)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> Generator[None, None, None]:
        """Remove the candidates of a test whose model is not measured since a fixture failed or the run is stopped."""
        try:
            yield
        except pytest.skip.Exception:
            raise  # a skip keeps the candidates of a model that a fixture makes
        except BaseException:
            if SCORES in getattr(item, "fixturenames", ()):
                _remove_by_settings(item)
                if not item.stash.get(NAME_IS_KNOWN, False):
                    _remove(item, _kept(self._config).get(item.nodeid, ()))
            raise


def remove_candidates(item: pytest.Item, model: str) -> None:
    """Remove what an earlier run left of a model that a test is about to measure."""
    from pytest_medgan.session.beside import NAME

    item.stash[NAME_IS_KNOWN] = True
    names = (model, f"{model}{NAME}") if _has_second_space(item) else (model,)
    _remove(item, [candidate_path(Path(), name).name for name in names])


def runs_no_test(config: pytest.Config) -> bool:
    """Return whether tests are only listed, or only their fixtures run."""
    return bool(config.getoption("collectonly") or config.getoption("setuponly", False))


def note_candidates(config: pytest.Config, written: Iterable[tuple[Collection[str], str]]) -> None:
    """Keep in pytest's cache which candidates each test left.

    Args:
        config: pytest's configuration.
        written: The ids of tests and the name of the candidate that they left.
    """
    cache = getattr(config, "cache", None)  # absent under -p no:cacheprovider
    found: dict[str, list[str]] = {}
    for tests, name in written:
        for nodeid in tests:
            found.setdefault(nodeid, []).append(name)
    if cache is not None and found:
        cache.set(KEPT, {**_kept(config), **found})


def _kept(config: pytest.Config) -> dict[str, list[str]]:
    """Return the candidates that tests left, by the id of the test."""
    cache = getattr(config, "cache", None)
    kept: Any = None if cache is None else cache.get(KEPT, {})
    return kept if isinstance(kept, dict) else {}


def _remove_by_settings(item: pytest.Item) -> None:
    """Remove the candidates of the model that a test names, where it names one before it runs."""
    try:
        marked = marker_values(item)
        name = marked.get("name")
        if name is None and (names_model(marked) or not is_replaced(item, "medgan_generator")):
            generator, runs = chosen_model(item.config, marked)
            spec = runs[0] if runs else generator
            name = None if spec is None else model_name(spec, None)
    except SettingsError:
        return  # shown when the test runs
    if name is not None:
        remove_candidates(item, str(name))


def _remove(item: pytest.Item, names: Iterable[str]) -> None:
    """Remove candidates from the folder of reports, in a process that runs tests and writes files."""
    for name in names if writes_files() and not runs_no_test(item.config) else ():
        path = _report_dir(item.config) / Path(name).name
        if not path.match(PATTERN):
            continue
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            hand_over_line(
                item,
                f"{path.name} is of an earlier run and could not be removed ({error.strerror or 'no reason given'}). "
                "Do not accept it.",
            )


def _may_be_skipped(item: pytest.Item) -> bool:
    """Return whether a marker may skip a test, which is then not asked to measure."""
    return any(item.get_closest_marker(name) is not None for name in ("skip", "skipif"))


def _has_second_space(item: pytest.Item) -> bool:
    """Return whether a test asks for a second feature space."""
    return given(item.config, marker_values(item), "beside").value is not None


def _report_dir(config: pytest.Config) -> Path:
    """Return the folder of reports and candidates."""
    return state_of(config).options.report_dir
