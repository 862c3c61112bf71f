"""A second feature space in the same gate: what it says of a model, and where it disagrees with the first.

It judges by the row of the same name in a baseline file of its own (`medgan-baseline-beside.yaml` for
`medgan-baseline.yaml`), because values of two spaces cannot be compared. Its verdicts are shown and fail nothing.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_medgan.records import Outcome, Verdict
from pytest_medgan.session.findings import Model

if TYPE_CHECKING:
    from pytest_medgan.embedding.contract import FeatureSpace
    from pytest_medgan.evaluate import ModelEvaluation, RunsEvaluation

NAME = " beside"  # behind the name of a model: the same in the second feature space
FILE = "-beside"  # behind the name of a baseline file: the one with the rows of the second feature space


@dataclass(frozen=True)
class Disagreement:
    """A metric that fails in one feature space and passes in the other."""

    metric: str
    first: Outcome
    second: Outcome

    def __str__(self) -> str:
        return f"{self.metric}: {self.first} in the first feature space, {self.second} in the second"


def second_evaluation(evaluation: ModelEvaluation | RunsEvaluation) -> ModelEvaluation | RunsEvaluation | None:
    """Return the model, or its training runs, in the second feature space; None where the settings name none.

    Raises:
        SettingsError: No metric depends on a feature space.
        ExtractorError: The space cannot be loaded.
    """
    subject = evaluation.subject
    spec = subject.settings.beside
    if spec is None:
        return None
    space = subject.bench.extractor(spec, subject.real)
    return subject.bench.keep_model(("beside", evaluation.key), lambda: _make(evaluation, space))


def _make(evaluation: ModelEvaluation | RunsEvaluation, space: FeatureSpace) -> ModelEvaluation | RunsEvaluation:
    """Return the model or the runs in another feature space."""
    baseline = evaluation.subject.settings.baseline
    return evaluation.beside(space, f"{evaluation.name}{NAME}", None if baseline is None else file_beside(baseline))


def file_beside(baseline: str) -> str:
    """Return the baseline file of the second feature space.

    Args:
        baseline: That of the first: a file, or the name of one that ships with the package.

    Examples:
        >>> file_beside("gates/medgan-baseline.yaml"), file_beside("phantom")
        ('gates/medgan-baseline-beside.yaml', 'phantom-beside.yaml')
    """
    stem, suffix = os.path.splitext(baseline)
    return f"{stem}{FILE}{suffix or '.yaml'}"


def judge_second(second: ModelEvaluation | RunsEvaluation, verdicts: Sequence[Verdict]) -> tuple[Verdict, ...]:
    """Return the second feature space's verdicts on what a test compared with rows of the baseline.

    Where the test compared with none, the full count is measured and nothing is judged.

    Args:
        second: What `second_evaluation` returned.
        verdicts: The test's verdicts in the first feature space.
    """
    from pytest_medgan.gate.baseline import load
    from pytest_medgan.gate.decision import decide

    found: list[Verdict] = []
    measured = second.subject.settings.metrics
    baseline = second.subject.settings.baseline
    for name in dict.fromkeys(v.row for v in verdicts if v.row not in (None, "Real")):
        metrics = {v.metric.name: v.metric for v in verdicts if v.row == name and v.metric.name in measured}
        if name is None or baseline is None:
            continue
        row = load(baseline).row(name)
        limits = [(m, row[n] if n in row.entries else row.without(n)) for n, m in metrics.items()]
        found += decide(second, limits) if limits else ()
    if not found:
        second.at(second.counts[-1])
    return tuple(found)


def disagreements(first: Model, second: Model) -> tuple[Disagreement, ...]:
    """Return the metrics that fail in one feature space and pass in the other, in the first one's order."""
    theirs = {judged.verdict.metric.name: judged.verdict.outcome for judged in second.verdicts}
    found = {}
    for judged in first.verdicts:
        name, outcome = judged.verdict.metric.name, judged.verdict.outcome
        other = theirs.get(name)
        if other is not None and _decides(outcome) and _decides(other) and outcome.green != other.green:
            found[name] = Disagreement(name, outcome, other)
    return tuple(found.values())


def lines(first: Model, second: Model) -> tuple[str, ...]:
    """Return what a summary says of the two feature spaces together: where they disagree, or that they do not."""
    found = disagreements(first, second)
    if found:
        return tuple(map(str, found))
    theirs = {judged.verdict.metric.name: judged.verdict.outcome for judged in second.verdicts}
    ours = {judged.verdict.metric.name: judged.verdict.outcome for judged in first.verdicts}
    decided = [name for name, outcome in ours.items() if _decides(outcome) and _decides(theirs.get(name))]
    if decided:
        return (f"the second feature space agrees on {', '.join(decided)}",)
    return ("no metric was decided in both feature spaces",)


def _decides(outcome: Outcome | None) -> bool:
    """Whether an outcome says that a metric passed or failed."""
    return outcome is not None and (outcome.green or outcome is Outcome.FAIL)


def second_of(models: Sequence[Model], first: Model) -> Model | None:
    """Return the findings of the second feature space on a model."""
    return next((model for model in models if model.findings.beside == first.findings.key), None)
