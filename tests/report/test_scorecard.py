from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from pytest_medgan.report import ModelRecord
from pytest_medgan.report.scorecard import scorecard

MakeModel = Callable[..., ModelRecord]


def test_scorecard_has_the_seven_criteria_in_order(make_model: MakeModel) -> None:
    assert [c.name for c in scorecard(make_model())] == [
        "Congruence",
        "Coverage",
        "Constraint",
        "Completeness",
        "Compliance",
        "Comprehension",
        "Consistency",
    ]


def test_criterion_shows_values_with_those_of_real_images(make_model: MakeModel) -> None:
    by_name = {c.name: c.findings for c in scorecard(make_model())}
    assert by_name["Congruence"][0] == "FID 6.85 (real images: 2.05)"
    assert "Improved Recall 0.871 (real images: 0.987)" in by_name["Coverage"]
    assert by_name["Compliance"] == (
        "Copy rate 0.11% (real images: 0.00%)",
        "Memorised rate 0.76% (real images: 0.70%)",
        "Authenticity 0.618 (real images: 0.640)",
    )


def test_criterion_without_a_measured_metric_is_empty(make_model: MakeModel) -> None:
    by_name = {
        c.name: c.findings
        for c in scorecard(
            make_model(without=("copy_rate", "memorised_rate", "authenticity", "anomaly_rate", "implausible_rate"))
        )
    }
    for name in ("Compliance", "Constraint", "Completeness", "Comprehension"):
        assert by_name[name] == ()


def test_consistency_names_the_metric_that_varies_most(make_model: MakeModel) -> None:
    model = make_model()
    look = model.last
    assert look is not None
    wide = replace(look.metrics["kid"], mean=2.0, sd=1.0)
    moved = replace(model, looks=(replace(look, metrics={"fid": look.metrics["fid"], "kid": wide}),))
    (finding,) = scorecard(moved)[-1].findings
    assert finding == "over 3 sample groups KID varies most: its standard deviation is 50.0% of its mean"


def test_consistency_of_one_group_is_not_measured(make_model: MakeModel) -> None:
    model = make_model()
    look = model.last
    assert look is not None
    single = replace(look.metrics["fid"], values=(6.8,), sd=float("nan"))
    assert scorecard(replace(model, looks=(replace(look, metrics={"fid": single}),)))[-1].findings == ()
    assert scorecard(replace(model, looks=()))[-1].findings == ()
