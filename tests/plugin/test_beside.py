"""What stands beside a measured row in the report: published figures, and the row's own past."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pytest_medgan.gate.baseline import load
from pytest_medgan.plugin.beside import collection_of, history, published_for
from pytest_medgan.report import ModelRecord, model_record, read_run
from pytest_medgan.report.html import page
from pytest_medgan.report.run import ReportRun

PAPER = "nsclc_radiomics_jang2022"
COMMIT = ("-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "accepted")


def plain(collection: str = "nsclc-radiomics") -> dict[str, object]:
    return {"data": {"collection": collection}}


@pytest.mark.parametrize(
    ("source", "collection"),
    [
        ("/data/NSCLC-Radiomics", "nsclc-radiomics"),
        ("studies/nsclc_radiomics/part1", "nsclc-radiomics"),
        ("NSCLC Radiomics.npz", "nsclc-radiomics"),
        ("phantom:8", ""),
        ("/data/lidc", ""),
    ],
)
def test_a_collection_is_known_by_its_folder(source: str, collection: str) -> None:
    assert collection_of(source) == collection


def test_the_published_row_is_found_by_the_model_s_name() -> None:
    found = published_for(plain(), None, "pggan", "candidate")
    assert found is not None
    assert found[1].fid.values[6080].value == 6.79
    found = published_for(plain(), None, "mine", "my-dcgan-v2")
    assert found is not None
    assert found[1].name == "DCGAN"


def test_nothing_published_stands_beside_other_images_or_other_models() -> None:
    assert published_for(plain(""), None, "DCGAN") is None
    assert published_for(plain(), None, "stylegan") is None
    assert published_for(plain(), None, "Real") is None


def test_a_baseline_of_published_figures_is_shown_as_such_whatever_the_images() -> None:
    found = published_for(plain(""), load(PAPER), "PGGAN")
    assert found is not None
    assert found[1].kind == "published"


@pytest.fixture
def beside_the_paper() -> ModelRecord:
    paper = load(PAPER)
    return model_record(
        "dcgan", [], full_count=6080, published=paper.row("PGGAN"), published_sweeps=paper.sweeps["PGGAN"]
    )


def test_the_published_sweeps_are_drawn(beside_the_paper: ModelRecord) -> None:
    drawn = page(ReportRun((beside_the_paper,)), {})
    assert "Improved Precision against k. published: 0.707 at k=3, 0.888 at k=5" in drawn
    assert "1.000 at k=100" in drawn


@pytest.mark.parametrize("metric", ["improved_precision", "improved_recall", "density", "coverage"])
def test_the_paper_s_sweeps_rise_and_pggan_stays_above(metric: str) -> None:
    """Figure 5 of the paper, from the file that ships; density and coverage from the author's tables."""
    paper = load(PAPER)
    means = {
        name: np.array([np.mean(values) for _, values in sorted(paper.sweeps[name][metric].items())])
        for name in ("DCGAN", "PGGAN")
    }
    assert (np.diff(means["DCGAN"]) > 0).all()
    assert (np.diff(means["PGGAN"]) >= 0).all()
    assert (means["PGGAN"] > means["DCGAN"]).all()


def test_a_report_on_the_collection_shows_the_published_column(
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


def test_the_history_of_a_row_comes_from_version_control(
    project: pytest.Pytester, accept: Callable[..., int], monkeypatch: pytest.MonkeyPatch
) -> None:
    project.run("git", "init", "-q")
    for spread in ("12", "8", "5"):
        monkeypatch.setenv("TOY_SPREAD", spread)
        project.runpytest("--medgan-full")
        assert accept("another spread") == 0
        if spread != "5":  # the last state is accepted and not committed yet
            project.run("git", "add", "medgan-baseline.yaml")
            project.run("git", *COMMIT)
    project.runpytest("--medgan-report=html")
    run, _ = read_run(project.path / "medgan-report")
    points = run.models[0].history
    assert [point.reason for point in points] == ["another spread"] * 3
    assert points[-1].label == "not committed"
    fids = [point.metrics["fid"].value for point in points]
    assert fids == sorted(fids)
    assert len(set(fids)) == 3
    row = load(project.path / "medgan-baseline.yaml").row("TOY")
    assert run.models[0].last is not None
    assert points[-1].metrics["fid"].value == row.fid.values[run.models[0].last.n_fake].value
    assert "FID at each accepted baseline" in (project.path / "medgan-report" / "report.html").read_text()


def test_a_state_under_other_settings_is_no_part_of_the_history(
    project: pytest.Pytester, accept: Callable[..., int]
) -> None:
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
    points = history(baseline, baseline.row("TOY"))
    assert len(points) == 1
    assert points[0].label != "not committed"


def test_without_version_control_there_is_the_row_alone(
    project: pytest.Pytester, accept: Callable[..., int], monkeypatch: pytest.MonkeyPatch
) -> None:
    project.runpytest("--medgan-full")
    accept()
    baseline = load("medgan-baseline.yaml")
    monkeypatch.setenv("PATH", "")
    assert [point.label for point in history(baseline, baseline.row("TOY"))] == ["not committed"]
