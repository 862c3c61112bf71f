"""Published figures and earlier accepted values beside a measured row."""

from __future__ import annotations

import numpy as np
import pytest

from pytest_medgan.gate.baseline import load
from pytest_medgan.report import ModelRecord, ReportRun
from pytest_medgan.report.html import page
from pytest_medgan.session.history import collection_of, published_for

PAPER = "nsclc_radiomics_jang2022"


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
def test_collection_of_reads_the_folder_names(source: str, collection: str) -> None:
    assert collection_of(source) == collection


def test_published_for_finds_the_row_by_the_model_name() -> None:
    found = published_for("nsclc-radiomics", None, "pggan", "candidate")
    assert found is not None
    assert found[1].fid.values[6080].mean == 6.79
    found = published_for("nsclc-radiomics", None, "mine", "my-dcgan-v2")
    assert found is not None
    assert found[1].name == "DCGAN"


def test_published_for_other_images_or_models_is_none() -> None:
    assert published_for("", None, "DCGAN") is None
    assert published_for("nsclc-radiomics", None, "stylegan") is None
    assert published_for("nsclc-radiomics", None, "Real") is None


def test_published_for_uses_a_published_baseline_for_any_images() -> None:
    found = published_for("", load(PAPER), "PGGAN")
    assert found is not None
    assert found[1].kind == "published"


@pytest.fixture
def dcgan_with_published_row() -> ModelRecord:
    paper = load(PAPER)
    return ModelRecord("dcgan", full_count=6080, published=paper.row("PGGAN"), published_sweep=paper.sweeps["PGGAN"])


def test_page_draws_the_published_sweeps(dcgan_with_published_row: ModelRecord) -> None:
    drawn = page(ReportRun((dcgan_with_published_row,)), {})
    assert "Improved Precision against k. published: 0.707 at k=3, 0.888 at k=5" in drawn
    assert "1.000 at k=100" in drawn


@pytest.mark.parametrize("metric", ["improved_precision", "improved_recall", "density", "coverage"])
def test_published_sweeps_rise_and_pggan_stays_above(metric: str) -> None:
    """Figure 5 of the paper, from the file that ships; density and coverage from the author's tables."""
    paper = load(PAPER)
    means = {
        name: np.array([np.mean(values) for _, values in sorted(paper.sweeps[name][metric].items())])
        for name in ("DCGAN", "PGGAN")
    }
    assert (np.diff(means["DCGAN"]) > 0).all()
    assert (np.diff(means["PGGAN"]) >= 0).all()
    assert (means["PGGAN"] > means["DCGAN"]).all()
