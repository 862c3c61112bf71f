"""Candidates: written in one step, true to what was measured."""

from __future__ import annotations

import math

import pytest

from pytest_medgan.catalogue import METRICS, Metric
from pytest_medgan.gate import baseline
from pytest_medgan.gate.candidate import write, write_candidate
from pytest_medgan.records import Fingerprint, MetricScore, Scores


def scores(n: int, **parts: MetricScore) -> Scores:
    return Scores(800, n, ("0",), parts)


def test_one_group_has_no_spread_and_none_is_written(tmp_path):
    score = MetricScore(METRICS["fid"], (3.0,), 3.0, math.nan, 0.1, math.nan)
    write_candidate(
        tmp_path / "deep" / "c.yaml",
        row="m",
        scores={8: scores(8, fid=score)},
        fingerprint=Fingerprint({}),
        complete=True,
    )
    text = (tmp_path / "deep" / "c.yaml").read_text()
    assert "8: {value: 3.0, se: 0.1}" in text
    assert ".nan" not in text


def test_a_metric_of_ones_own_is_declared_so_that_it_reads_back(tmp_path):
    own = Metric("lesion_dice", "Dice", True, 0.0, 1.0, "ours", True)
    score = MetricScore(own, (0.5,), 0.5, math.nan, 0.1, 0.1)
    path = tmp_path / "c.yaml"
    write_candidate(path, row="m", scores={8: scores(8, lesion_dice=score)}, fingerprint=Fingerprint({}), complete=True)
    loaded = baseline.load(path)
    assert loaded.document.own_metrics == ("lesion_dice",)
    assert loaded.row("m").lesion_dice.values[8].value == 0.5


def test_a_metric_measured_at_some_looks_keeps_those(tmp_path):
    fid, kid = (MetricScore(METRICS[name], (1.0,), 1.0, math.nan, 0.1, 0.1) for name in ("fid", "kid"))
    looks = {8: scores(8, fid=fid), 16: scores(16, fid=fid, kid=kid)}
    write_candidate(tmp_path / "c.yaml", row="m", scores=looks, fingerprint=Fingerprint({}), complete=True)
    row = baseline.load(tmp_path / "c.yaml").row("m")
    assert (tuple(row.fid.values), tuple(row.kid.values)) == ((8, 16), (16,))


def test_a_write_that_fails_leaves_the_old_file_and_no_litter(tmp_path):
    path = tmp_path / "base.yaml"
    path.write_text("old\n")
    with pytest.raises(UnicodeEncodeError):
        write(path, "\ud800")
    assert path.read_text() == "old\n"
    assert [file.name for file in tmp_path.iterdir()] == ["base.yaml"]


def test_the_mode_of_an_existing_file_is_kept(tmp_path):
    path = tmp_path / "base.yaml"
    path.write_text("old\n")
    path.chmod(0o640)
    write(path, "new\n")
    assert path.read_text() == "new\n"
    assert path.stat().st_mode & 0o777 == 0o640
