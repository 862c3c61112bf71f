from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from pytest_medgan.catalogue import NAMES
from pytest_medgan.records import Outcome
from pytest_medgan.report import ModelRecord, ReportRun
from pytest_medgan.report.overview import MEANING, cost, headline, next_steps, overview, run_tone, tone
from pytest_medgan.report.record import SEVERITY

MakeModel = Callable[..., ModelRecord]
MakeRun = Callable[..., ReportRun]


def judged_as(model: ModelRecord, outcome: str, *names: str) -> ModelRecord:
    """The model with the verdicts of some metrics, or of all, replaced."""
    return replace(
        model,
        comparisons=tuple(
            replace(c, verdict=replace(c.verdict, outcome=Outcome(outcome))) if not names or c.metric in names else c
            for c in model.comparisons
        ),
    )


def run_of(*models: ModelRecord) -> ReportRun:
    return ReportRun(models)


def first_run(model: ModelRecord) -> ModelRecord:
    return replace(judged_as(model, "MISSING"), baseline=None)


def test_headline_of_a_pass_counts_the_metrics(make_run: MakeRun) -> None:
    assert headline(make_run()) == f"PASS: all {len(NAMES)} metrics of one model passed"


def test_headline_of_a_pass_counts_blind_metrics_that_are_forgiven(make_model: MakeModel) -> None:
    blind = judged_as(make_model(), "BLIND", "kid", "recall")
    assert headline(run_of(blind)).startswith(f"BLIND: 2 of {len(NAMES)} metrics")
    forgiven = replace(
        blind,
        comparisons=tuple(
            replace(c, verdict=replace(c.verdict, forgiven=c.outcome == Outcome.BLIND)) for c in blind.comparisons
        ),
    )
    assert forgiven.outcome is Outcome.PASS
    passed = len(NAMES) - 2
    assert headline(run_of(forgiven)) == (
        f"PASS: {passed} of {len(NAMES)} metrics of one model passed; 2 could not have shown a loss that matters"
    )


def test_headline_of_a_failure_counts_what_failed(make_run: MakeRun, make_model: MakeModel) -> None:
    assert headline(make_run(fid=9.0, recall=9.0)) == f"FAIL: 2 of {len(NAMES)} metrics of one model failed"
    two = run_of(make_model("A"), make_model("B", kid=9.0))
    assert headline(two) == f"FAIL: 1 of {2 * len(NAMES)} metrics of 2 models failed"


def test_headline_of_a_run_without_verdicts_says_so(make_model: MakeModel) -> None:
    assert headline(run_of(make_model(judged=False))).startswith("Nothing was judged")


def test_headline_of_a_problem_is_the_problem(make_run: MakeRun) -> None:
    assert headline(replace(make_run(), problems=("no GPU test ran",))) == "FAIL: no GPU test ran"


def test_headline_does_not_count_undecided_as_failed(make_model: MakeModel) -> None:
    """Once a metric has failed the others are left undecided."""
    text = headline(run_of(judged_as(make_model(fid=9.0), "UNDECIDED", "kid", "recall")))
    assert text == f"FAIL: 1 of {len(NAMES)} metrics of one model failed, 2 more are undecided"


@pytest.mark.parametrize(
    ("outcome", "fate"),
    [
        ("MISSING", "had nothing to compare with, or nothing was measured"),
        ("INCOMPARABLE", "could not be compared, because settings or inputs differ from the baseline's"),
        ("UNDECIDED", "could not be decided at the full count"),
    ],
)
def test_headline_of_other_outcomes_is_not_a_failure(make_model: MakeModel, outcome: str, fate: str) -> None:
    text = headline(run_of(judged_as(make_model(), outcome)))
    assert text == f"{outcome}: {len(NAMES)} of {len(NAMES)} metrics of one model {fate}"


def test_headline_of_a_stale_baseline_says_so(make_model: MakeModel) -> None:
    text = headline(run_of(judged_as(make_model(), "STALE", "fid")))
    better = "1 so much better that the baseline should be renewed"
    assert text == f"STALE: all {len(NAMES)} metrics of one model passed; {better}"


def test_first_run_is_neutral_and_asks_to_look(make_model: MakeModel) -> None:
    run = run_of(first_run(make_model()))
    assert headline(run) == "No baseline yet: look at the samples, then accept them"
    assert run_tone(run) == "neutral"
    first, second = next_steps(run.models[0])
    assert first.text == "There is no baseline yet. Look at the samples below."
    assert second.command == 'medgan baseline accept medgan-report/candidate-PGGAN.yaml --row PGGAN --reason "..."'


def test_missing_value_in_a_known_row_is_no_first_run(make_model: MakeModel) -> None:
    run = run_of(judged_as(make_model(), "MISSING", "fid"))
    assert headline(run).startswith(f"MISSING: 1 of {len(NAMES)}")
    assert run_tone(run) == "warn"
    with_problem = replace(run_of(first_run(make_model())), problems=("no GPU test ran",))
    assert headline(with_problem) == "FAIL: no GPU test ran"


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        (Outcome.PASS, "good"),
        (Outcome.STALE, "good"),
        (Outcome.FAIL, "bad"),
        (Outcome.UNDECIDED, "warn"),
        (Outcome.INCOMPARABLE, "warn"),
        (Outcome.MISSING, "warn"),
        (None, "neutral"),
    ],
)
def test_tone_follows_the_outcome(outcome: Outcome | None, expected: str) -> None:
    assert tone(outcome) == expected


def test_every_outcome_has_a_meaning() -> None:
    assert set(map(str, Outcome)) <= set(MEANING) == set(SEVERITY)


def test_overview_lists_losses_worst_first_with_their_cause(make_model: MakeModel) -> None:
    view = overview(make_model(improved_recall=80.0, coverage=20.0, fid=9.0))
    assert view.heading == "What got worse"
    assert [loss.label for loss in view.losses] == ["Improved Recall", "Coverage", "FID"]
    assert view.losses[0].text.startswith("0.873 to 0.393 (−55%, ")
    assert view.more == 0
    assert [cause.kind for cause in view.causes] == ["collapse"]


def test_overview_names_five_metrics_and_counts_the_rest(make_model: MakeModel) -> None:
    names = ("fid", "kid", "recall", "coverage", "density", "ms_ssim", "improved_recall")
    view = overview(make_model(**dict.fromkeys(names, 20.0)))
    assert (len(view.losses), view.more) == (5, 2)


def test_overview_names_undecided_losses_behind_the_failed_ones(make_model: MakeModel) -> None:
    """Once a metric has failed the others are left undecided, however much worse they are."""
    view = overview(judged_as(make_model(fid=9.0, coverage=30.0, kid=1.0), "UNDECIDED", "coverage", "kid"))
    assert view.heading == "What got worse"
    assert [loss.label for loss in view.losses] == ["FID", "Coverage"]
    assert view.losses[1].text.endswith("not decided)")
    assert [cause.kind for cause in view.causes] == ["texture"]


def test_overview_of_undecided_metrics_says_probably(make_model: MakeModel) -> None:
    view = overview(judged_as(make_model(fid=3.5, improved_recall=3.5), "UNDECIDED"))
    assert view.heading == "What is probably worse"
    assert {loss.label for loss in view.losses} == {"FID", "Improved Recall"}
    assert [cause.kind for cause in view.causes] == ["diversity"]


def test_overview_of_a_pass_is_empty(make_model: MakeModel) -> None:
    view = overview(make_model())
    assert (view.losses, view.causes, view.steps) == ((), (), ())


def test_failure_is_corrected_or_accepted(make_model: MakeModel) -> None:
    model = make_model(fid=12.0)
    correct, accept = next_steps(model)
    assert correct.text.startswith("If the change is not intended")
    assert accept.command == f'{model.accept} --reason "..."'


def test_command_is_advised_only_with_a_candidate(make_model: MakeModel) -> None:
    for outcome in ("FAIL", "INCOMPARABLE", "STALE", "MISSING"):
        without = replace(judged_as(make_model(), outcome), accept="")
        assert not any(step.command for step in next_steps(without)), outcome


@pytest.mark.parametrize(
    ("outcome", "words"),
    [
        ("UNDECIDED", "Generate more images (--medgan-samples)"),
        ("INCOMPARABLE", "Run the tests with the settings and inputs of the baseline"),
        ("STALE", "Renew the baseline"),
        ("MISSING", "Read below what is missing"),
    ],
)
def test_every_outcome_has_a_next_step(make_model: MakeModel, outcome: str, words: str) -> None:
    assert next_steps(judged_as(make_model(), outcome))[0].text.startswith(words)


def test_cost_names_images_groups_and_looks(make_model: MakeModel) -> None:
    model = make_model()
    assert cost(model) == (
        "1,440 images generated (100% of the full count of 1,440), 3 sample groups, "
        "judged at 60, 120, 480 images per group against 520 real images."
    )
    early = replace(model, looks=model.looks[:1])
    assert cost(early).startswith("180 images generated (12% of the full count of 1,440)")
    assert cost(ModelRecord("A")) == "No image was generated."
    assert cost(replace(model, looks=())) == "No image was generated."
