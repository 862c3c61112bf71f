"""Published figures and earlier accepted values beside a measured row."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from pytest_medgan.gate.baseline import Baseline, load
from pytest_medgan.report import ModelRecord, ReportRun
from pytest_medgan.report.html import page
from pytest_medgan.session import history
from pytest_medgan.session.history import accepted_history, collection_of, published_for

PAPER = "nsclc_radiomics_jang2022"
COMMITTED = re.compile(r"\d{4}-\d\d-\d\d [0-9a-f]{7,}")
# signs, and verifies every signature with words on both streams, as gpg does
GPG = """#!/bin/sh
case "$*" in
*--verify*) echo "[GNUPG:] GOODSIG 0 a"; echo 'gpg: Good signature from "a"' >&2; echo 'gpg: 2 x 3' >&2;;
*) cat > /dev/null; echo "-----BEGIN PGP SIGNATURE-----"; echo; echo "-----END PGP SIGNATURE-----"
   echo "[GNUPG:] SIG_CREATED " >&2;;
esac
"""


@pytest.mark.parametrize(
    ("source", "collection"),
    [
        ("/data/NSCLC-Radiomics", "nsclc-radiomics"),
        ("studies/nsclc_radiomics/part1", "nsclc-radiomics"),
        ("NSCLC Radiomics.npz", "nsclc-radiomics"),
        ("NSCLC-Radiomics-Version-4-Oct-2020/studies", "nsclc-radiomics"),
        ("/data/NSCLC-Radiomics-Genomics", ""),
        ("/data/NSCLC-Radiomics-Interobserver1/LUNG1-001", ""),
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


@pytest.fixture
def committed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Baseline:
    """A baseline file in a repository whose commit is signed."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    gpg, file = tmp_path / "gpg", tmp_path / "repository" / "base.yaml"
    gpg.write_text(GPG, encoding="utf-8")
    gpg.chmod(0o755)
    file.parent.mkdir()
    shutil.copy(load("phantom").path, file)
    for words in (
        ["init", "-q"],
        ["config", "user.name", "a"],
        ["config", "user.email", "a@b"],
        ["config", "gpg.program", str(gpg)],
        ["add", "base.yaml"],
        ["commit", "-qSkey", "-m", "accepted"],
    ):
        subprocess.run(["git", "-C", str(file.parent), *words], check=True)
    return load(file)


def labels(baseline: Baseline) -> list[str]:
    row = next(name for name in baseline.rows if name != "Real")
    return [point.label for point in accepted_history(baseline, baseline.row(row))]


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("log.showSignature", "true"),
        ("i18n.logOutputEncoding", "UTF-16"),
        ("color.ui", "always"),
        ("log.date", "relative"),
        ("log.decorate", "full"),
        ("log.follow", "true"),
        ("format.pretty", "fuller"),
        ("core.pager", "cat -A"),
        ("core.abbrev", "no"),
        ("diff.external", "false"),
    ],
)
def test_history_does_not_depend_on_the_settings_of_the_user(committed: Baseline, setting: str, value: str) -> None:
    subprocess.run(["git", "-C", str(committed.path.parent), "config", setting, value], check=True)
    (label,) = labels(committed)
    assert COMMITTED.fullmatch(label)


def test_history_skips_lines_that_name_no_commit(committed: Baseline, monkeypatch: pytest.MonkeyPatch) -> None:
    git = history.git

    def with_words(folder: Path, *arguments: str) -> str:
        said = git(folder, *arguments)
        return f"Good signature\nfor a b c\n{said}one\n" if "log" in arguments else said

    monkeypatch.setattr(history, "git", with_words)
    (label,) = labels(committed)
    assert COMMITTED.fullmatch(label)


@pytest.mark.parametrize("error", [ValueError("?"), RecursionError(), UnicodeDecodeError("utf-8", b"?", 0, 1, "?")])
def test_history_that_cannot_be_read_is_the_row_alone(
    committed: Baseline, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(folder: Path, *arguments: str) -> str:
        raise error

    monkeypatch.setattr(history, "git", fail)
    assert labels(committed) == ["not committed"]
