"""Published figures and a row's earlier values in the reports of a run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_medgan.gate.baseline import load
from pytest_medgan.report import read_run
from pytest_medgan.session.history import accepted_history

COMMIT = ("-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "accepted")


def test_report_on_a_public_collection_shows_the_published_column(
    project: pytest.Pytester, accept: Callable[..., int]
) -> None:
    (project.path / "nsclc-radiomics").mkdir()
    (project.path / "images.npz").rename(project.path / "nsclc-radiomics" / "images.npz")
    data = "--medgan-data=nsclc-radiomics/images.npz,size=32,crop_size=32"
    project.makepyfile(
        test_gate="""
        import pytest

        @pytest.mark.medgan(name="my PGGAN")
        def test_it(medgan_scores):
            medgan_scores.at(64)
        """
    )
    project.runpytest(data, "--medgan-report=html,md").assert_outcomes(passed=1)
    text = (project.path / "medgan-report" / "report.md").read_text()
    assert "PGGAN (published)" in text
    assert "6.790 ± 0.354" in text
    drawn = (project.path / "medgan-report" / "report.html").read_text()
    assert "published: 0.707 at k=3" in drawn


def test_history_of_a_row_comes_from_version_control(
    project: pytest.Pytester, accept: Callable[..., int], monkeypatch: pytest.MonkeyPatch
) -> None:
    project.run("git", "init", "-q")
    for spread in ("12", "8", "5"):
        monkeypatch.setenv("TOY_SPREAD", spread)
        project.runpytest("--medgan-full")
        assert accept("another spread", "medgan-baseline.yaml", "--override", "drift") == 0
        if spread != "5":  # the last state is accepted and not committed yet
            project.run("git", "add", "medgan-baseline.yaml")
            project.run("git", *COMMIT)
    project.runpytest("--medgan-report=html")
    run = read_run(project.path / "medgan-report").run
    points = run.models[0].history
    assert [point.reason for point in points] == ["another spread"] * 3
    assert points[-1].label == "not committed"
    fids = [point.metrics["fid"].mean for point in points]
    assert fids == sorted(fids)
    assert len(set(fids)) == 3
    (project.path / "linked.yaml").symlink_to("medgan-baseline.yaml")
    linked = load(project.path / "linked.yaml")
    assert [point.label for point in accepted_history(linked, linked.row("TOY"), None)] == [p.label for p in points]
    row = load(project.path / "medgan-baseline.yaml").row("TOY")
    assert run.models[0].last is not None
    assert points[-1].metrics["fid"].mean == row.fid.values[run.models[0].last.n_fake].mean
    assert "FID at each accepted baseline" in (project.path / "medgan-report" / "report.html").read_text()


def test_history_leaves_out_states_under_other_settings(project: pytest.Pytester, accept: Callable[..., int]) -> None:
    project.run("git", "init", "-q")
    project.runpytest("--medgan-full", "--medgan-samples=64")
    accept("fewer images", "other.yaml")
    project.runpytest("--medgan-full")
    accept()
    ours = Path("medgan-baseline.yaml").read_text()
    Path("medgan-baseline.yaml").write_text(Path("other.yaml").read_text())
    for text in (ours, None):
        project.run("git", "add", "medgan-baseline.yaml")
        project.run("git", *COMMIT)
        Path("medgan-baseline.yaml").write_text(text or ours)
    baseline = load("medgan-baseline.yaml")
    points = accepted_history(baseline, baseline.row("TOY"))
    assert len(points) == 1
    assert points[0].label != "not committed"


def test_history_without_version_control_is_the_row_alone(
    project: pytest.Pytester, accept: Callable[..., int], monkeypatch: pytest.MonkeyPatch
) -> None:
    project.runpytest("--medgan-full")
    accept()
    baseline = load("medgan-baseline.yaml")
    monkeypatch.setenv("PATH", "")
    assert [point.label for point in accepted_history(baseline, baseline.row("TOY"))] == ["not committed"]
