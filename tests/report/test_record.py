from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import pytest

from pytest_medgan.catalogue import METRICS, Metric
from pytest_medgan.records import Entry, Outcome, Row, Score, Scores, TrainingRun, Verdict
from pytest_medgan.report import Comparison, ModelRecord, ReportRun
from pytest_medgan.report.record import largest_value, row_value

MakeModel = Callable[..., ModelRecord]
MakeRun = Callable[..., ReportRun]


def compared(outcome: str, name: str = "fid", **changes: object) -> Comparison:
    given: dict[str, object] = {"measured": None, "n_fake": 60, "limit": 1.0, "margin": 0.0, "origin": ""}
    return Comparison(Verdict(METRICS[name], Outcome(outcome), **{**given, **changes}))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("outcomes", "whole"),
    [
        (("PASS", "FAIL", "MISSING"), Outcome.FAIL),
        (("MISSING", "INCOMPARABLE", "UNDECIDED"), Outcome.INCOMPARABLE),
        (("UNDECIDED", "MISSING"), Outcome.MISSING),
        (("PASS", "UNDECIDED", "STALE"), Outcome.UNDECIDED),
        (("PASS", "STALE"), Outcome.STALE),
        (("PASS", "PASS"), Outcome.PASS),
        ((), None),
    ],
)
def test_outcome_of_model_and_run_is_the_worst(outcomes: tuple[str, ...], whole: Outcome | None) -> None:
    model = ModelRecord("A", comparisons=tuple(map(compared, outcomes)))
    assert model.outcome == whole
    passed = ModelRecord("B", comparisons=(compared("PASS"),)) if whole else ModelRecord("B")
    assert ReportRun((passed, model)).outcome == whole


def test_problem_of_the_run_forbids_green(make_run: MakeRun) -> None:
    assert make_run().outcome == Outcome.PASS
    assert replace(make_run(), problems=("--medgan-gpu: no test marked medgan_gpu ran",)).outcome == Outcome.FAIL


def test_worst_comparison_of_a_metric_is_returned() -> None:
    model = ModelRecord("A", comparisons=(compared("PASS"), compared("FAIL"), compared("FAIL", "kid")), full_count=60)
    assert model.comparison("fid") == compared("FAIL")
    assert model.comparison("recall") is None


def test_comparison_left_open_yields_to_a_decided_one() -> None:
    """Undecided below the full count means that another metric had failed, and at the full count it is a result."""
    left, decided = compared("UNDECIDED", n_fake=60), compared("PASS", n_fake=120)
    assert ModelRecord("A", comparisons=(left, decided), full_count=120).comparison("fid") == decided
    assert ModelRecord("A", comparisons=(left,), full_count=120).comparison("fid") == left
    undecidable = compared("UNDECIDED", n_fake=120)
    assert ModelRecord("A", comparisons=(undecidable, decided), full_count=120).comparison("fid") == undecidable


@pytest.mark.parametrize(
    ("loss", "error", "errors"),
    [(6.0, 2.0, 3.0), (-6.0, 2.0, -3.0), (None, 2.0, None), (6.0, None, None), (6.0, 0.0, None), (math.inf, 1.0, None)],
)
def test_errors_lost_is_loss_over_error(loss: float | None, error: float | None, errors: float | None) -> None:
    assert compared("FAIL", loss=loss, loss_se=error).errors_lost == errors


def test_row_value_is_of_the_exact_count() -> None:
    entries = {"fid": Entry({60: Score(9.0), 480: Score(7.0)}), "kid": Entry({0: Score(1.0)}), "recall": Entry({})}
    row = Row("A", entries, "")
    assert row_value(row, "fid", 60, 480) == Score(9.0)
    assert row_value(row, "fid", 120, 480) is None
    assert row_value(row, "kid", 480, 480) == Score(1.0)
    assert row_value(row, "kid", 60, 480) is None
    assert row_value(row, "density", 60, 480) is None
    assert row_value(None, "fid", 60, 480) is None
    assert largest_value(row, "fid") == (480, Score(7.0))
    assert largest_value(row, "recall") is largest_value(row, "density") is largest_value(None, "fid") is None


def test_own_metric_keeps_its_label_and_direction() -> None:
    own = Metric("lung_area", "Lung area error", False, 0.0, math.inf, "us", True, decimals=1)
    found = {"lung_area": Score(2.0, 0.1)}
    look = Scores(520, 60, ("0",), found, {"kid": "no"}, custom={"lung_area": own})
    model = ModelRecord("A", looks=(look,))
    assert model.metric("lung_area") == own
    assert model.metric("kid") == METRICS["kid"]
    assert model.metric("unheard_of").label == "unheard_of"
    assert model.metrics == ("kid", "lung_area")


def test_metric_of_a_verdict_alone_is_known() -> None:
    own = Metric("lung_area", "Lung area error", False, 0.0, math.inf, "us", True)
    verdict = replace(compared("MISSING").verdict, metric=own)
    assert ModelRecord("A", comparisons=(Comparison(verdict),)).metric("lung_area") == own


def test_images_used_are_those_of_the_largest_look(make_model: MakeModel) -> None:
    model = make_model()
    assert model.last is model.looks[-1]
    assert (model.groups, model.images_used) == (("0", "1", "2"), 1440)
    assert ModelRecord("A").images_used == 0


def test_accepted_model_is_known_by_its_checkpoint(make_model: MakeModel) -> None:
    model = replace(make_model(), checkpoint="9f2c")
    assert model.baseline is not None
    same = replace(model, baseline=replace(model.baseline, runs=(TrainingRun("0000"), TrainingRun("9f2c"))))
    other = replace(model, baseline=replace(model.baseline, runs=(TrainingRun("0000"),)))
    assert same.is_the_accepted_model
    assert not other.is_the_accepted_model
    assert not model.is_the_accepted_model
    assert not replace(model, checkpoint="", baseline=None).is_the_accepted_model
