"""What a report shows beside a measured row: published figures, and the row's own earlier values."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from pytest_medgan.errors import BaselineError
from pytest_medgan.plugin.candidates import git

if TYPE_CHECKING:
    from pytest_medgan.gate.baseline import Baseline
    from pytest_medgan.records import Row
    from pytest_medgan.report import HistoryPoint

# collections of studies, as their folders are named, and the built-in file of figures published for them
PUBLISHED = {"nsclc-radiomics": "nsclc_radiomics_jang2022"}
STATES = 30  # commits of a baseline file that a history goes back


def collection_of(source: str) -> str:
    """The collection that a source of studies is of, by the name of one of its folders; empty where none is known."""
    names = [part.casefold().replace("_", "-").replace(" ", "-") for part in PurePath(source).parts]
    return next((name for name in PUBLISHED if any(part.startswith(name) for part in names)), "")


def published_for(plain: Mapping[str, Any], baseline: Baseline | None, *names: str) -> tuple[Baseline, Row] | None:
    """The published file and its row for a model, found by the first of the model's names that holds the row's.

    The file is the project's own baseline where that is one of published figures, else the one for the collection.
    """
    from pytest_medgan.gate.baseline import load
    from pytest_medgan.gate.document import REAL

    if baseline is None or baseline.kind != "published":
        built_in = PUBLISHED.get(plain["data"]["collection"])
        if built_in is None:
            return None
        baseline = load(built_in)
    for name in names:
        for row in baseline.rows:
            if row != REAL and row.casefold() in name.casefold():
                return baseline, baseline.row(row)
    return None


def history(baseline: Baseline, row: Row, count: int | None = None) -> tuple[HistoryPoint, ...]:
    """The row's accepted values, oldest first, out of the version control of the baseline's file; of a sample group of
    `count` images where that is given.

    Only states that were measured under the same settings and inputs are among them, since no others may be compared;
    empty where there is no git, no repository or no commit of the file.
    """
    from pytest_medgan.report import history_of

    states: list[tuple[str, Row]] = []
    for label, earlier in [*_committed(baseline.path, row.name), ("not committed", row)]:
        settings = earlier.fingerprint
        if settings is not None and row.fingerprint is not None and settings.differences(row.fingerprint):
            continue
        if earlier.limits and (not states or _values(states[-1][1]) != _values(earlier)):
            states.append((label, earlier))
    return history_of(states, count)


def _committed(path: Path, row: str) -> list[tuple[str, Row]]:
    """The row at each of the file's latest commits, oldest first, under the day of the commit."""
    from pytest_medgan.gate.baseline import parse

    folder, found = path.resolve().parent, []
    try:
        log = git(folder, "log", f"-{STATES}", "--format=%h %cs", "--", f"./{path.name}").split("\n")
        for commit, day in (line.split() for line in reversed(log) if line):
            try:
                found.append((f"{day} {commit}", parse(git(folder, "show", f"{commit}:./{path.name}"), path.name)))
            except (BaselineError, subprocess.CalledProcessError):
                continue  # a state that cannot be read, or in which the file was not there
    except (OSError, subprocess.SubprocessError):
        return []
    return [(label, document.as_row(row, path.name)) for label, document in found]


def _values(row: Row) -> dict[str, object]:
    return {metric: dict(limit.values) for metric, limit in row.limits.items()}
