from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from pytest_medgan.catalogue import NAMES
from pytest_medgan.records import Entry, Outcome, Row, Score
from pytest_medgan.report import Comparison, ModelRecord
from pytest_medgan.report.comparisons import Standing, loss_line, lost, probably_lost, spread, standings
from pytest_medgan.report.numbers import Scale

MakeModel = Callable[..., ModelRecord]


def standing(model: ModelRecord, name: str) -> Standing:
    return next(s for s in standings(model) if s.metric == name)


def changed(model: ModelRecord, name: str, **changes: Any) -> ModelRecord:
    """The model with fields of one metric's verdict changed."""
    comparisons = tuple(
        replace(c, verdict=replace(c.verdict, **changes)) if c.metric == name else c for c in model.comparisons
    )
    return replace(model, comparisons=comparisons)


def test_standings_are_in_the_catalogues_order(make_model: MakeModel) -> None:
    assert tuple(s.metric for s in standings(make_model())) == NAMES


def test_numbers_are_of_the_look_that_decided(make_model: MakeModel) -> None:
    model = make_model(fid=12.0)
    early = model.looks[0].metrics["fid"]
    found = standing(changed(model, "fid", measured=early, n_fake=60), "fid")
    assert (found.count, found.measured) == (60, early)
    assert found.baseline is not None
    assert model.baseline is not None
    assert found.baseline == model.baseline.entries["fid"].at[60]
    assert found.real_count == 60
    assert standing(model, "fid").count == 480


def test_unjudged_metric_is_shown_at_the_largest_look(make_model: MakeModel) -> None:
    found = standing(make_model(judged=False), "fid")
    assert (found.count, found.outcome, found.bound, found.bound_text) == (480, "not judged", None, "")


def test_unmeasured_metric_has_no_value(make_model: MakeModel) -> None:
    found = standing(make_model(without=("copy_rate",)), "copy_rate")
    assert (found.measured, found.outcome, found.errors) == (None, "not measured", None)


@pytest.mark.parametrize(
    ("name", "limit", "margin", "text"),
    [
        ("fid", 6.79, 0.8, "≤\u00a07.59"),
        ("improved_recall", 0.873, 0.024, "≥\u00a00.849"),
        ("fid", 7.0, None, "≤\u00a07.00"),
    ],
)
def test_bound_is_the_limit_with_its_margin(
    make_model: MakeModel, name: str, limit: float, margin: float | None, text: str
) -> None:
    assert standing(changed(make_model(), name, limit=limit, margin=margin), name).bound_text == text


@pytest.mark.parametrize(
    ("name", "limit", "margin", "is_blind"),
    [
        ("improved_recall", 0.51, 0.645, True),
        ("improved_recall", 0.51, 0.51, True),
        ("improved_recall", 0.51, 0.50, False),
        ("duplicate_rate", 0.6, 0.4, True),
        ("duplicate_rate", 0.6, 0.39, False),
        ("fid", 6.79, 1e9, False),
    ],
)
def test_margin_beyond_the_range_is_blind(
    make_model: MakeModel, name: str, limit: float, margin: float, is_blind: bool
) -> None:
    assert standing(changed(make_model(), name, limit=limit, margin=margin), name).is_blind is is_blind


def test_real_row_of_another_count_is_named(make_model: MakeModel) -> None:
    """Held-out images are often fewer than the generated ones; the column must not be empty because of that."""
    model = make_model()
    real = Row("Real", {"fid": Entry({60: Score(2.0), 120: Score(1.5)})}, "")
    found = standing(replace(model, real=real), "fid")
    assert (found.real, found.real_count) == (Score(1.5), 120)
    none = standing(replace(model, real=None), "fid")
    assert (none.real, none.real_count) == (None, None)


def test_baseline_of_another_count_is_not_shown(make_model: MakeModel) -> None:
    """FID and recall of different counts cannot be compared."""
    model = make_model(judged=False)
    assert model.baseline is not None
    entries = {m: replace(entry, at={60: entry.at[60]}) for m, entry in model.baseline.entries.items()}
    moved = replace(model, baseline=replace(model.baseline, entries=entries))
    assert {s.baseline for s in standings(moved)} == {None}
    assert {s.errors for s in standings(moved)} == {None}


@pytest.mark.parametrize(("name", "errors"), [("recall", 6.0), ("fid", -6.0)])
def test_errors_without_a_verdict_come_from_the_row(make_model: MakeModel, name: str, errors: float) -> None:
    found = standing(make_model(judged=False, **{name: errors}), name)
    assert found.errors == pytest.approx(errors / math.sqrt(2))


def test_errors_of_the_verdict_take_precedence(make_model: MakeModel) -> None:
    found = standing(changed(make_model(fid=12.0), "fid", loss=1.0, loss_se=0.5), "fid")
    assert found.errors == 2.0


@pytest.mark.parametrize(
    ("errors", "text"), [(12.0, "+35%, 8.5 SE worse"), (-4.0, "−12%, 2.8 SE better"), (0.01, "none")]
)
def test_change_is_in_percent_and_errors(make_model: MakeModel, errors: float, text: str) -> None:
    assert standing(make_model(fid=errors), "fid").change_text == text


def test_change_of_an_unknown_error_is_in_percent(make_model: MakeModel) -> None:
    model = changed(make_model(fid=12.0), "fid", loss_se=None)
    assert model.baseline is not None
    exact = replace(model.baseline.entries["fid"], at={480: Score(6.79)})
    without = replace(model, baseline=replace(model.baseline, entries={"fid": exact}))
    moved = replace(without, looks=())
    measured = replace(standing(model, "fid").measured, se=0.0)  # type: ignore[type-var]
    assert standing(changed(moved, "fid", measured=measured), "fid").change_text == "+35%"


def test_lost_metrics_are_sorted_worst_first(make_model: MakeModel) -> None:
    model = make_model(fid=9.0, improved_recall=80.0, coverage=20.0)
    assert [s.metric for s in lost(model)] == ["improved_recall", "coverage", "fid"]


def test_lost_metric_of_unknown_error_comes_last(make_model: MakeModel) -> None:
    model = changed(make_model(fid=9.0, kid=9.0), "kid", loss=None, measured=None)
    model = replace(model, baseline=None)
    assert [s.metric for s in lost(model)] == ["fid", "kid"]


def test_judged_metric_is_lost_only_when_it_failed(make_model: MakeModel) -> None:
    """3.5 standard errors lie within the margin of a judged metric and count in an unjudged one."""
    assert lost(make_model(improved_precision=3.9)) == ()
    assert lost(make_model(improved_precision=3.9, judged=False)) == ()
    assert [s.metric for s in lost(make_model(improved_precision=4.5, judged=False))] == ["improved_precision"]
    assert lost(make_model(improved_precision=-9.0, judged=False)) == ()


def test_undecided_metric_that_is_worse_is_probably_lost(make_model: MakeModel) -> None:
    model = changed(make_model(fid=3.5), "fid", outcome=Outcome.UNDECIDED)
    assert [s.metric for s in probably_lost(model)] == ["fid"]
    assert lost(model) == ()
    assert probably_lost(changed(make_model(fid=1.0), "fid", outcome=Outcome.UNDECIDED)) == ()
    assert probably_lost(changed(make_model(fid=-9.0), "fid", outcome=Outcome.UNDECIDED)) == ()
    assert probably_lost(make_model(fid=3.5)) == ()


def test_loss_line_says_from_what_to_what(make_model: MakeModel) -> None:
    line = loss_line(standing(make_model(improved_recall=80.0), "improved_recall"))
    assert line == "0.873 to 0.393 (−55%, 57 standard errors worse; has to be ≥\u00a00.849)"


def test_loss_line_of_a_plain_limit_compares_with_the_limit(make_model: MakeModel) -> None:
    model = replace(make_model(fid=12.0), baseline=None)
    plain = changed(model, "fid", limit=8.0, margin=None, loss=1.2, loss_se=0.2)
    assert loss_line(standing(plain, "fid")) == "8.00 to 9.19 (+15%, 6.0 standard errors worse; has to be ≤\u00a08.00)"


def test_loss_line_of_a_blind_or_undecided_metric(make_model: MakeModel) -> None:
    model = make_model(coverage=30.0)
    blind = loss_line(standing(changed(model, "coverage", margin=1.0), "coverage"))
    assert blind == "0.589 to 0.349 (−41%, 21 standard errors worse)"
    undecided = loss_line(standing(changed(model, "coverage", outcome=Outcome.UNDECIDED), "coverage"))
    assert undecided.endswith("; has to be ≥\u00a00.557; not decided)")


def test_loss_line_without_numbers_is_a_dash(make_model: MakeModel) -> None:
    verdict = replace(make_model().comparisons[0].verdict, measured=None, limit=None, loss=None, outcome=Outcome.FAIL)
    found = standings(ModelRecord("A", comparisons=(Comparison(verdict),)))[0]
    assert loss_line(found) == "–"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (Score(1.5, 0.1, 0.7071, 0.1, 2, (1.0, 2.0)), "1.500 ± 0.707"),
        (Score(1.0, 0.1, math.nan, 0.1, 1, (1.0,)), "1.000"),
        (Score(math.nan, 0.1, math.nan, 0.1, 1, (math.nan,)), "–"),
        (Score(6.79, sd=0.354), "6.790 ± 0.354"),
        (Score(6.79, sd=0.0, groups=3), "6.790 ± 0.000"),
        (Score(1.3), "1.300"),
    ],
)
def test_spread_is_mean_and_deviation_of_several_groups(value: Score | None, text: str) -> None:
    assert spread(Scale(1.0, "", 3), value) == text
