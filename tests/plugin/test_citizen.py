"""The plugin with other parts of pytest: workers, -x, --lf, several models in one session, no GPU test."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch


@pytest.fixture
def drawn(project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[str]]:
    """Return a function that gives the draws of the toy model since its last call."""
    log = project.path / "drawn.txt"
    monkeypatch.setenv("TOY_LOG", str(log))

    def read() -> list[str]:
        lines = log.read_text().splitlines() if log.exists() else []
        log.unlink(missing_ok=True)
        return sorted(lines)

    return read


def test_workers_compute_each_evaluation_once(
    project: pytest.Pytester,
    accept: Callable[..., int],
    drawn: Callable[[], list[str]],
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    between = tmp_path_factory.mktemp("between")
    monkeypatch.setattr(tempfile, "tempdir", str(between))
    once = [f"drawn 128 {seed}" for seed in (0, 1, 2)]
    project.runpytest()
    assert drawn() == once
    accept()
    project.runpytest("-n", "2").assert_outcomes(passed=3)
    assert drawn() == once
    assert not list((project.path / ".medgan").glob("*session-*"))
    assert not list(between.glob("medgan-session-*"))


def test_workers_of_a_project_without_medgan_tests_leave_no_folder(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_it(): pass")
    pytester.runpytest("-n", "1").assert_outcomes(passed=1)
    assert not (pytester.path / ".medgan").exists()
    (pytester.path / ".medgan").write_text("a file where the cache would be")
    pytester.runpytest("-n", "1").assert_outcomes(passed=1)


def test_workers_without_a_shared_folder_compute_alone(
    project: pytest.Pytester, accept: Callable[..., int], monkeypatch: pytest.MonkeyPatch
) -> None:
    project.runpytest()
    accept()

    def full(suffix: str | None = None, prefix: str | None = None, dir: Path | str | None = None) -> str:
        if prefix is not None and prefix.startswith("medgan"):
            raise OSError("no space left on device")
        return make(suffix, prefix, dir)

    make = tempfile.mkdtemp
    monkeypatch.setattr(tempfile, "mkdtemp", full)
    project.runpytest("-n", "2").assert_outcomes(passed=3)


def test_exitfirst_shows_the_failed_gate(
    project: pytest.Pytester, accept: Callable[..., int], monkeypatch: pytest.MonkeyPatch
) -> None:
    project.runpytest()
    accept()
    monkeypatch.setenv("TOY_SPREAD", "3")
    result = project.runpytest("-x")
    assert sum(result.parseoutcomes().get(key, 0) for key in ("passed", "failed")) < 3
    assert result.parseoutcomes()["failed"] == 1
    result.stdout.fnmatch_lines(["*= medgan =*", "*FAIL*", "candidate: *"])


def test_last_failed_reruns_one_gate(
    project: pytest.Pytester, accept: Callable[..., int], monkeypatch: pytest.MonkeyPatch
) -> None:
    project.runpytest()
    accept()
    monkeypatch.setenv("TOY_SPREAD", "3")
    failed = project.runpytest("-n", "2").parseoutcomes()["failed"]
    assert 0 < failed < 3
    monkeypatch.delenv("TOY_SPREAD")
    project.runpytest("--lf").assert_outcomes(passed=failed)


def test_several_models_have_a_table_each(project: pytest.Pytester) -> None:
    module = project.path / "toy.py"
    module.write_text(module.read_text() + "\ndef narrow(count, seed):\n    return blobs(count, seed, spread=2.0)\n")
    project.makepyfile(
        test_gate="""
        import pytest
        from pytest_medgan import assert_coverage_above

        MODELS = [pytest.param(id=name, marks=pytest.mark.medgan(generator=f"toy:{name}", name=name.upper()))
                  for name in ("model", "narrow")]

        @pytest.mark.parametrize((), MODELS)
        def test_it(medgan_scores):
            assert_coverage_above(medgan_scores, 0.3)
        """
    )
    result = project.runpytest("-v")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*test_it?model? PASSED*", "*test_it?narrow? FAILED*", "MODEL: *", "NARROW: *"])
    written = {path.name for path in (project.path / "medgan-report").iterdir()}
    assert {"candidate-MODEL.yaml", "candidate-NARROW.yaml"} <= written


def test_much_better_model_is_stale_and_passes(
    project: pytest.Pytester, accept: Callable[..., int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOY_SPREAD", "3")
    project.runpytest("--medgan-full")
    accept()
    monkeypatch.delenv("TOY_SPREAD")
    result = project.runpytest("-k", "fid")
    result.assert_outcomes(passed=1, deselected=2)
    result.stdout.fnmatch_lines(["*FID*STALE*", "*renew the baseline*"])


def test_gpu_option_without_a_gpu_test_is_a_usage_error(
    project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    project.makepyfile(test_gate="def test_it():\n    pass\n")
    result = project.runpytest("--medgan-gpu")
    result.assert_outcomes(passed=1)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stdout.fnmatch_lines(["*--medgan-gpu: no test marked medgan_gpu ran*"])
