"""A gate from its first run on: no baseline, accept, pass, a change fails, accept, pass; also under pytest-xdist."""

from __future__ import annotations

from collections.abc import Callable

import pytest

WAYS = [pytest.param((), id="one process"), pytest.param(("-n", "2"), id="xdist")]


@pytest.mark.parametrize("how", WAYS)
def test_gate_goes_from_missing_over_accepted_to_pass_and_fail(
    project: pytest.Pytester,
    accept: Callable[..., int],
    how: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    missing = project.runpytest(*how)
    missing.assert_outcomes(failed=3)
    missing.stdout.fnmatch_lines(
        ["*MISSING*", "*candidate: medgan-report*", "look at the samples *--medgan-report=html"]
    )
    assert missing.ret == 1

    assert accept() == 0
    project.runpytest(*how).assert_outcomes(passed=3)

    monkeypatch.setenv("TOY_SPREAD", "5")  # a loss of diversity
    changed = project.runpytest(*how)
    assert changed.ret == 1
    changed.stdout.fnmatch_lines(["*Coverage*FAIL*", "*limits: TOY (medgan-baseline.yaml:*"])

    project.runpytest(*how, "--medgan-full")
    assert accept("less diversity is wanted", "medgan-baseline.yaml", "--override", "drift") == 0
    result = project.runpytest(*how)
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(["*Coverage*BLIND*"])  # its value is so low that no further loss could be seen


def test_failure_names_metric_value_limit_and_line(
    project: pytest.Pytester, accept: Callable[..., int], monkeypatch: pytest.MonkeyPatch
) -> None:
    project.runpytest()
    accept()
    monkeypatch.setenv("TOY_SPREAD", "3")
    result = project.runpytest("-k", "coverage")
    lines = (project.path / "medgan-baseline.yaml").read_text().splitlines()
    row = lines.index("  TOY:")
    line = next(number for number, text in enumerate(lines[row:], row + 1) if "coverage" in text)
    result.stdout.fnmatch_lines(["*coverage*", f"*medgan-baseline.yaml:{line}*", "*medgan baseline accept*"])


def test_same_command_twice_prints_the_same_table(project: pytest.Pytester, accept: Callable[..., int]) -> None:
    project.runpytest()
    accept()
    first, second = (project.runpytest().outlines for _ in range(2))
    table = [line for line in first if "PASS at" in line]
    assert len(table) == 3
    assert table == [line for line in second if "PASS at" in line]


def test_second_run_embeds_no_image(
    project: pytest.Pytester, accept: Callable[..., int], monkeypatch: pytest.MonkeyPatch
) -> None:
    project.runpytest()
    accept()
    project.runpytest().stdout.fnmatch_lines(["features: 0 images embedded, *"])


def test_second_model_is_accepted_before_the_first_is_committed(
    project: pytest.Pytester, accept: Callable[..., int]
) -> None:
    for command in (["init", "-q"], ["add", "-A"], ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "x"]):
        project.run("git", *command)
    project.runpytest()
    assert accept() == 0
    project.run("git", "add", "medgan-baseline.yaml")
    project.runpytest("--medgan-full")
    assert "dirty: false" in next((project.path / "medgan-report").glob("*.yaml")).read_text()
    (project.path / "toy.py").write_text((project.path / "toy.py").read_text() + "\n")
    project.runpytest("--medgan-full")
    assert "dirty: true" in next((project.path / "medgan-report").glob("*.yaml")).read_text()
    assert accept() == 2


def test_report_only_shows_verdicts_and_fails_nothing(
    project: pytest.Pytester, accept: Callable[..., int], monkeypatch: pytest.MonkeyPatch
) -> None:
    project.runpytest()
    accept()
    monkeypatch.setenv("TOY_SPREAD", "3")
    result = project.runpytest("--medgan-report-only")
    result.assert_outcomes(passed=3)
    result.stdout.fnmatch_lines(["*REPORT ONLY*", "*FAIL*"])


def test_report_only_applies_to_frozen_scores(project: pytest.Pytester) -> None:
    project.makepyfile(
        test_gate="""
        from pytest_medgan import assert_fid_below
        from pytest_medgan.records import Score, Scores

        def test_it():
            fid = Score(2.0, 0.1)
            assert_fid_below(Scores(64, 64, ("0",), {"fid": fid}), 1.0)
        """
    )
    project.runpytest().assert_outcomes(failed=1)
    project.runpytest("--medgan-report-only").assert_outcomes(passed=1)


def test_scores_requested_during_the_test_are_recorded(project: pytest.Pytester) -> None:
    project.makepyfile(
        test_gate="""
        from pytest_medgan import assert_fid_below

        def test_it(request):
            assert_fid_below(request.getfixturevalue("medgan_scores"), 1e9)
        """
    )
    result = project.runpytest()
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*FID*1,000,000,000*PASS*"])


def test_limit_on_the_real_row_keeps_the_candidates_name(project: pytest.Pytester, accept: Callable[..., int]) -> None:
    project.makepyfile(
        test_gate="""
        from pytest_medgan import assert_fid_below, assert_no_regression

        def test_images_look_real(medgan_scores, medgan_real_row):
            assert_fid_below(medgan_scores, 100 * medgan_real_row.fid)

        def test_nothing_became_worse(medgan_scores, medgan_baseline):
            assert_no_regression(medgan_scores, medgan_baseline.row("TOY"))
        """
    )
    project.runpytest("--medgan-full").assert_outcomes(passed=1, failed=1)
    assert accept() == 0
    project.runpytest().assert_outcomes(passed=2)


def test_models_of_one_name_do_not_share_a_candidate(project: pytest.Pytester) -> None:
    project.makepyfile(
        test_gate="""
        import pytest

        @pytest.mark.parametrize("n", [32, 64])
        def test_it(request, n):
            request.node.add_marker(pytest.mark.medgan(samples=n))
            scores = request.getfixturevalue("medgan_scores")
            scores.at(n)
        """
    )
    result = project.runpytest()
    result.stdout.fnmatch_lines(["*Two models are called model*"])
