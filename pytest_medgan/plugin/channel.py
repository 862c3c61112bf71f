"""Carry a test's findings to the process that writes files, as plain data in `report.user_properties`.

pytest-xdist sends user properties from its workers to the controller; a single process uses the same channel. The
records are imported when a test has findings, since they load numpy.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from pytest_medgan.errors import MedganError
from pytest_medgan.plugin.state import EVALUATIONS, VERDICTS, state_of

if TYPE_CHECKING:
    from pytest_medgan.evaluate import ModelEvaluation, RunsEvaluation
    from pytest_medgan.session.findings import JudgedVerdict, ModelFindings, TestFindings

PROPERTY = "medgan"  # the property that carries the findings; removed before a JUnit file is written


def hand_over(item: pytest.Item) -> None:
    """Attach what a test found to its report. An error in here must not hide the outcome of the test."""
    gpu = item.get_closest_marker("medgan_gpu") is not None
    if not item.stash.get(EVALUATIONS, []) and not gpu:
        return
    from pytest_medgan.ground.plain import to_plain

    try:
        plain = to_plain(_collected(item, gpu))
        json.dumps(plain)  # a type that JSON does not know would break a worker's channel
        item.user_properties.append((PROPERTY, plain))
    except Exception as error:
        hand_over_line(
            item,
            f"{item.nodeid}: The findings of this test are lost ({error!r}). Report this as a bug of pytest-medgan.",
        )


def hand_over_line(item: pytest.Item, line: str) -> None:
    """Attach a line that only the terminal shows, because it may name files of the data."""
    from pytest_medgan.ground.plain import to_plain
    from pytest_medgan.session.findings import TestFindings

    item.user_properties.append((PROPERTY, to_plain(TestFindings(terminal=(line,)))))


def forget(item: pytest.Item) -> bool:
    """Release what a test looked at, once its reports are written; return whether it looked at scores."""
    had_scores = bool(item.stash.get(EVALUATIONS, []))
    item.stash.get(EVALUATIONS, []).clear()
    item.stash.get(VERDICTS, []).clear()
    item.user_properties[:] = [entry for entry in item.user_properties if entry[0] != PROPERTY]
    return had_scores


def take_findings(report: pytest.TestReport) -> list[Any]:
    """Remove the plugin's properties from a report and return their plain data."""
    findings: list[Any] = [value for name, value in report.user_properties if name == PROPERTY]
    report.user_properties = [entry for entry in report.user_properties if entry[0] != PROPERTY]
    return findings


def findings_from_plain(plain: Any) -> TestFindings:
    """Return the findings that plain data describe."""
    from pytest_medgan.ground.plain import from_plain
    from pytest_medgan.session.findings import TestFindings

    return from_plain(TestFindings, plain, "findings")


def _collected(item: pytest.Item, gpu: bool) -> TestFindings:
    """Return what a test found."""
    from pytest_medgan.session.findings import TestFindings

    evaluations, verdicts = item.stash.get(EVALUATIONS, []), item.stash.get(VERDICTS, [])
    seen = [evaluation for evaluation in evaluations if evaluation.computed or verdicts]
    models = [_model_findings(item, one) for one in seen]
    judged = list(verdicts)
    lines = _add_second_space(item, seen[:1], models, judged)
    return TestFindings(tuple(models), tuple(judged), gpu, lines)


def _add_second_space(
    item: pytest.Item,
    evaluations: list[ModelEvaluation | RunsEvaluation],
    models: list[ModelFindings],
    judged: list[JudgedVerdict],
) -> tuple[str, ...]:
    """Add the second feature space's findings on the model that the verdicts concern; return why it was not judged."""
    from pytest_medgan.session.beside import judge_second, second_evaluation
    from pytest_medgan.session.findings import JudgedVerdict, findings_of

    for evaluation in evaluations:
        try:
            second = second_evaluation(evaluation)
            if second is None:
                continue
            verdicts = judge_second(second, [one.verdict for one in judged])
            if state_of(item.config).options.full:
                for n in second.counts:
                    second.at(n)
        except MedganError as error:  # the verdicts of the first space stay valid and must be shown
            return (f"{item.nodeid}: The second feature space could not be judged: {error.for_terminal()}",)
        judged += [JudgedVerdict(second.key, verdict) for verdict in verdicts]
        models.append(findings_of(second, beside=evaluation.key))
    return ()


def _model_findings(item: pytest.Item, evaluation: ModelEvaluation | RunsEvaluation) -> ModelFindings:
    """Return a model's findings, with the file of its pictures where reports were asked for."""
    from pytest_medgan.session.findings import findings_of
    from pytest_medgan.session.run_folder import keep_evidence

    options = state_of(item.config).options
    drawn = bool(options.reports) and bool(evaluation.computed)
    return findings_of(evaluation, evidence=keep_evidence(evaluation, options) if drawn else None)
