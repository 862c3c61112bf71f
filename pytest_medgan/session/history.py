"""Published figures and earlier accepted values that a report shows with a measured row."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from pathlib import Path, PurePath
from types import MappingProxyType
from typing import TYPE_CHECKING

from pytest_medgan.errors import BaselineError
from pytest_medgan.session.version_control import git

if TYPE_CHECKING:
    from pytest_medgan.gate.baseline import Baseline
    from pytest_medgan.records import Row, Score
    from pytest_medgan.report import HistoryPoint

# name of a collection of studies, as in folder names -> built-in file of the figures published for it
PUBLISHED = {"nsclc-radiomics": "nsclc_radiomics_jang2022"}
# other collections whose names begin like that of a published one
OTHERS = ("nsclc-radiomics-genomics", "nsclc-radiomics-interobserver")
MOST_COMMITS = 30  # a history reads at most this many commits of the baseline file

# settings of the user that add lines to the output of git log or write it in another encoding
_PLAIN_LOG = ("-c", "log.showSignature=false", "-c", "i18n.logOutputEncoding=UTF-8", "log", "--no-color")
_COMMIT = re.compile(r"([0-9a-f]+) (\d{4}-\d\d-\d\d)")


def collection_of(source: str) -> str:
    """Return the public collection that a source belongs to, by the names of its folders; "" if unknown."""
    names = [part.casefold().replace("_", "-").replace(" ", "-") for part in PurePath(source).parts]
    own = [part for part in names if not part.startswith(OTHERS)]
    return next((name for name in PUBLISHED if any(part.startswith(name) for part in own)), "")


def published_for(collection: str, baseline: Baseline | None, *names: str) -> tuple[Baseline, Row] | None:
    """Find the published figures of a model.

    Args:
        collection: As `collection_of` returns it.
        baseline: The project's own baseline. If it holds published figures, the row is searched for there, otherwise
            in the built-in file of the collection.
        *names: Names of the model. The first one that contains the name of a published row is used.

    Returns:
        The file and its row, or None where nothing was published for the model.
    """
    from pytest_medgan.gate.baseline import load
    from pytest_medgan.gate.document import REAL

    if baseline is None or baseline.kind != "published":
        built_in = PUBLISHED.get(collection)
        if built_in is None:
            return None
        baseline = load(built_in)
    for name in names:
        for row in baseline.rows:
            if row != REAL and row.casefold() in name.casefold():
                return baseline, baseline.row(row)
    return None


def accepted_history(baseline: Baseline, row: Row, count: int | None = None) -> tuple[HistoryPoint, ...]:
    """Return the accepted values of a row, oldest first, from the git history of the baseline file.

    Only values measured under the same settings and inputs are returned, because other values are not comparable.

    Args:
        baseline: The file as loaded.
        row: A row of the file.
        count: Return the values measured with this many images per sample group; None takes the largest number of
            each state.

    Returns:
        The history; the row alone if there is no git, no repository or no commit of the file, or if git fails.
    """
    from pytest_medgan.report import HistoryPoint

    states: list[tuple[str, Row]] = []
    for label, earlier in [*_committed_rows(baseline.path, row.name), ("not committed", row)]:
        settings = earlier.fingerprint
        if settings is not None and row.fingerprint is not None and settings.differences(row.fingerprint):
            continue
        if earlier.limits and (not states or _values_by_metric(states[-1][1]) != _values_by_metric(earlier)):
            states.append((label, earlier))
    points = [HistoryPoint(label, _values_at(state, count), _reason(state)) for label, state in states]
    return tuple(point for point in points if point.metrics)


def _values_at(row: Row, count: int | None) -> Mapping[str, Score]:
    """Return a row's values at a number of images, None for the largest; metrics without such a value are left out."""
    at = {m: max(limit.values, default=0) if count is None else count for m, limit in row.limits.items()}
    return MappingProxyType({m: lim.values[at[m]] for m, lim in row.limits.items() if at[m] in lim.values})


def _reason(row: Row) -> str:
    """Return why a row was accepted."""
    return str(row.provenance.get("reason", ""))


def _committed_rows(path: Path, row: str) -> list[tuple[str, Row]]:
    """Return the row at each of the file's latest commits, oldest first, labelled with day and commit."""
    from pytest_medgan.gate.baseline import parse

    file, found = path.resolve(), []
    try:
        log = git(file.parent, *_PLAIN_LOG, f"-{MOST_COMMITS}", "--format=%h %cs", "--", f"./{file.name}")
        for line in filter(None, map(_COMMIT.fullmatch, reversed(log.splitlines()))):
            commit, day = line.groups()
            try:
                text = git(file.parent, "cat-file", "blob", f"{commit}:./{file.name}")
                found.append((f"{day} {commit}", parse(text, path.name).row(row, path.name)))
            except (BaselineError, subprocess.CalledProcessError):
                continue  # the file cannot be read at this commit, or did not exist
    except Exception:  # whatever git says and an earlier file holds: the report shows the run without its history too
        return []
    return found


def _values_by_metric(row: Row) -> dict[str, object]:
    """Return the row's values by metric and count."""
    return {metric: dict(limit.values) for metric, limit in row.limits.items()}
