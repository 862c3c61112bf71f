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


@pytest.mark.parametrize(
    ("ending", "outcome"),
    [
        ("pytest.fail('no')", "errors"),
        ("pytest.skip('no')", "skipped"),
        ("raise RuntimeError('no')", "errors"),
        ("raise SettingsError('no')", "errors"),
    ],
)
def test_verdict_in_a_fixture_is_kept_however_the_fixture_ends(
    ending: str, outcome: str, project: pytest.Pytester
) -> None:
    """Only an AssertionError used to hand it over."""
    fixture = IN_FIXTURE.replace('medgan_baseline.row("TOY")', "1e9")
    fixture = fixture.replace("assert_coverage_above(medgan_scores, 0.9)", ending)
    test = "from pytest_medgan.errors import SettingsError\n" + fixture
    result = project.runpytest(project.makepyfile(test_gate=test))
    result.assert_outcomes(**{outcome: 1})
    result.stdout.fnmatch_lines(["*FID*PASS at*"])


def test_fixture_that_fails_before_a_verdict_leaves_nothing(project: pytest.Pytester) -> None:
    fixture = IN_FIXTURE.replace('    assert_fid_below(medgan_scores, medgan_baseline.row("TOY"))\n', "")
    fixture = fixture.replace("assert_coverage_above(medgan_scores, 0.9)", "medgan_scores.fid; pytest.fail('no')")
    result = project.runpytest(project.makepyfile(test_gate=fixture))
    result.assert_outcomes(errors=1)
    result.stdout.no_fnmatch_line("candidate: *")


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


NAMELESS = """
import pytest, toy
from pytest_medgan import assert_fid_below

@pytest.fixture
def medgan_generator():
    return draw

def draw(count, seed):
    return toy.blobs(count, seed)

def test_row(medgan_scores, medgan_baseline):
    assert_fid_below(medgan_scores, medgan_baseline.row("TOY"))

def test_limit(medgan_scores):
    assert_fid_below(medgan_scores, 1e9)
"""


def test_nameless_model_that_measured_nothing_in_one_worker_is_one_model(
    project: pytest.Pytester, accept: Callable[..., int]
) -> None:
    """The worker with the verdict INCOMPARABLE used to make a second model of the same name."""
    project.runpytest("--medgan-full")
    assert accept() == 0
    result = project.runpytest("-n", "2", "--medgan-seeds=7", project.makepyfile(test_gate=NAMELESS))
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*INCOMPARABLE*", "candidate: *candidate-draw.yaml"])
    result.stdout.no_fnmatch_line("*models are called draw*")
    assert len([line for line in result.outlines if line.startswith("candidate: ")]) == 1
    assert len([line for line in result.outlines if line.startswith("draw")]) == 1


UPGRADED = """
from dataclasses import replace
from pytest_medgan.embedding import extract

def upgraded(spec, device):
    space = load(spec, device)

    def run(pixels, progress):
        features, chances = space.run(pixels, progress)
        return features * 2, chances
    return replace(space, run=run, engine="an upgraded library")

load = extract.load_compact
extract.LOADERS["compact"] = upgraded
"""


def test_row_under_an_upgraded_library_is_incomparable_and_no_error(
    project: pytest.Pytester, accept: Callable[..., int]
) -> None:
    how = ("-k", "fid", "--medgan-extractor=compact")
    project.runpytest_subprocess(*how, "--medgan-full")
    assert accept() == 0
    project.runpytest_subprocess(*how).assert_outcomes(passed=1, deselected=2)
    project.makeconftest(UPGRADED)
    result = project.runpytest_subprocess(*how)
    result.assert_outcomes(failed=1, deselected=2)
    result.stdout.fnmatch_lines(["*FID*INCOMPARABLE*"])
    result.stdout.no_fnmatch_line("*cache prune*")
