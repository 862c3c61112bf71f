"""A candidate that an earlier run left is never taken for that of a run which did not measure the model."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pytest_medgan.cli import main

BROKEN = """
import pytest

@pytest.fixture
def broken():
    {body}

def test_it(broken, medgan_scores):
    pass
"""

TWO = """
import pytest
import toy

@pytest.mark.medgan(name="one")
def test_one(medgan_scores):
    medgan_scores.at(16)

@pytest.mark.medgan(name="two")
def test_two(medgan_scores):
    medgan_scores.at(16)
"""

OWN = """
import os
import pytest
import toy

@pytest.fixture
def medgan_generator():
    if os.environ.get("TOY_BROKEN"):
        raise RuntimeError("no checkpoint today")
    def {name}(count, seed):
        if os.environ.get("TOY_STOPS"):
            raise RuntimeError("out of memory")
        return toy.blobs(count, seed)
    return {name}
"""
MEASURE = "def test_{0}(medgan_scores):\n    medgan_scores.at(16)\n"
LISTED = ["--collect-only", "--fixtures", "--fixtures-per-test", "--setup-plan", "--setup-only"]
WAYS = [pytest.param((), id="one process"), pytest.param(("-n", "2"), id="xdist")]


def candidates(project: pytest.Pytester, folder: str = "medgan-report") -> set[str]:
    return {path.name for path in (project.path / folder).glob("candidate-*")}


@pytest.mark.parametrize("how", WAYS)
@pytest.mark.parametrize("body", ["raise RuntimeError('no data today')", "pytest.skip('no data today')"])
def test_candidate_goes_where_a_fixture_ends_the_test(
    project: pytest.Pytester, body: str, how: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    project.runpytest("--medgan-full")
    assert candidates(project) == {"candidate-model.yaml"}
    project.makepyfile(test_gate=BROKEN.format(body=body))
    project.runpytest("--collect-only")
    assert candidates(project) == {"candidate-model.yaml"}
    assert project.runpytest(*how).ret in (0, 1)
    assert candidates(project) == set()
    path = "medgan-report/candidate-model.yaml"
    assert main(["baseline", "accept", path, "--into", "b.yaml", "--row", "TOY", "--reason", "first"]) == 2
    assert "no such candidate" in capsys.readouterr().err


@pytest.mark.parametrize("how", WAYS)
def test_candidates_of_tests_that_are_not_selected_stay(project: pytest.Pytester, how: tuple[str, ...]) -> None:
    project.makepyfile(test_gate=TWO)
    project.runpytest(*how)
    both = {"candidate-one.yaml", "candidate-two.yaml"}
    assert candidates(project) == both
    project.runpytest(*how, "-k", "one", "--medgan-extractor=toy:nothing").assert_outcomes(errors=1)
    assert candidates(project) == {"candidate-two.yaml"}
    project.runpytest(*how)
    assert candidates(project) == both


def test_stopped_run_leaves_no_candidate_of_a_test_that_it_did_not_reach(project: pytest.Pytester) -> None:
    project.makepyfile(test_gate=TWO)
    project.runpytest()
    assert project.runpytest("-x", "--medgan-extractor=toy:nothing").ret == 1
    assert candidates(project) == set()
    project.runpytest()
    project.makeconftest("import pytest\ndef pytest_runtest_setup(item): raise KeyboardInterrupt")
    assert project.runpytest_subprocess("-k", "two").ret == pytest.ExitCode.INTERRUPTED
    assert candidates(project) == {"candidate-one.yaml"}


def test_candidate_of_another_model_of_the_same_test_stays(project: pytest.Pytester) -> None:
    """Runs of one recipe are measured one by one and accepted together."""
    project.makepyfile(test_gate=MEASURE.format("it"), other="from toy import blobs")
    project.runpytest("--medgan-generator=toy:model")
    project.runpytest("--medgan-generator=other:blobs")
    assert candidates(project) == {"candidate-model.yaml", "candidate-blobs.yaml"}
    project.runpytest("--medgan-generator=other:absent").assert_outcomes(errors=1)
    assert candidates(project) == {"candidate-model.yaml", "candidate-blobs.yaml"}
    project.runpytest("--medgan-generator=other:blobs", "--medgan-data=absent.npz").assert_outcomes(errors=1)
    assert candidates(project) == {"candidate-model.yaml"}


@pytest.mark.parametrize("how", WAYS)
@pytest.mark.parametrize("option", LISTED)
def test_command_that_runs_no_test_removes_nothing(project: pytest.Pytester, option: str, how: tuple[str, ...]) -> None:
    """Neither by the settings, nor by the fixtures, which --setup-only runs."""
    project.makepyfile(test_gate=MEASURE.format("it"), test_own=OWN.format(name="draw") + MEASURE.format("own"))
    project.runpytest("--medgan-report=json")
    both = {"candidate-model.yaml", "candidate-draw.yaml"}
    assert candidates(project) == both
    assert project.runpytest("--medgan-report=json", option, *how).ret in (0, 5)
    assert candidates(project) == both
    assert (project.path / "medgan-report" / "scores.json").exists()


def test_candidate_of_a_projects_own_fixture_stays_where_it_skips(project: pytest.Pytester) -> None:
    """Only the candidates of a model that the settings name go before the fixture can skip."""
    own = OWN.format(name="draw")
    project.makepyfile(test_gate=own + MEASURE.format("it"))
    project.runpytest()
    skips = own.replace('raise RuntimeError("no checkpoint today")', 'pytest.skip("no checkpoint today")')
    project.makepyfile(test_gate=skips.replace('os.environ.get("TOY_BROKEN")', "True") + MEASURE.format("it"))
    project.runpytest().assert_outcomes(skipped=1)
    assert candidates(project) == {"candidate-draw.yaml"}


@pytest.mark.parametrize("mark", ["skip(reason='not here')", "skipif(True, reason='not here')"])
def test_candidate_of_a_test_that_a_marker_skips_stays(project: pytest.Pytester, mark: str) -> None:
    """Nobody asks for the model: measured on a GPU before, it is skipped on a machine without one."""
    project.makepyfile(test_gate=MEASURE.format("it"))
    project.runpytest()
    project.makepyfile(test_gate=f"import pytest\n@pytest.mark.{mark}\n" + MEASURE.format("it"))
    project.runpytest().assert_outcomes(skipped=1)
    assert candidates(project) == {"candidate-model.yaml"}
    project.makepyfile(
        test_gate=BROKEN.format(body="1 / 0").replace(
            "def test_it", "@pytest.mark.skipif(False, reason='')\ndef test_it"
        )
    )
    project.runpytest().assert_outcomes(errors=1)
    assert candidates(project) == set()


@pytest.mark.parametrize("how", WAYS)
@pytest.mark.parametrize("variable", ["TOY_BROKEN", "TOY_STOPS"])
def test_candidate_of_a_projects_own_fixture_goes(
    project: pytest.Pytester, variable: str, how: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether the fixture fails, before the name of its model is known, or the model when it is drawn."""
    project.makepyfile(test_other=OWN.format(name="other") + MEASURE.format("other"))
    project.makepyfile(test_gate=OWN.format(name="draw") + MEASURE.format("it"))
    project.runpytest(*how)
    assert candidates(project) == {"candidate-draw.yaml", "candidate-other.yaml"}
    monkeypatch.setenv(variable, "1")
    project.runpytest(*how, "test_gate.py")
    assert candidates(project) == {"candidate-other.yaml"}
    monkeypatch.delenv(variable)
    project.runpytest(*how)
    assert candidates(project) == {"candidate-draw.yaml", "candidate-other.yaml"}


def test_generator_of_the_ini_file_is_not_asked_for_where_a_fixture_replaces_it(
    project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.makepyfile(test_gate=MEASURE.format("it"), test_own=OWN.format(name="draw") + MEASURE.format("own"))
    project.runpytest()
    monkeypatch.setenv("TOY_BROKEN", "1")
    project.runpytest("test_own.py").assert_outcomes(errors=1)
    assert candidates(project) == {"candidate-model.yaml"}


def test_other_report_folder_keeps_its_candidates(project: pytest.Pytester) -> None:
    project.makepyfile(test_gate=MEASURE.format("it"))
    project.runpytest("--medgan-report-dir=kept")
    project.runpytest("--medgan-report-dir=new")
    project.runpytest("--medgan-report-dir=new", "--medgan-extractor=toy:nothing").assert_outcomes(errors=1)
    assert candidates(project, "kept") == {"candidate-model.yaml"}
    assert candidates(project, "new") == set()


def test_candidate_of_the_second_feature_space_goes_where_it_is_asked_for(project: pytest.Pytester) -> None:
    project.makepyfile(test_gate=MEASURE.format("it"))
    beside = ("-o", "medgan_metrics=fid", "--medgan-beside=toy:Features")
    project.runpytest(*beside)
    both = {"candidate-model.yaml", "candidate-model-beside.yaml"}
    assert candidates(project) == both
    project.runpytest("-o", "medgan_metrics=fid")
    assert candidates(project) == both
    project.runpytest(*beside, "--medgan-extractor=toy:nothing").assert_outcomes(errors=1)
    assert candidates(project) == set()


def test_run_without_the_cache_of_pytest_works(project: pytest.Pytester, accept: Callable[..., int]) -> None:
    project.runpytest("-p", "no:cacheprovider", "--medgan-full")
    assert accept() == 0
    project.runpytest("-p", "no:cacheprovider").assert_outcomes(passed=3)
