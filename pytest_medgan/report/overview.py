"""The first screen: the verdict, what got worse, why it probably did, and what to do next."""

from __future__ import annotations

from dataclasses import dataclass

from pytest_medgan.records import Evidence, Outcome
from pytest_medgan.report.causes import Cause, causes
from pytest_medgan.report.comparisons import loss_line, lost, probably_lost, standings
from pytest_medgan.report.record import ModelRecord, ReportRun

LISTED = 5  # metrics that the first screen names

# outcome -> what it means
MEANING = {
    "PASS": "within the margin of the baseline",
    "FAIL": "worse than the baseline by more than the margin",
    "UNDECIDED": "the errors are too large to decide, or another metric had failed before; never green",
    "BLIND": "a loss that matters could not have been seen with so few images; it fails a test unless others see it",
    "INCOMPARABLE": "settings or inputs differ from those of the baseline, so nothing may be compared",
    "MISSING": "there is nothing to compare with, or nothing was measured",
    "STALE": "so much better that the baseline should be renewed",
}

# outcome that is not green -> what the headline says of its metrics
_FATE = {
    "FAIL": "failed",
    "UNDECIDED": "could not be decided at the full count",
    "BLIND": "could not have shown a loss that matters",
    "INCOMPARABLE": "could not be compared, because settings or inputs differ from the baseline's",
    "MISSING": "had nothing to compare with, or nothing was measured",
}

# outcome -> tone of the page
_TONES = {"PASS": "good", "STALE": "good", "FAIL": "bad"}


@dataclass(frozen=True)
class Loss:
    """One metric that got worse."""

    label: str
    text: str  # from what to what, by how much


@dataclass(frozen=True)
class Step:
    """One thing to do next."""

    text: str
    command: str = ""  # to type into a terminal; empty where there is none


@dataclass(frozen=True)
class Overview:
    """What the first screen says of a model."""

    heading: str  # "What got worse" or "What is probably worse"
    losses: tuple[Loss, ...]  # the worst first, at most LISTED
    more: int  # further metrics that got worse
    causes: tuple[Cause, ...]
    steps: tuple[Step, ...]


def overview(model: ModelRecord, evidence: Evidence | None = None) -> Overview:
    """Return what the first screen says of a model.

    Args:
        model: One model of a run.
        evidence: Its evidence.

    Returns:
        Empty lists where nothing got worse.
    """
    worse, open_ones = lost(model), probably_lost(model)
    heading = "What got worse" if worse else "What is probably worse"
    worse = (*worse, *open_ones)
    losses = tuple(Loss(s.label, loss_line(s)) for s in worse[:LISTED])
    return Overview(heading, losses, len(worse) - len(losses), causes(model, evidence), next_steps(model))


def next_steps(model: ModelRecord) -> tuple[Step, ...]:
    """Return what to do next.

    Args:
        model: One model of a run. A command is given only where the run has a candidate.

    Returns:
        Steps in order; empty where nothing is to be done.
    """
    outcome = model.outcome
    accept = f'{model.accept} --reason "..."' if model.accept else ""
    steps = []
    if is_first_run(model):
        steps.append(Step("There is no baseline yet. Look at the samples below."))
        if accept:
            steps.append(
                Step("If they show what the model is meant to generate, accept this run as the baseline:", accept)
            )
    elif outcome == Outcome.FAIL:
        steps.append(Step("If the change is not intended, correct its cause and run the tests again."))
        if accept:
            steps.append(Step("If it is intended, accept it with a reason and have it reviewed:", accept))
    elif outcome == Outcome.INCOMPARABLE:
        steps.append(
            Step("Run the tests with the settings and inputs of the baseline. Below the table they are compared.")
        )
        if accept:
            steps.append(Step("Or accept this run as the new baseline, with a reason:", accept))
    elif outcome == Outcome.STALE and accept:
        steps.append(Step("Renew the baseline, so that the gain is kept:", accept))
    elif outcome == Outcome.MISSING:
        steps.append(
            Step("Read below what is missing. Ask only for metrics that the baseline has and the run can measure.")
        )
    elif outcome is not None and not outcome.green:
        steps.append(
            Step("Generate more images (--medgan-samples), which makes the errors smaller, and run the tests again.")
        )
    return tuple(steps)


def is_first_run(model: ModelRecord) -> bool:
    """Return whether the model was judged and has no baseline row yet."""
    return model.outcome == Outcome.MISSING and model.baseline is None


def tone(outcome: Outcome | None, *, first_run: bool = False) -> str:
    """Return the tone of an outcome: "good", "bad", "warn" or "neutral"."""
    if outcome is None or first_run:
        return "neutral"
    return _TONES.get(str(outcome), "warn")


def run_tone(run: ReportRun) -> str:
    """Return the tone of a run."""
    return tone(run.outcome, first_run=_is_first_run_of_all(run))


def headline(run: ReportRun) -> str:
    """Return the verdict of a run and how many comparisons it rests on, without a full stop.

    Args:
        run: The run.

    Returns:
        One line.
    """
    outcome = run.outcome
    if outcome is None:
        return "Nothing was judged: this run has scores and no verdict"
    if run.problems:
        return f"{outcome}: {run.problems[0]}"
    if _is_first_run_of_all(run):
        return "No baseline yet: look at the samples, then accept them"
    outcomes = _outcomes_of_metrics(run)
    concerned = outcomes.count(outcome)
    others = [each for each in outcomes if not each.green and each is not outcome]
    models = "one model" if len(run.models) == 1 else f"{len(run.models)} models"
    if outcome.green:
        passed, stale = sum(each.green for each in outcomes), outcomes.count(Outcome.STALE)
        share = f"all {passed}" if passed == len(outcomes) else f"{passed} of {len(outcomes)}"
        blind = f"; {len(outcomes) - passed} could not have shown a loss that matters" if passed < len(outcomes) else ""
        renew = f"; {stale} so much better that the baseline should be renewed" if stale else ""
        return f"{outcome}: {share} metrics of {models} passed{blind}{renew}"
    fate = _FATE[str(outcome)]
    state = "undecided" if set(others) == {Outcome.UNDECIDED} else "not green"
    more = f", {len(others)} more are {state}" if others else ""
    return f"{outcome}: {concerned} of {len(outcomes)} metrics of {models} {fate}{more}"


def _outcomes_of_metrics(run: ReportRun) -> list[Outcome]:
    """Return one outcome for each metric of each model, the worst where several tests asked for it."""
    return [s.comparison.outcome for model in run.models for s in standings(model) if s.comparison is not None]


def cost(model: ModelRecord) -> str:
    """Return how many images were generated, which share of the full count, and at which counts they were judged.

    Args:
        model: One model of a run.

    Returns:
        One sentence.
    """
    seeds = max(len(model.groups), 1)
    full = model.full_count * seeds
    if not full or not model.images_used:
        return "No image was generated."
    last, looks = model.last, ", ".join(f"{look.n_fake:,}" for look in model.looks) or "none"
    share = f"{100 * model.images_used / full:.0f}% of the full count of {full:,}"
    groups = f"{seeds} sample group{'s' if seeds > 1 else ''}"
    against = f" against {last.n_real:,} real images" if last else ""
    return f"{model.images_used:,} images generated ({share}), {groups}, judged at {looks} images per group{against}."


def _is_first_run_of_all(run: ReportRun) -> bool:
    """Return whether no model has a baseline and nothing else went wrong."""
    return bool(run.models) and not run.problems and all(is_first_run(m) for m in run.models)
