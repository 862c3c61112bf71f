"""Risks: who shares what, and the critical values that follow."""

from __future__ import annotations

import pytest
from scipy import stats

from pytest_medgan.catalogue import NAMES
from pytest_medgan.gate.risks import DEFAULT, Question, Settings, criticals
from pytest_medgan.gate.uncertainty import Error

NORMAL = Error(1.0)


def test_an_unchanged_checkpoint_fails_all_metrics_together_as_rarely_as_promised():
    found = criticals(DEFAULT, Question(looks=4), NORMAL)
    assert found.alarm == found.certain == pytest.approx(stats.norm.isf(0.002 / len(NAMES)))
    assert found.accept == pytest.approx(stats.norm.isf(0.02 / 4))
    assert found.reject == pytest.approx(stats.norm.isf(0.002 / len(NAMES) / 4))


def test_one_run_of_a_recipe_is_suspected_early_and_failed_late():
    found = criticals(DEFAULT, Question(recipe=True), Error(1.0, 8.0))
    assert found.alarm == pytest.approx(stats.t.isf(0.10 / len(NAMES), 8))
    assert found.certain == pytest.approx(stats.t.isf(0.002 / len(NAMES), 8))
    assert found.accept == pytest.approx(stats.t.isf(0.02, 8))


def test_several_runs_of_a_recipe_are_judged_at_its_own_risk():
    found = criticals(DEFAULT, Question(recipe=True, runs=3), Error(1.0, 10.0))
    assert found.alarm == found.certain == pytest.approx(stats.t.isf(0.02 / len(NAMES), 10))


@pytest.mark.parametrize(
    ("question", "parts"), [(Question(both_sides=True), 2), (Question(both_sides=True, risk_part=0.25), 8)]
)
def test_sides_and_anchors_share_the_risk(question, parts):
    assert criticals(DEFAULT, question, NORMAL).alarm == pytest.approx(stats.norm.isf(0.002 / len(NAMES) / parts))


def test_more_metrics_and_more_looks_ask_for_more():
    few, many = (criticals(Settings(metrics=m), Question(looks=1), NORMAL) for m in (14, 28))
    assert many.alarm > few.alarm
    assert criticals(DEFAULT, Question(looks=4), NORMAL).accept > criticals(DEFAULT, Question(looks=1), NORMAL).accept
