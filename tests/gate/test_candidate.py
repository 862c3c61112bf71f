"""Candidates: true to what was measured."""

from __future__ import annotations

import math

from pytest_medgan.catalogue import Metric
from pytest_medgan.gate import baseline
from pytest_medgan.gate.candidate import write_candidate
from pytest_medgan.records import Fingerprint, Score, Scores, TrainingRun, mean_of_runs


def scores(n: int, custom=(), **parts: Score) -> Scores:
    return Scores(800, n, ("0",), parts, custom={metric.name: metric for metric in custom})


def test_one_group_has_no_spread_and_none_is_written(tmp_path):
    score = Score(3.0, 0.1, math.nan, math.nan, values=(3.0,))
    path = tmp_path / "deep" / "c.yaml"
    write_candidate(path, row="m", scores={8: scores(8, fid=score)}, fingerprint=Fingerprint({}), complete=True)
    assert "8: {value: 3.0, se: 0.1}" in path.read_text()
    assert ".nan" not in path.read_text()


def test_a_metric_of_ones_own_is_declared_with_its_sources_digest(tmp_path):
    own = Metric("lesion_dice", "Dice", True, 0.0, 1.0, "ours", True)
    path, fingerprint = tmp_path / "c.yaml", Fingerprint({}, revisions={"lesion_dice": "3f2a"})
    looks = {8: scores(8, (own,), lesion_dice=Score(0.5, 0.1))}
    write_candidate(path, row="m", scores=looks, fingerprint=fingerprint, complete=True)
    loaded = baseline.load(path)
    assert loaded.document.own_metrics == ("lesion_dice",)
    assert loaded.row("m").lesion_dice.values[8].mean == 0.5
    assert loaded.row("m").entries["lesion_dice"].revision == "3f2a"


def test_a_metric_measured_at_some_looks_keeps_those(tmp_path):
    looks = {8: scores(8, fid=Score(1.0, 0.1)), 16: scores(16, fid=Score(1.0, 0.1), kid=Score(1.0, 0.1))}
    write_candidate(tmp_path / "c.yaml", row="m", scores=looks, fingerprint=Fingerprint({}), complete=True)
    row = baseline.load(tmp_path / "c.yaml").row("m")
    assert (tuple(row.fid.values), tuple(row.kid.values)) == ((8, 16), (16,))
    assert row.entries["fid"].revision == "1"


def test_several_training_runs_are_kept_one_by_one(tmp_path):
    fid = mean_of_runs([Score(1.0, 0.1, values=(0.9, 1.1), groups=2), Score(2.0, 0.2, values=(1.9, 2.1), groups=2)])
    looks = {8: Scores(800, 8, ("0", "1"), {"fid": fid}, runs=("a", "b"))}
    runs = (TrainingRun("a", "r", {"training_seed": 0}), TrainingRun("b", "r", {"training_seed": 1}))
    write_candidate(tmp_path / "c.yaml", row="m", scores=looks, fingerprint=Fingerprint({}), complete=True, runs=runs)
    row = baseline.load(tmp_path / "c.yaml").row("m")
    assert [run.checkpoint for run in row.runs] == ["a", "b"]
    assert [run.mean for run in row.fid.values[8].runs] == [1.0, 2.0]
    assert row.fid.values[8].runs[1].values == (1.9, 2.1)


def test_a_candidate_comes_back_as_it_was_measured(candidate):
    document = baseline.parse(candidate().read_text(), "candidate.yaml")
    assert (document.complete, document.baseline, document.name) == (True, "base.yaml", "base")
    assert tuple(document.rows) == ("Real", "model")
    value = document.rows["model"].entries["fid"].at[1024]
    assert (value.mean, value.se, value.groups, value.values) == (20.0, 0.05, 3, (19.98, 20.0, 20.02))
    assert document.rows["model"].provenance == {"medgan": "0.1", "torch": "2.15"}
    assert document.rows["model"].runs[0].facts == {"commit": "1234567", "dirty": False}
