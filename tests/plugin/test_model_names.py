"""Names of models: two models of one name, and names with characters that a terminal or a report would obey."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from pytest_medgan.report import read_run

HOSTILE = "e\x1b]0;PWN\x07v \u202egnp\n# second `line`"
SHOWN = r"e\x1b]0;PWN\x07v \u202egnp\n# second `line`"


def write_generator(path: Path, grey: int) -> None:
    """Write images of a generator: noise around a grey level."""
    path.parent.mkdir(exist_ok=True)
    pixels = np.random.default_rng(grey).normal(grey, 20, (160, 1, 32, 32)).clip(0, 255).astype(np.uint8)
    np.savez(path, pixels=pixels)


def measure(project: pytest.Pytester, first: str, second: str) -> tuple[dict[str, float], str]:
    """Measure two files of images in one run.

    Returns:
        Name of a model in the report -> its FID, and what the terminal shows.
    """
    project.makepyfile(
        test_gate=f"""
        import pytest

        @pytest.mark.parametrize(
            "at", [pytest.param(32, marks=pytest.mark.medgan(generator=name)) for name in ({first!r}, {second!r})]
        )
        def test_it(medgan_scores, at):
            medgan_scores.at(at)
        """
    )
    write_generator(project.path / first, 60)
    write_generator(project.path / second, 160)
    result = project.runpytest("--medgan-samples=32", "--medgan-report=html,md,json")
    result.assert_outcomes(passed=2)
    run = read_run(project.path / "medgan-report").run
    return {model.name: model.looks[0]["fid"].mean for model in run.models}, result.stdout.str()


@pytest.mark.parametrize(
    ("first", "second", "names"),
    [
        ("gen (1).npz", "gen.npz", ["gen (1)", "gen"]),
        ("a/last.npz", "b/last.npz", ["last", "last (2)"]),
    ],
)
def test_every_model_of_a_report_has_its_own_values(
    project: pytest.Pytester, first: str, second: str, names: list[str]
) -> None:
    found, said = measure(project, first, second)
    assert list(found) == names
    shown = [float(value) for value in re.findall(r"FID ↓ +\S+ +([\d.]+)", said)]
    assert list(found.values()) == pytest.approx(shown, rel=0.01)
    assert shown[0] != shown[1]
    assert ("Two models are called last" in said) == (first == "a/last.npz")


def test_models_whose_candidates_have_one_file_are_named(project: pytest.Pytester) -> None:
    found, said = measure(project, "gen (1).npz", "gen 1.npz")
    assert list(found) == ["gen (1)", "gen 1"]
    assert "gen 1 has no candidate: its file candidate-gen-1.yaml is that of gen (1)." in said


def test_control_characters_of_a_name_do_not_reach_the_terminal_or_leave_the_line(project: pytest.Pytester) -> None:
    project.makepyfile(
        test_gate=f"""
        import pytest

        from pytest_medgan import assert_fid_below

        @pytest.mark.medgan(name={HOSTILE!r})
        def test_it(medgan_scores, medgan_baseline):
            assert_fid_below(medgan_scores, medgan_baseline.row({HOSTILE!r}).fid)
        """
    )
    result = project.runpytest("--medgan-samples=32", "--medgan-report=md")
    said = result.stdout.str().partition("= medgan =")[2].partition("= short test summary")[0]
    assert f"{SHOWN}: " in said
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f\u202a-\u202e]", said)
    assert not [line for line in said.splitlines() if line.startswith("# second")]
    text = (project.path / "medgan-report" / "report.md").read_text(encoding="utf-8")
    assert not [line for line in text.splitlines() if line.startswith("# second")]
    (command,) = [line for line in text.splitlines() if "baseline accept" in line]
    assert command.endswith('--reason "..." ``')
