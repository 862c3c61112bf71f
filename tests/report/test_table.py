from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import pytest

from pytest_medgan.catalogue import NAMES
from pytest_medgan.report import ModelRecord, ReportRun
from pytest_medgan.report.run import Measured, MetricFacts, RowValue
from pytest_medgan.report.table import accept_command, change, cost, headline, judgements, lines, spread

MakeModel = Callable[..., ModelRecord]


def test_one_line_a_metric_in_the_catalogues_order(make_model: MakeModel) -> None:
    assert tuple(line.metric for line in lines(make_model())) == NAMES


def test_a_lost_metric_stands_out(make_model: MakeModel) -> None:
    by_name = {line.metric: line for line in lines(make_model(fid=12.0))}
    lost = by_name["fid"]
    assert lost.bad
    assert lost.outcome == "FAIL"
    assert lost.candidate == "9.190 ± 0.100"
    assert lost.baseline == "6.790 ± 0.200"
    assert lost.real == "2.050 ± 0.200"
    assert lost.published == "6.790 ± 0.354"
    assert lost.change == "8.5 se worse"  # 12 * .2 / hypot(.2, .2)
    assert not by_name["kid"].bad


def test_a_gain_is_called_better_in_both_directions(make_model: MakeModel) -> None:
    by_name = {line.metric: line for line in lines(make_model(fid=-4.0, coverage=-4.0))}
    assert by_name["fid"].change == by_name["coverage"].change == "2.8 se better"


def test_an_unmeasured_metric_says_why(make_model: MakeModel) -> None:
    model = make_model(without=("copy_rate",))
    line = next(line for line in lines(model) if line.metric == "copy_rate")
    assert (line.candidate, line.outcome) == ("–", "not measured")
    (said,) = [found for found in judgements(model) if found.label == "Copy rate"]
    assert said.detail == "the generator's training set is not known"
    assert said.bad


def test_every_verdict_is_told_with_the_test_that_asked(make_model: MakeModel) -> None:
    model = make_model(fid=12.0)
    fid = next(v for v in model.verdicts if v.metric == "fid")
    also = replace(fid, outcome="PASS", limit=4 * 2.05, origin="test_gate.py:12", margin=None, reason="", test="test_b")
    told = [found for found in judgements(replace(model, verdicts=(*model.verdicts, also))) if found.label == "FID"]
    assert [found.outcome for found in told] == ["FAIL", "PASS"]
    assert told[0].detail == (
        "9.190 against 6.790 with a margin of 0.8 at 480 images; 8.5 standard errors worse; "
        "limit from baselines/phantom.yaml:31; asked by test_gate.py::test_fid"
    )
    assert told[1].detail == "9.190 against 8.200 at 480 images; limit from test_gate.py:12; asked by test_b"
    assert len(judgements(model)) == 14


def test_rows_are_shown_at_the_tables_own_count_only(make_model: MakeModel) -> None:
    """FID and recall at another count would not compare."""
    model = make_model(judged=False)
    assert model.baseline is not None
    fewer = {m: {60: values[60]} for m, values in model.baseline.metrics.items()}
    moved = replace(model, baseline=replace(model.baseline, metrics=fewer))
    assert {line.baseline for line in lines(moved)} == {"–"}
    assert {line.change for line in lines(moved)} == {"–"}


def test_change_without_a_verdict_comes_from_the_row(make_model: MakeModel) -> None:
    assert change(make_model(judged=False, recall=6.0), "recall") == pytest.approx(6 / math.sqrt(2))
    assert change(make_model(judged=False, fid=-6.0), "fid") == pytest.approx(-6 / math.sqrt(2))


def test_headlines(make_run: Callable[..., ReportRun], make_model: MakeModel) -> None:
    assert headline(make_run()) == "PASS: all 14 comparisons of one model hold."
    assert (
        headline(make_run(fid=9.0, recall=9.0))
        == "FAIL: 2 of 14 comparisons of one model did not hold (PGGAN: FID, Recall)."
    )
    two = ReportRun((make_model("A"), make_model("B", kid=9.0)))
    assert headline(two) == "FAIL: 1 of 28 comparisons of 2 models did not hold (B: KID)."
    assert headline(ReportRun((make_model(judged=False),))).startswith("Nothing was judged")
    assert headline(replace(make_run(), problems=("no GPU test ran",))) == "FAIL: no GPU test ran"


def test_the_way_out_is_named_where_there_is_one(make_model: MakeModel) -> None:
    assert accept_command(make_model()) == ""
    red = make_model(fid=12.0)
    assert accept_command(red) == 'medgan baseline accept CANDIDATE.yaml --row PGGAN --reason "..."'
    known = replace(red, accept="medgan baseline accept medgan-report/candidate-PGGAN.yaml --row PGGAN")
    assert accept_command(known) == f'{known.accept} --reason "..."'


def test_what_was_left_undecided_is_not_counted_as_lost(make_run: Callable[..., ReportRun]) -> None:
    """Once a metric has failed the others are left undecided; the headline names what failed."""
    run = make_run(fid=9.0)
    model = run.models[0]
    left = tuple(replace(v, outcome="UNDECIDED") if v.metric in ("kid", "recall") else v for v in model.verdicts)
    text = headline(replace(run, models=(replace(model, verdicts=left),)))
    assert text == "FAIL: 1 of 14 comparisons of one model did not hold, 2 more had no verdict (PGGAN: FID)."


def test_what_was_left_open_yields_to_what_another_test_decided(make_model: MakeModel) -> None:
    model = make_model()
    decided = model.verdict("fid")
    assert decided is not None
    left = replace(decided, outcome="UNDECIDED", n_fake=60)
    assert replace(model, verdicts=(left, decided)).verdict("fid") == decided
    assert replace(model, verdicts=(left,)).verdict("fid") == left
    undecidable = replace(left, n_fake=480)  # at the full count that is a result
    assert replace(model, verdicts=(undecidable, decided)).verdict("fid") == undecidable


def test_no_change_is_called_none(make_model: MakeModel) -> None:
    by_name = {line.metric: line for line in lines(make_model(fid=0.01))}
    assert by_name["fid"].change == "none"


@pytest.mark.parametrize(
    ("outcome", "fate"),
    [
        ("MISSING", "had nothing to compare with, or nothing measured"),
        ("INCOMPARABLE", "could not be made, since settings or inputs differ from the baseline's"),
        ("UNDECIDED", "could not be decided at the full count"),
    ],
)
def test_what_is_not_green_is_not_always_a_loss(make_run: Callable[..., ReportRun], outcome: str, fate: str) -> None:
    run = make_run()
    model = run.models[0]
    changed = replace(model, verdicts=tuple(replace(v, outcome=outcome) for v in model.verdicts))
    text = headline(replace(run, models=(changed,)))
    assert text.startswith(f"{outcome}: 14 of 14 comparisons of one model {fate} (PGGAN: IS, FID, ")


def test_a_stale_baseline_is_said(make_run: Callable[..., ReportRun]) -> None:
    run = make_run()
    model = run.models[0]
    stale = tuple(replace(v, outcome="STALE") if v.metric == "fid" else v for v in model.verdicts)
    text = headline(replace(run, models=(replace(model, verdicts=stale),)))
    assert text == "STALE: all 14 comparisons of one model hold; 1 so much better that the baseline should be renewed."


def test_the_cost_in_images(make_model: MakeModel) -> None:
    model = make_model()
    assert cost(model) == (
        "1,440 images generated (100% of the full count of 1,440), 3 sample groups, "
        "looks at 60, 120, 480 images a group against 520 real images."
    )
    early = replace(model, looks=model.looks[:1], images_used=180)
    assert cost(early).startswith("180 images generated (12% of the full count")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (Measured((1.0, 2.0), 1.5, 0.7071, 0.1, 0.1), "1.500 ± 0.707"),
        (Measured((1.0,), 1.0, math.nan, 0.1, 0.1), "1.000"),
        (Measured((math.nan,), math.nan, math.nan, 0.1, 0.1), "–"),
        (RowValue(6.79, sd=0.354), "6.790 ± 0.354"),
        (RowValue(1.3), "1.300"),
    ],
)
def test_mean_and_spread(value: Measured | RowValue | None, text: str) -> None:
    assert spread(MetricFacts("fid", "FID", False), value) == text


def test_a_missing_row_is_told_once_for_all_that_asked_for_it(make_model: MakeModel) -> None:
    model = make_model()
    lone = tuple(
        replace(v, outcome="MISSING", limit=None, margin=None, reason="no baseline yet: b.yaml has no value in row 'A'")
        for v in model.verdicts
        if v.metric in ("fid", "kid")
    )
    told = [found for found in judgements(replace(model, verdicts=lone)) if found.outcome == "MISSING"]
    assert [(found.label, found.detail) for found in told] == [
        (
            "FID, KID",
            f"no baseline yet: b.yaml has no value in row 'A'; asked by {lone[0].test}; asked by {lone[1].test}",
        )
    ]
