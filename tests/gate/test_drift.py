"""Anchors of rows whose training runs were the best of several."""

from __future__ import annotations

import math
from dataclasses import replace
from types import MappingProxyType

import numpy as np
import pytest

from pytest_medgan.catalogue import METRICS
from pytest_medgan.gate.anchors import updated
from pytest_medgan.gate.decision import spreads_of
from pytest_medgan.gate.difference import advantage_of_best, difference
from pytest_medgan.gate.drift import scores_of, with_anchors
from pytest_medgan.gate.risks import DEFAULT
from pytest_medgan.records import Anchor, Row, TrainingRun

N, DAY = 1024, "2026-01-01"
BEST, PLAIN = (19.0, 19.4, 19.8), (19.6, 20.5, 21.4)
RECALLS = ((0.62, 0.60, 0.58), (0.60, 0.55, 0.50))


def named(made: Row, prefix: str, selected_from: int = 0) -> Row:
    """Return a row whose training runs have names of their own."""
    runs = tuple(TrainingRun(f"{prefix} {i}") for i in range(len(made.runs)))
    return replace(made, runs=runs, selected_from=selected_from)


def pooled(old: Row, new: Row, name: str) -> tuple[float, float]:
    """Return the spread of training runs that both rows tell, and the sampling error of the old row's mean."""
    scores = scores_of(new, N)
    prior = spreads_of(old, scores, N).at_look
    base = old.entries[name].at[N]
    sampling = math.sqrt(math.fsum(run.se**2 for run in base.each_run())) / len(base.each_run())
    return math.sqrt(difference(METRICS[name], base, scores[name], N, prior).extra), sampling


def first_anchor(old: Row, new: Row, name: str) -> tuple[float, float]:
    """Return where a selected row's recipe is expected, and the error of that."""
    spread, sampling = pooled(old, new, name)
    kept = len(old.runs)
    worse = -1 if METRICS[name].higher_is_better else 1
    shift = worse * advantage_of_best(kept, old.selected_from) * spread
    return old.entries[name].at[N].mean + shift, math.hypot(sampling, spread / math.sqrt(kept))


@pytest.mark.parametrize("name", ["fid", "improved_recall"])
def test_first_anchor_of_a_selected_row_is_where_its_recipe_is_expected(row, name):
    old = named(row(se=0.01, fid=BEST, improved_recall=RECALLS[0]), "old", selected_from=10)
    new = named(row(se=0.01, fid=PLAIN, improved_recall=RECALLS[1]), "new")
    anchor = with_anchors(old, new, DAY, DEFAULT).entries[name].anchor
    value, se = first_anchor(old, new, name)
    added = new.entries[name].at[N].mean
    assert anchor.rows == 2
    assert anchor.at[N].mean == pytest.approx(updated(value, se, 1, added, 0.0)[0])
    assert anchor.at[N].se > 0.8 * se  # the first row counts four fifths


def test_anchor_of_the_best_single_run_takes_the_spread_of_the_new_runs(row):
    old = named(row(se=0.01, fid=19.0), "old", selected_from=5)
    new = named(row(se=0.01, fid=PLAIN), "new")
    anchor = with_anchors(old, new, DAY, DEFAULT).entries["fid"].anchor
    value, se = first_anchor(old, new, "fid")
    assert value > 19.5
    assert anchor.at[N].mean == pytest.approx(updated(value, se, 1, 20.5, 0.0)[0])


def test_row_that_was_not_selected_is_its_own_first_anchor(row):
    old, new = named(row(se=0.01, fid=BEST), "old"), named(row(se=0.01, fid=PLAIN), "new")
    anchor = with_anchors(old, new, DAY, DEFAULT).entries["fid"].anchor
    assert anchor.at[N].mean == pytest.approx(updated(19.4, 0.0, 1, 20.5, 0.0)[0])
    assert with_anchors(replace(old, selected_from=3), new, DAY, DEFAULT).entries["fid"].anchor == anchor


def test_selected_row_enters_an_older_anchor_where_its_recipe_is_expected(row):
    old, new = named(row(se=0.01, fid=PLAIN), "old"), named(row(se=0.01, fid=BEST), "new", selected_from=10)
    before = Anchor(DAY, 1, old.entries["fid"].at)
    entries = {"fid": replace(old.entries["fid"], anchor=before)}
    old = replace(old, entries=MappingProxyType(entries))
    anchor = with_anchors(old, new, DAY, DEFAULT).entries["fid"].anchor
    assert anchor.at[N].mean == pytest.approx(updated(20.5, 0.0, 1, first_anchor(new, old, "fid")[0], 0.0)[0])


def test_advantage_of_the_best_alone_does_not_replace_the_anchor(row):
    """The new runs are better by more than chance, but not by more than the luck of the best 3 of 20 as well."""
    old = named(row(se=0.05, fid=(20.0, 20.2, 20.4)), "old")
    new = named(row(se=0.05, fid=(18.7, 18.9, 19.1)), "new")
    assert with_anchors(old, new, DAY, DEFAULT).entries["fid"].anchor is None
    chosen = with_anchors(old, replace(new, selected_from=20), DAY, DEFAULT).entries["fid"].anchor
    assert chosen.rows == 2


def test_anchors_of_selected_and_plain_rows_of_one_recipe_agree(row):
    """Means over 300 replacements; the runs that were left out narrow the spread, so a part of the luck remains."""
    rng, found = np.random.default_rng(0), {0: [], 10: []}
    for _ in range(300):
        new = named(row(se=0.02, fid=tuple(20 + rng.standard_normal(3))), "new")
        for trained, anchors in found.items():
            runs = np.sort(20 + rng.standard_normal(max(trained, 3)))[:3] if trained else 20 + rng.standard_normal(3)
            old = named(row(se=0.02, fid=tuple(runs)), "old", selected_from=trained)
            made = with_anchors(old, new, DAY, DEFAULT).entries["fid"]
            anchors.append((made.anchor or Anchor(DAY, 1, made.at)).at[N].mean)
    assert np.mean(found[10]) == pytest.approx(np.mean(found[0]), abs=0.35)
