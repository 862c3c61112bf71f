"""Findings that must not be lost or counted twice: of fixtures, of repeated tests, of a page that cannot be written."""

from __future__ import annotations

from collections.abc import Callable

import pytest

AGAIN = """
from _pytest.runner import runtestprotocol

def pytest_runtest_protocol(item, nextitem):
    "Run a failed test once more, as pytest-rerunfailures does."
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    for last in (False, True):
        reports = runtestprotocol(item, nextitem=nextitem, log=False)
        for report in reports:
            if report.failed and not last:
                report.outcome = "rerun"
            item.ihook.pytest_runtest_logreport(report=report)
        item._initrequest()
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True

def pytest_report_teststatus(report):
    return ("rerun", "R", "RERUN") if report.outcome == "rerun" else None
"""

UNSTEADY = """
import pytest, toy
from pytest_medgan import assert_fid_below

runs = []

@pytest.fixture
def medgan_generator():
    runs.append(None)
    spread = 1 if len(runs) == 1 else 7
    def draw(count, seed):
        return toy.blobs(count, seed, spread=spread)
    return draw

def test_fid(medgan_scores):
    assert_fid_below(medgan_scores, 0.1)
"""

IN_FIXTURE = """
import pytest
from pytest_medgan import assert_coverage_above, assert_fid_below

@pytest.fixture
def gated(medgan_scores, medgan_baseline):
    assert_fid_below(medgan_scores, medgan_baseline.row("TOY"))
    assert_coverage_above(medgan_scores, 0.9)
    return medgan_scores

def test_it(gated):
    pass
"""


def test_run_that_was_repeated_leaves_nothing(project: pytest.Pytester) -> None:
    """The model of the first run, and its verdict, used to be those of the second one too."""
    project.makeconftest(AGAIN)
    result = project.runpytest("--medgan-report=md", project.makepyfile(test_gate=UNSTEADY))
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*FID*PASS at*", "candidate: *candidate-draw.yaml"])
    result.stdout.no_fnmatch_line("*FAIL*")
    result.stdout.no_fnmatch_line("*models are called draw*")
    assert "FAIL" not in (project.path / "medgan-report" / "report.md").read_text()


def test_assertion_in_a_fixture_is_a_verdict_of_the_test(project: pytest.Pytester, accept: Callable[..., int]) -> None:
    project.runpytest("--medgan-full")
    assert accept() == 0
    result = project.runpytest(project.makepyfile(test_gate=IN_FIXTURE))
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*FID*PASS at*", "*Coverage*FAIL at*", "*limits: TOY (*", "candidate: *"])
    only = project.runpytest("--medgan-report-only")
    only.assert_outcomes(passed=1)
    only.stdout.fnmatch_lines(["*FID*PASS at*", "*Coverage*FAIL at*"])


def test_failed_fixture_says_how_to_accept(project: pytest.Pytester) -> None:
    result = project.runpytest(project.makepyfile(test_gate=IN_FIXTURE))
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*medgan baseline accept *candidate-model.yaml --row TOY --reason '...'"])
    assert (project.path / "medgan-report" / "candidate-model.yaml").exists()


def test_summary_page_that_cannot_be_written_loses_no_report(
    project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It used to say that the report could not be written, which lay there."""
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(project.path / "absent" / "summary.md"))
    result = project.runpytest("--medgan-report=md", "-k", "fid")
    result.stdout.fnmatch_lines(["report: medgan-report/report.md", "The summary page of the CI job*No such file*"])
    result.stdout.no_fnmatch_line("The report could not be written*")
