from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from pytest_medgan.records import Evidence
from pytest_medgan.report import ModelRecord
from pytest_medgan.report.explain import apart, caveats, explain, grey_shift

MakeModel = Callable[..., ModelRecord]


def kinds(model: ModelRecord) -> list[str]:
    return [finding.kind for finding in explain(model)]


@pytest.mark.parametrize(
    ("errors", "expected"),
    [
        ({}, []),
        ({"copy_rate": 9}, ["copying"]),
        ({"authenticity": 9}, ["copying"]),
        ({"duplicate_rate": 9}, ["duplicates"]),
        ({"intensity_distance": 9}, ["intensity"]),
        ({"improved_recall": 9, "fid": 9}, ["diversity"]),
        ({"coverage": 9}, ["diversity"]),
        ({"ms_ssim": 9}, ["diversity"]),
        ({"improved_recall": 80, "duplicate_rate": 9}, ["duplicates", "collapse"]),
        ({"improved_recall": 80, "coverage": 20, "density": 9}, ["collapse", "fidelity"]),
        ({"improved_recall": 80}, ["diversity"]),
        ({"ms_ssim": 60, "duplicate_rate": 60}, ["duplicates", "collapse"]),
        ({"improved_precision": 9, "density": 9, "fid": 9}, ["fidelity"]),
        ({"improved_precision": 9, "improved_recall": 9}, ["everything"]),
        ({"improved_precision": 9, "improved_recall": 9, "intensity_distance": 9}, ["intensity", "everything"]),
        ({"fid": 9, "kid": 9}, ["texture"]),
        ({"inception_score": 9}, ["class balance"]),
        ({"inception_score": 9, "improved_precision": 9}, ["fidelity"]),
    ],
)
def test_a_pattern_of_metrics_has_a_name(make_model: MakeModel, errors: dict[str, float], expected: list[str]) -> None:
    assert kinds(make_model(**errors)) == expected


def test_the_figures_it_stands_on_are_named(make_model: MakeModel) -> None:
    (finding,) = explain(make_model(improved_recall=9.0, fid=9.0))
    assert finding.because == ("Improved Recall 0.819 ± 0.003 against 0.873 ± 0.006, 6.4 se worse",)
    assert finding.look_at == "tsne"


def test_what_a_verdict_let_pass_is_no_finding(make_model: MakeModel) -> None:
    """3.5 standard errors lie within the margin of 4 of the judged run and speak in the unjudged one."""
    assert kinds(make_model(improved_precision=5.0)) == ["fidelity"]
    assert kinds(make_model(improved_precision=3.9)) == []
    assert kinds(make_model(improved_precision=3.9, judged=False)) == []
    assert kinds(make_model(improved_precision=4.5, judged=False)) == ["fidelity"]


def test_a_metric_without_a_rule_is_not_passed_over(make_model: MakeModel) -> None:
    model = make_model(fid=9.0)
    renamed = tuple(
        replace(v, metric="lung_area", label="Lung area") if v.metric == "fid" else v for v in model.verdicts
    )
    look = model.looks[-1]
    without = {name: value for name, value in look.metrics.items() if name != "fid"}
    assert kinds(replace(model, verdicts=renamed, looks=(replace(look, metrics=without),))) == ["other"]


def test_one_broken_seed_is_told_from_a_worse_model(make_model: MakeModel) -> None:
    model = make_model(fid=20.0)
    assert "one seed" not in kinds(model)
    look = model.looks[-1]
    broken = replace(look.metrics["fid"], values=(6.8, 6.9, 19.0), se=0.2)
    moved = replace(model, looks=(*model.looks[:-1], replace(look, metrics={**look.metrics, "fid": broken})))
    finding = explain(moved)[-1]
    assert finding.kind == "one seed"
    assert "seed 2" in finding.text
    assert finding.because == ("FID by sample group: 6.800, 6.900, 19.000",)


@pytest.mark.parametrize(
    ("values", "se", "place"),
    [
        ((1.0, 1.1, 9.0), 0.1, 2),
        ((9.0, 1.1, 1.0), 0.1, 0),
        ((1.0, 1.1, 9.0), 5.0, None),
        ((1.0, 5.0, 9.0), 0.1, None),
        ((1.0, 1.0, 1.0), 0.0, None),
    ],
)
def test_apart(values: tuple[float, ...], se: float, place: int | None) -> None:
    assert apart(values, se) == place


def test_without_a_baseline_a_distance_is_no_small_shift(make_model: MakeModel) -> None:
    """Nobody knows whether precision and recall moved where there is nothing they could have moved from."""
    model = make_model(fid=12.0, judged=False)
    fid = make_model(fid=12.0).verdict("fid")
    assert fid is not None
    (finding,) = explain(replace(model, verdicts=(fid,), baseline=None))
    assert finding.kind == "distance"
    assert explain(replace(model, verdicts=(fid,)))[0].kind == "texture"


def test_an_intensity_shift_is_put_in_hu() -> None:
    real, fake = np.zeros(256, np.int64), np.zeros(256, np.int64)
    real[[100, 120]] = 50
    fake[[105, 115]] = 50
    (text,) = grey_shift(Evidence(histogram_real=real, histogram_fake=fake + 0, window=(-1000.0, 275.0)))
    assert text == "generated images are 0 HU darker than real ones, and their contrast is 50% of it"
    fake = np.roll(fake, 4)
    (text,) = grey_shift(Evidence(histogram_real=real, histogram_fake=fake, window=(-1000.0, 275.0)))
    assert text.startswith("generated images are 20 HU brighter")
    (text,) = grey_shift(Evidence(histogram_real=real, histogram_fake=fake))
    assert text.startswith("generated images are 4 grey levels brighter")
    assert grey_shift(None) == grey_shift(Evidence()) == ()


def test_silence_is_not_health(make_model: MakeModel) -> None:
    model = make_model(without=("copy_rate", "authenticity", "duplicate_rate"))
    assert caveats(model) == (
        "Copying of training images was not looked into (the generator's training set is not known).",
        "Duplicates were not looked for.",
    )
    assert caveats(make_model()) == ()
    assert caveats(replace(model, looks=())) == ("Nothing was measured.",)
    missing = replace(make_model(), verdicts=tuple(replace(v, outcome="MISSING") for v in make_model().verdicts))
    assert caveats(missing) == ("Some comparisons could not be made (MISSING); the reasons stand in the table.",)
