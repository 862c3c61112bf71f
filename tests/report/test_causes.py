from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from pytest_medgan.catalogue import Metric
from pytest_medgan.records import Evidence, Outcome
from pytest_medgan.report import ModelRecord
from pytest_medgan.report.causes import causes, group_apart, limits_of_knowledge
from pytest_medgan.report.evidence_words import grey_shift

MakeModel = Callable[..., ModelRecord]


def kinds(model: ModelRecord) -> list[str]:
    return [cause.kind for cause in causes(model)]


def changed(model: ModelRecord, name: str, **changes: Any) -> ModelRecord:
    """The model with fields of one metric's verdict changed."""
    comparisons = tuple(
        replace(c, verdict=replace(c.verdict, **changes)) if c.metric == name else c for c in model.comparisons
    )
    return replace(model, comparisons=comparisons)


@pytest.mark.parametrize(
    ("errors", "expected"),
    [
        ({}, []),
        ({"copy_rate": 9}, ["copying"]),
        ({"authenticity": 9}, ["copying"]),
        ({"memorised_rate": 9}, ["copying"]),
        ({"anomaly_rate": 9, "fid": 9}, ["anomalies"]),
        ({"implausible_rate": 9}, ["implausible"]),
        ({"duplicate_rate": 9}, ["duplicates"]),
        ({"intensity_distance": 9}, ["intensity"]),
        ({"improved_recall": 9, "fid": 9}, ["diversity"]),
        ({"recall": 9}, ["diversity"]),
        ({"coverage": 9}, ["diversity"]),
        ({"ms_ssim": 9}, ["diversity"]),
        ({"improved_recall": 80, "duplicate_rate": 9}, ["collapse"]),
        ({"improved_recall": 80, "ms_ssim": 9}, ["collapse"]),
        ({"improved_recall": 80, "coverage": 20, "density": 9}, ["collapse", "fidelity"]),
        ({"improved_recall": 80}, ["diversity"]),
        ({"improved_recall": 9, "duplicate_rate": 9}, ["diversity", "duplicates"]),
        ({"ms_ssim": 60, "duplicate_rate": 60}, ["collapse"]),
        ({"precision": 9}, ["fidelity"]),
        ({"improved_precision": 9, "density": 9, "fid": 9}, ["fidelity"]),
        ({"improved_precision": 9, "improved_recall": 9}, ["everything"]),
        ({"improved_precision": 9, "improved_recall": 9, "intensity_distance": 9}, ["intensity", "everything"]),
        ({"copy_rate": 9, "intensity_distance": 9}, ["copying", "intensity"]),
        ({"fid": 9}, ["texture"]),
        ({"kid": 9}, ["texture"]),
        ({"inception_score": 9}, ["class balance"]),
        ({"inception_score": 9, "improved_precision": 9}, ["fidelity"]),
    ],
)
def test_pattern_of_metrics_has_a_cause(make_model: MakeModel, errors: dict[str, float], expected: list[str]) -> None:
    assert kinds(make_model(**errors)) == expected


def test_cause_names_its_figures_and_its_section(make_model: MakeModel) -> None:
    (cause,) = causes(make_model(improved_recall=9.0, fid=9.0))
    assert cause.because == ("Improved Recall 0.819 ± 0.003, before 0.873 ± 0.006, 6.4 standard errors worse",)
    assert cause.look_at == "tsne"
    assert cause.short == "some kinds of real images are no longer generated"


def test_undecided_metrics_have_a_cause_where_none_failed(make_model: MakeModel) -> None:
    model = changed(make_model(improved_recall=3.5), "improved_recall", outcome=Outcome.UNDECIDED)
    assert kinds(model) == ["diversity"]
    failed = changed(make_model(improved_recall=3.5, fid=9.0), "improved_recall", outcome=Outcome.UNDECIDED)
    assert kinds(failed) == ["texture"]


def test_collapse_needs_recall_below_half(make_model: MakeModel) -> None:
    """The accepted improved recall is 0.873 with a standard error of 0.006: 70 errors leave 0.453, 75 leave 0.423."""
    assert kinds(make_model(improved_recall=70, coverage=20)) == ["diversity"]
    assert kinds(make_model(improved_recall=75, coverage=20)) == ["collapse"]


def test_collapse_is_told_where_images_are_more_alike_and_recall_is_undecided(make_model: MakeModel) -> None:
    model = make_model(ms_ssim=60, improved_recall=80, intensity_distance=20, improved_precision=9)
    undecided = changed(model, "improved_recall", outcome=Outcome.UNDECIDED)
    assert kinds(undecided) == ["collapse", "intensity", "fidelity"]
    assert [text.partition(" 0")[0] for text in causes(undecided)[0].because] == ["Improved Recall", "MS-SSIM"]
    without = changed(model, "improved_recall", outcome=Outcome.PASS)
    assert kinds(without) == ["intensity", "everything"]


def test_metric_without_a_rule_has_a_cause_too(make_model: MakeModel) -> None:
    own = Metric("lung_area", "Lung area", False, 0.0, 1.0, "us", True)
    model = changed(make_model(fid=9.0), "fid", metric=own)
    look = model.looks[-1]
    without = {name: value for name, value in look.metrics.items() if name != "fid"}
    (cause,) = causes(replace(model, looks=(replace(look, metrics=without),)))
    assert cause.kind == "other"
    assert cause.because[0].startswith("Lung area 8.59")


def test_single_broken_seed_is_named(make_model: MakeModel) -> None:
    model = make_model(fid=20.0)
    assert "one seed" not in kinds(model)
    score = model.looks[-1].metrics["fid"]
    broken = changed(model, "fid", measured=replace(score, values=(6.8, 6.9, 19.0), se=0.2))
    cause = causes(broken)[-1]
    assert cause.kind == "one seed"
    assert cause.short == "one sample group differs from the others: that of seed 2"
    assert cause.because == ("FID by sample group: 6.80, 6.90, 19.00",)
    two = changed(model, "fid", measured=replace(score, values=(6.8, 19.0), se=0.2))
    assert "one seed" not in kinds(two)


@pytest.mark.parametrize(
    ("values", "error", "place"),
    [
        ((1.0, 1.1, 9.0), 0.1, 2),
        ((9.0, 1.1, 1.0), 0.1, 0),
        ((1.0, 1.1, 9.0), 5.0, None),
        ((1.0, 1.1, 9.0), float("nan"), 2),
        ((1.0, 5.0, 9.0), 0.1, None),
        ((1.0, 1.0, 1.0), 0.0, None),
    ],
)
def test_outlying_group_is_five_errors_from_the_others(
    values: tuple[float, ...], error: float, place: int | None
) -> None:
    assert group_apart(values, error) == place


def test_distance_without_earlier_values_is_no_small_shift(make_model: MakeModel) -> None:
    """Whether precision and recall moved is unknown where there is no earlier value."""
    model = make_model(fid=12.0, judged=False)
    fid = make_model(fid=12.0).comparison("fid")
    assert fid is not None
    (cause,) = causes(replace(model, comparisons=(fid,), baseline=None))
    assert cause.kind == "distance"
    assert kinds(replace(model, comparisons=(fid,))) == ["texture"]
    assert model.baseline is not None
    few = {name: entry for name, entry in model.baseline.entries.items() if name in ("fid", "ms_ssim")}
    assert kinds(replace(model, comparisons=(fid,), baseline=replace(model.baseline, entries=few))) == ["distance"]


def histograms() -> tuple[np.ndarray[tuple[int, ...], np.dtype[np.int64]], ...]:
    """Grey levels 100 and 120 in real images, 109 and 119 in generated ones."""
    real, fake = np.zeros(256, np.int64), np.zeros(256, np.int64)
    real[[100, 120]] = 50
    fake[[109, 119]] = 50
    return real, fake


@pytest.mark.parametrize(("window", "text"), [((-1000.0, 275.0), "20 HU brighter"), (None, "4 grey levels brighter")])
def test_grey_shift_is_in_hu_where_the_window_is_known(window: tuple[float, float] | None, text: str) -> None:
    real, fake = histograms()
    found = grey_shift(Evidence(histogram_real=real, histogram_fake=fake, window=window))
    assert found == f"generated images are {text} than real ones and have 50% of their contrast"
    assert "darker" in grey_shift(Evidence(histogram_real=fake, histogram_fake=real, window=window))


def test_shift_of_colours_leaves_out_the_differences_between_channels() -> None:
    real, fake = histograms()
    apart = [np.stack([counts, np.roll(counts, 90), np.roll(counts, 120)]) for counts in (real, fake)]
    found = grey_shift(Evidence(histogram_real=apart[0], histogram_fake=apart[1]))
    assert found == "generated images are 4 grey levels brighter than real ones and have 50% of their contrast"


def test_grey_shift_without_histograms_is_empty() -> None:
    assert grey_shift(Evidence()) == ""


def test_intensity_cause_without_a_window_speaks_of_levels_and_not_of_hounsfield(make_model: MakeModel) -> None:
    (cause,) = causes(replace(make_model(intensity_distance=9.0), window=None))
    assert cause.kind == "intensity"
    assert cause.short == "the grey levels or colours have shifted"
    assert "HU" not in " ".join((cause.text, *cause.because))


def test_intensity_cause_names_the_shift(make_model: MakeModel) -> None:
    real, fake = histograms()
    evidence = Evidence(histogram_real=real, histogram_fake=fake)
    (cause,) = causes(make_model(intensity_distance=9.0), evidence)
    assert cause.because[0].startswith("Intensity distance 2.10")
    assert cause.because[1].startswith("generated images are 4 grey levels brighter")
    (other,) = causes(make_model(fid=9.0), evidence)
    assert len(other.because) == 1


def test_limits_of_knowledge_name_what_was_not_examined(make_model: MakeModel) -> None:
    model = make_model(without=("copy_rate", "memorised_rate", "authenticity", "duplicate_rate"))
    assert limits_of_knowledge(model) == (
        "Copying of training images was not examined (the generator's training set is not known).",
        "Duplicates were not examined.",
    )
    assert limits_of_knowledge(make_model()) == ()
    assert limits_of_knowledge(make_model(without=("copy_rate",))) == ()
    assert limits_of_knowledge(replace(model, looks=())) == ("Nothing was measured.",)
    missing = changed(make_model(), "fid", outcome=Outcome.MISSING)
    assert limits_of_knowledge(missing) == (
        "Some comparisons could not be made (MISSING). The table gives the reasons.",
    )


def test_wrong_images_and_copied_patients_are_shown_with_their_cause(make_model: MakeModel) -> None:
    evidence = Evidence(
        count=100,
        anomalies=np.column_stack([np.arange(10), np.zeros(10, int)]),
        memorised_patients=np.array([9, 120, 0.4]),
        implausible=np.column_stack([np.arange(9), np.full(9, 9)]),
    )
    worse = make_model(memorised_rate=9.0, anomaly_rate=9.0, implausible_rate=9.0)
    copying, wrong, strange = causes(worse, evidence)
    assert copying.because[-1] == "9 of 120 training patients are copied (hardly one by chance)"
    assert wrong.because[-1] == "about one image in 10 is upside-down"
    assert strange.because[-1] == "9.0% of the images: each holds more bone than real images do"
    assert (copying.look_at, wrong.look_at, strange.look_at) == ("copies", "anomalies", "implausible")
