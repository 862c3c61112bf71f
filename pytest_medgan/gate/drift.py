"""What accepting a row would lose: it is compared with the row that it replaces and with the anchors.

A metric that the new row no longer has is a loss too. Otherwise the gate would lose the metric without notice, and
later rows could become worse in it.
"""

from __future__ import annotations

import math
from dataclasses import replace
from types import MappingProxyType

from pytest_medgan.catalogue import METRICS, ordered
from pytest_medgan.gate.anchors import updated
from pytest_medgan.gate.comparable import is_selected, same_runs
from pytest_medgan.gate.decision import spreads_of
from pytest_medgan.gate.difference import (
    Difference,
    advantage_of_best,
    against_anchor,
    difference,
    error_as_mean,
    mean_of_recipe,
)
from pytest_medgan.gate.looking import Comparison, look
from pytest_medgan.gate.risks import Question, Settings, criticals
from pytest_medgan.records import Anchor, Change, Outcome, Row, Score, Scores, Verdict

_LOST = (Outcome.FAIL, Outcome.UNDECIDED)


def lost_metrics(old: Row, new: Row, settings: Settings) -> tuple[Verdict, ...]:
    """Return the verdicts of the metrics in which a new row is worse than the row that it replaces, or than its anchor.

    Args:
        old: The row in the file, measured under the same fingerprint.
        new: The row that replaces it.
        settings: The risks.
    """
    verdicts = []
    for name in _shared(old, new):
        n = _full(old, new, name)
        scores = scores_of(new, n)
        settings = replace(settings, metrics=max(settings.metrics, old.family))
        asked = Comparison(METRICS[name], old[name], (n,), Change.RECIPE)
        verdicts.append(look(asked, scores, settings, spreads_of(old, scores, n)))
    return tuple(verdict for verdict in verdicts if verdict.outcome in _LOST)


def missing_metrics(old: Row, new: Row) -> tuple[str, ...]:
    """Return the metrics of a row that the row which replaces it does not have, those of the project's own as well."""
    return ordered(name for name in old.entries if name not in new.entries)


def with_anchors(old: Row | None, new: Row, day: str, settings: Settings) -> Row:
    """Return the new row with the anchors that lead on from the old one.

    A metric without an anchor is its own: it is the first, or it is better than its anchor was by more than chance.
    The same training runs measured once more tell nothing new, so their anchors stay as they are. A row whose runs were
    the best of several counts as what its recipe is expected to give, as it does where a candidate is compared with it.

    Args:
        old: The row that it replaces; None where there is none, where the two cannot be compared, or where a person
            moves the anchors.
        new: The new row.
        day: When the old row was accepted, YYYY-MM-DD.
        settings: The risks.
    """
    if old is None:
        return new
    entries = dict(new.entries)
    repeated = same_runs(old, new)
    for name in _shared(old, new):
        if repeated:
            entries[name] = replace(entries[name], anchor=old.entries[name].anchor)
            continue
        before = old.entries[name].anchor or Anchor(day, 1, MappingProxyType(_means(old, new, name)))
        anchor = None if _better(before, old, new, name, settings) else _moved(before, old, new, name)
        entries[name] = replace(entries[name], anchor=anchor)
    return replace(new, entries=MappingProxyType(entries))


def scores_of(row: Row, n: int) -> Scores:
    """Return a row's values at one count as if they had just been measured."""
    names = tuple(run.checkpoint or "" for run in row.runs) if len(row.runs) > 1 else ()
    metrics = {name: entry.at[n] for name, entry in row.entries.items() if n in entry.at}
    count = row.counts[n]
    return Scores(count.n_real, n, tuple(map(str, range(count.groups))), MappingProxyType(metrics), runs=names)


def _moved(before: Anchor, old: Row, new: Row, name: str) -> Anchor:
    """Return the anchor with one more row in it."""
    means, at = _means(new, old, name), {}
    for n, score in before.at.items():
        if n in means:
            value, se = updated(score.mean, score.se, before.rows, means[n].mean, means[n].se)
            at[n] = Score(value, se, groups=means[n].groups)
    return Anchor(before.since, before.rows + 1, MappingProxyType(at))


def _better(before: Anchor, old: Row, new: Row, name: str, settings: Settings) -> bool:
    """Whether a row is better than its anchor by more than chance."""
    metric, n = METRICS[name], _full(old, new, name)
    if n not in before.at:
        return False
    scores, seen = scores_of(new, n), _seen(old, new, name, n)
    gained = against_anchor(metric, before.at[n], scores[name], n, seen)
    luck = advantage_of_best(max(len(new.runs), 1), new.selected_from) * math.sqrt(seen.extra)
    question = Question(recipe=seen.run_sd is not None, runs=max(len(scores.runs), 1))
    return gained.loss + luck < -criticals(settings, question, gained.error).certain * gained.error.se


def _means(row: Row, other: Row, name: str) -> dict[int, Score]:
    """Return a row's values with their errors as estimates of what its recipe gives.

    Args:
        row: The row.
        other: The row that it replaces or that replaces it.
        name: The metric, which both have.
    """
    means = {}
    for n, score in row.entries[name].at.items():
        if is_selected(row) and n in other.entries[name].at:
            means[n] = mean_of_recipe(METRICS[name], score, row.selected_from, n, _seen(row, other, name, n))
        else:
            prior = spreads_of(row, scores_of(row, n), n).row_at_look
            means[n] = Score(score.mean, error_as_mean(METRICS[name], score, n, prior), groups=score.groups)
    return means


def _seen(first: Row, second: Row, name: str, n: int) -> Difference:
    """Return the difference of two rows in one metric, which tells the spread of training runs."""
    scores = scores_of(second, n)
    return difference(METRICS[name], first.entries[name].at[n], scores[name], n, spreads_of(first, scores, n).at_look)


def _shared(old: Row, new: Row) -> tuple[str, ...]:
    """Return the metrics that both rows have at a common count, measured by the same code.

    Metrics of the project's own are left out: a file does not say which direction is better for them.
    """
    return tuple(
        name
        for name, entry in new.entries.items()
        if name in METRICS
        and name in old.entries
        and old.entries[name].revision == entry.revision
        and set(old.entries[name].at) & set(entry.at)
    )


def _full(old: Row, new: Row, name: str) -> int:
    """Return the largest common count."""
    return max(set(old.entries[name].at) & set(new.entries[name].at))
