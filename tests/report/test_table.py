from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from pytest_medgan.catalogue import NAMES
from pytest_medgan.records import Entry, Outcome, Row, Score
from pytest_medgan.report import Comparison, ModelRecord
from pytest_medgan.report.table import TableRow, comparison_texts, table_columns, table_rows

MakeModel = Callable[..., ModelRecord]


def table_row(model: ModelRecord, name: str) -> TableRow:
    return next(row for row in table_rows(model) if row.metric == name)


def changed(comparison: Comparison, **changes: Any) -> Comparison:
    return replace(comparison, verdict=replace(comparison.verdict, **changes))


def test_table_has_one_row_per_metric_in_the_catalogues_order(make_model: MakeModel) -> None:
    assert tuple(row.metric for row in table_rows(make_model())) == NAMES


def test_row_of_a_failed_metric_shows_all_its_numbers(make_model: MakeModel) -> None:
    row = table_row(make_model(fid=12.0), "fid")
    assert row == TableRow(
        metric="fid",
        label="FID",
        arrow="↓",
        outcome="FAIL",
        tone="bad",
        at="480",
        measured="9.19 ± 0.10",
        bound="≤\u00a07.59",
        baseline="6.79 ± 0.20",
        change="+35%, 8.5 SE worse",
        real="2.05 ± 0.20",
        published="6.790 ± 0.354",
    )


def test_row_of_an_unmeasured_metric_has_dashes(make_model: MakeModel) -> None:
    row = table_row(make_model(without=("copy_rate",)), "copy_rate")
    assert (row.measured, row.outcome, row.tone, row.bound, row.change) == ("–", "not measured", "neutral", "–", "–")
    assert row.label == "Copy rate (%)"


def test_bound_that_cannot_fail_is_marked(make_model: MakeModel) -> None:
    model = make_model()
    blind = tuple(changed(c, margin=1.0) if c.metric == "coverage" else c for c in model.comparisons)
    assert table_row(replace(model, comparisons=blind), "coverage").bound == "any value passes"
    assert table_row(model, "coverage").bound == "≥\u00a00.557"


def test_real_value_of_another_count_is_labelled(make_model: MakeModel) -> None:
    real = Row("Real", {"fid": Entry({120: Score(2.05, 0.2)})}, "")
    model = replace(make_model(), real=real)
    assert table_row(model, "fid").real == "2.05 (at 120)"
    assert table_row(model, "kid").real == "–"


def test_row_without_published_values_has_a_dash(make_model: MakeModel) -> None:
    assert table_row(make_model(), "kid").published == "–"
    assert table_row(replace(make_model(), published=None), "fid").published == "–"


def test_columns_of_dashes_are_left_out(make_model: MakeModel) -> None:
    model = make_model()
    assert [c.heading for c in table_columns(model, table_rows(model))] == [
        "This run",
        "Has to be",
        "Baseline PGGAN",
        "Change",
        "Real",
        "Images",
        "PGGAN (published)",
    ]
    bare = replace(model, comparisons=(), baseline=None, real=None, published=None)
    assert [c.heading for c in table_columns(bare, table_rows(bare))] == ["This run", "Images"]


def test_comparison_shows_its_origin_and_test(make_model: MakeModel) -> None:
    model = make_model(fid=12.0)
    fid = model.comparison("fid")
    assert fid is not None
    plain = replace(
        changed(fid, outcome=Outcome.PASS, limit=8.2, origin="test_gate.py:12", margin=None, reason=""), test="test_b"
    )
    texts = comparison_texts(replace(model, comparisons=(*model.comparisons, plain)))
    assert len(texts) == len(NAMES) + 1
    first, second = [text for text in texts if text.label == "FID"]
    assert (first.outcome, second.outcome) == ("FAIL", "PASS")
    assert first.detail == (
        "9.19 against 6.79, has to be ≤ 7.59 at 480 images; 8.5 standard errors worse; "
        "limit from baselines/phantom.yaml:31; asked by test_gate.py::test_fid"
    )
    assert second.detail == "9.19 against 8.20 at 480 images; limit from test_gate.py:12; asked by test_b"


def test_margin_that_would_have_passed_is_shown_once(make_model: MakeModel) -> None:
    model = make_model(fid=3.5)
    (fid,) = [c for c in model.comparisons if c.metric == "fid"]
    silent = changed(fid, needed_margin=0.91, reason="")
    loud = changed(fid, needed_margin=0.91, reason="a margin of 0.91 would have passed")
    for comparison in (silent, loud):
        (text,) = comparison_texts(replace(model, comparisons=(comparison,), looks=()))
        assert text.detail.count("a margin of 0.91 would have passed") == 1


def test_unmeasured_metric_says_why(make_model: MakeModel) -> None:
    texts = comparison_texts(make_model(without=("copy_rate",)))
    (found,) = [text for text in texts if text.label == "Copy rate"]
    assert (found.outcome, found.detail) == ("not measured", "the generator's training set is not known")


@pytest.mark.parametrize("outcome", [Outcome.MISSING, Outcome.INCOMPARABLE])
def test_reason_that_metrics_share_is_shown_once_for_all_tests_that_asked(
    make_model: MakeModel, outcome: Outcome
) -> None:
    model = make_model()
    reason = "no baseline yet: b.yaml has no value in row 'A'"
    missing = {"outcome": outcome, "measured": None, "limit": None, "margin": None, "reason": reason}
    comparisons = tuple(changed(c, **missing) for c in model.comparisons if c.metric in ("fid", "kid"))
    (text,) = [t for t in comparison_texts(replace(model, comparisons=comparisons)) if t.outcome == str(outcome)]
    assert text.label == "FID, KID"
    assert text.detail == f"{reason}; asked by test_gate.py::test_fid, test_gate.py::test_kid"
