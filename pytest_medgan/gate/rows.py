"""One baseline row of several candidates: training runs of one recipe, measured alike."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from types import MappingProxyType

import numpy as np

from pytest_medgan.errors import BaselineError
from pytest_medgan.gate.document import REAL, Document
from pytest_medgan.records import Entry, Row, TrainingRun, mean_of_runs

_ONE_RUN = (TrainingRun(),)  # of a row that does not say which model it was measured on


def chosen_row(document: Document, row: str | None) -> tuple[str, Row]:
    """Return the name to accept under and the candidate's row: the one of that name, else its only model.

    Raises:
        BaselineError: The candidate has several models and no row was named.
    """
    models = [name for name in document.rows if name != REAL]
    name = row or (models[0] if len(models) == 1 else "")
    if name in document.rows:
        return name, document.rows[name]
    if not name or len(models) != 1:
        raise BaselineError(f"The candidate has {_listed(document.rows)}. Choose one by --row.")
    return name, document.rows[models[0]]


def combined(rows: Sequence[Row]) -> Row:
    """Return one row of all training runs of several rows.

    Raises:
        BaselineError: They were measured under other conditions, at other counts or in other metrics; a checkpoint
            stands in two of them; their recipes differ.
    """
    first = rows[0]
    for other in rows[1:]:
        _refuse_unlike(first, other)
    runs = tuple(run for row in rows for run in (row.runs or _ONE_RUN))
    _refuse_doubles(runs)
    _refuse_equal(rows)
    _refuse_other_recipes(runs)
    if len(rows) == 1:
        return first
    entries = {name: _joined([row.entries[name] for row in rows]) for name in first.entries}
    return replace(first, entries=MappingProxyType(entries), runs=runs)


def _refuse_other_recipes(runs: Sequence[TrainingRun]) -> None:
    """Raise BaselineError where runs were trained by several recipes."""
    recipes = sorted({run.recipe for run in runs if run.recipe})
    if len(recipes) > 1:
        raise BaselineError(
            f"The candidate's runs were trained by {len(recipes)} recipes ({', '.join(one[:12] for one in recipes)}), "
            "and a row holds runs of one. Accept each recipe as a row of its own."
        )


def _joined(entries: Sequence[Entry]) -> Entry:
    """Return one metric of all training runs."""
    at = {n: mean_of_runs([run for entry in entries for run in entry.at[n].each_run()]) for n in entries[0].at}
    return replace(entries[0], at=MappingProxyType(at))


def _refuse_unlike(first: Row, other: Row) -> None:
    """Raise BaselineError where two candidates cannot stand in one row."""
    if first.fingerprint is not None and other.fingerprint is not None:
        differences = other.fingerprint.differences(first.fingerprint)
        if differences:
            raise BaselineError(
                f"The candidates were measured under other conditions ({'; '.join(differences)}). Measure all alike."
            )
    if dict(first.counts) != dict(other.counts):
        raise BaselineError("The candidates were measured at other counts. Measure all alike, with --medgan-full.")
    if {name: set(entry.at) for name, entry in first.entries.items()} != {
        name: set(entry.at) for name, entry in other.entries.items()
    }:
        raise BaselineError("The candidates were measured in other metrics. Measure all alike.")
    revisions = [{name: entry.revision for name, entry in row.entries.items()} for row in (first, other)]
    if revisions[0] != revisions[1]:
        raise BaselineError("The candidates were measured by other revisions of the metrics. Measure all alike.")


def _refuse_doubles(runs: Sequence[TrainingRun]) -> None:
    """Raise BaselineError where one checkpoint is given as two runs."""
    known = [run.checkpoint for run in runs if run.checkpoint is not None]
    if len(set(known)) < len(known):
        raise BaselineError(
            "Two candidates hold the same checkpoint, which is one training run and not two. Give each run once."
        )


def _refuse_equal(rows: Sequence[Row]) -> None:
    """Raise BaselineError where two runs of models without an identity have the same values throughout."""
    runs = [(run.checkpoint, _values(row, place)) for row in rows for place, run in enumerate(row.runs or _ONE_RUN)]
    nameless = [values for checkpoint, values in runs if checkpoint is None]
    for place, values in enumerate(nameless):
        is_repeated = any(np.array_equal(values, other, equal_nan=True) for other in nameless[:place])
        # shares may well agree, and NaN says nothing
        if is_repeated and any(math.isfinite(number) and number not in (0.0, 1.0) for number in values):
            raise BaselineError(
                "Two candidates hold the same values, so they are one measurement and not two training runs. Give each "
                "run once."
            )


def _values(row: Row, run: int) -> list[float]:
    """Return all values of one training run."""
    at = [entry.at[n].each_run()[run] for _, entry in sorted(row.entries.items()) for n in sorted(entry.at)]
    return [number for score in at for number in (score.mean, *score.values)]


def _listed(names: object) -> str:
    """Return names for a message."""
    return ", ".join(names) if isinstance(names, dict) and names else "none"
