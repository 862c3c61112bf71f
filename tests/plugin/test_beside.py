"""A second feature space in the same gate: its own baseline file, shown where it disagrees, failing nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pytest_medgan.cli import main

SPACE = """
import numpy as np

def corners(pixels):
    step = pixels.shape[-1] // 32  # the canned images of the canary are 128 wide
    grey = pixels[:, 0, ::step, ::step].astype(np.float32)
    ends = slice(4), slice(-4, None)
    return np.stack([grey[:, i, j].mean((1, 2)) for i in ends for j in ends], 1)
"""
TEST = """
from pytest_medgan import assert_coverage_above

def test_coverage(medgan_scores, medgan_baseline):
    assert_coverage_above(medgan_scores, medgan_baseline.row("TOY").coverage)
"""
WHOLE, CORNERS = "toy:Features", "corners:corners"  # the second sees no blob, whatever its place


@pytest.fixture
def gate(project: pytest.Pytester) -> pytest.Pytester:
    project.makepyfile(corners=SPACE, test_gate=TEST)
    return project


def options(first: str, second: str) -> tuple[str, ...]:
    return f"--medgan-extractor={first}", f"--medgan-beside={second}", "--medgan-metrics=coverage duplicate_rate"


def accept_both() -> None:
    for name in ("model", "model-beside"):
        words = ["--row", "TOY", "--reason", "first measurement"]
        assert main(["baseline", "accept", f"medgan-report/candidate-{name}.yaml", *words]) == 0
    assert Path("medgan-baseline-beside.yaml").is_file()


@pytest.mark.parametrize("how", [pytest.param((), id="one process"), pytest.param(("-n", "2"), id="xdist")])
def test_second_space_goes_from_missing_over_accepted_to_agreement(gate: pytest.Pytester, how: tuple[str, ...]) -> None:
    missing = gate.runpytest(*options(WHOLE, CORNERS), *how)
    missing.assert_outcomes(failed=1)
    missing.stdout.fnmatch_lines(["model beside: *", "*no verdict below fails a test*", "*Coverage*MISSING*"])
    accept_both()
    passed = gate.runpytest(*options(WHOLE, CORNERS), *how)
    passed.assert_outcomes(passed=1)
    passed.stdout.fnmatch_lines(["  the second feature space agrees on coverage"])


@pytest.mark.parametrize(
    ("first", "second", "outcome"), [(WHOLE, CORNERS, "FAIL"), (CORNERS, WHOLE, "PASS")], ids=["first", "second"]
)
def test_verdict_rests_on_the_first_space_and_disagreement_is_shown(
    first: str, second: str, outcome: str, gate: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate.runpytest(*options(first, second))
    accept_both()
    monkeypatch.setenv("TOY_SPREAD", "2")
    changed = gate.runpytest(*options(first, second), "--medgan-report=json,md", "--junit-xml=junit.xml")
    changed.assert_outcomes(passed=outcome == "PASS", failed=outcome == "FAIL")
    assert changed.ret == (outcome == "FAIL")
    other = {"PASS": "FAIL", "FAIL": "PASS"}[outcome]
    line = f"coverage: {outcome} in the first feature space, {other} in the second"
    changed.stdout.fnmatch_lines([f"  {line}"])
    assert max(len(text) for text in changed.outlines if line in text or "Coverage" in text) <= 80
    folder = Path("medgan-report")
    run = json.loads((folder / "scores.json").read_text())
    assert [model["name"] for model in run["models"]] == ["model"]
    assert f"model: {line}" in run["warnings"]
    assert line in next(folder.glob("*.md")).read_text()
    junit = Path("junit.xml").read_text()
    assert f'name="medgan.coverage.verdict" value="{outcome}"' in junit
    assert f'name="medgan.beside.coverage.verdict" value="{other}"' in junit


RUNS = """
import toy

def run(number):
    def draw(count, seed):
        return toy.model(count, seed + 100 * number)
    draw.identity = f"run {number}, {toy.model.identity}"
    return draw

a, b, c = map(run, range(3))
"""


def test_training_runs_are_judged_together_in_both_spaces(
    gate: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    gate.makepyfile(trained=RUNS)
    every = ("--medgan-runs=trained:a trained:b trained:c", "--medgan-samples=512")
    monkeypatch.setenv("TOY_LOG", str(tmp_path / "log"))
    missing = gate.runpytest(*options(WHOLE, CORNERS), *every, "--medgan-full")
    missing.assert_outcomes(failed=1)
    missing.stdout.fnmatch_lines(["* beside: *", "*Coverage*MISSING*"])
    drawn = (tmp_path / "log").read_text().splitlines()
    assert len(drawn) == len(set(drawn)) == 9  # three seeds of three runs, none of them again for the second space
    words = ["--row", "TOY", "--reason", "three runs"]
    for candidate in sorted(Path("medgan-report").glob("candidate-*.yaml")):
        assert main(["baseline", "accept", str(candidate), *words]) == 0
    for name in ("medgan-baseline.yaml", "medgan-baseline-beside.yaml"):
        assert Path(name).read_text().count("checkpoint: ") == 3
    passed = gate.runpytest(*options(WHOLE, CORNERS), *every)
    passed.assert_outcomes(passed=1)
    passed.stdout.fnmatch_lines(["  the second feature space agrees on coverage"])
    monkeypatch.setenv("TOY_SPREAD", "2")
    changed = gate.runpytest(*options(WHOLE, CORNERS), *every)
    changed.assert_outcomes(failed=1)
    changed.stdout.fnmatch_lines(["  coverage: FAIL in the first feature space, PASS in the second"])


def test_images_are_drawn_once_and_measured_without_a_row(
    gate: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A plain number is a limit in the first space alone; the second is measured and compared with nothing."""
    gate.makepyfile(test_gate=TEST.replace('medgan_baseline.row("TOY").coverage', "0.01"))
    monkeypatch.setenv("TOY_LOG", str(tmp_path / "log"))
    result = gate.runpytest(*options(WHOLE, CORNERS))
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["model beside: *", "*Coverage*not compared*"])
    drawn = (tmp_path / "log").read_text().splitlines()
    once = tmp_path / "once"
    monkeypatch.setenv("TOY_LOG", str(once))
    gate.runpytest(*options(WHOLE, CORNERS)[::2]).assert_outcomes(passed=1)
    assert drawn == once.read_text().splitlines()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--medgan-beside=timm:no_such_model",), "*timm*"),
        (("--medgan-beside=corners:corners", "--medgan-metrics=duplicate_rate"), "*depends on the feature space*"),
        (
            ("--medgan-beside=timm:no_such_model", "--medgan-runs=toy:model toy:blobs"),
            "*timm*",
        ),
    ],
)
def test_unusable_second_space_is_one_line_before_anything_is_drawn(
    words: tuple[str, ...], message: str, gate: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TOY_LOG", str(tmp_path / "log"))
    result = gate.runpytest(*words)
    assert result.ret == 1
    result.stdout.fnmatch_lines([f"medgan: {message}"])
    assert "drawn 128" not in ((tmp_path / "log").read_text() if (tmp_path / "log").exists() else "")
