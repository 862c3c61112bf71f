"""Reports on real CT: no written file holds a path, patient data, a DICOM tag or an identifier."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pydicom
import pytest

from pytest_medgan.cli import main
from pytest_medgan.report import read_run
from tests.shared_data import find_shared_data

STUDIES = find_shared_data("NSCLC-Radiomics") or Path("absent")
SHARED = STUDIES.parent
pytestmark = pytest.mark.skipif(not STUDIES.is_dir(), reason="needs MEDGAN_SHARED_DATA with NSCLC-Radiomics")

UID = re.compile(r"(?<![\d.])[0-2](?:\.\d+){5,}")
TAG = re.compile(r"\([0-9A-Fa-f]{4},\s?[0-9A-Fa-f]{4}\)")
VALUES = ("PatientID", "PatientName", "PatientBirthDate", "StudyDate", "StudyTime", "StudyID", "ManufacturerModelName")


@pytest.fixture(scope="module")
def secrets() -> set[str]:
    """The values of patient, study and scanner in the files, and the paths of the files."""
    found = {"LUNG1", str(SHARED), str(Path.home()) + "/", os.getcwd(), socket.gethostname()}
    for file in [next(p.rglob("*.dcm")) for p in sorted(STUDIES.iterdir()) if p.is_dir()]:
        header = pydicom.dcmread(file, stop_before_pixels=True)
        found |= {str(header.get(name, "")) for name in VALUES}
        found |= {file.name, file.parent.name}
    return {word for word in found if len(word) > 3}


def text_files(folder: Path) -> Iterator[tuple[str, str]]:
    """Yield name and text of each text file of a run folder, without the encoded pictures."""
    for file in sorted(folder.iterdir()):
        if file.suffix != ".npz":
            yield file.name, re.sub(r"base64,[A-Za-z0-9+/=]+", "", file.read_text(encoding="utf-8"))


def check(name: str, text: str, secrets: set[str]) -> None:
    for secret in secrets:
        assert secret not in text, f"{name} says {secret}"
    assert not UID.search(text), name
    assert not TAG.search(text), name


@pytest.mark.parametrize("shown", [(), ("--medgan-report-real",)], ids=["no real image", "with real images"])
def test_run_folder_holds_no_patient_data(project: pytest.Pytester, secrets: set[str], shown: tuple[str, ...]) -> None:
    data = f"--medgan-data={STUDIES},split=slice,slices=all,size=32"
    result = project.runpytest(data, "--medgan-samples=32", "--medgan-report=html,md,json", *shown)
    result.assert_outcomes(failed=3)  # there is no baseline yet
    folder = project.path / "medgan-report"
    texts = dict(text_files(folder))
    assert set(texts) == {"report.html", "report.md", "scores.json", "candidate-model.yaml"}
    for name, text in texts.items():
        check(name, text, secrets | {str(project.path)})
    assert ("Handle it as patient data" in texts["report.html"]) is bool(shown)
    evidence = read_run(folder).evidence["model"]
    assert (evidence.thumbnails_real is not None) is bool(shown)
    (file,) = folder.glob("evidence-*.npz")
    assert not any(secret.encode() in file.read_bytes() for secret in secrets)


def test_turing_page_holds_no_patient_data(tmp_path: Path, secrets: set[str]) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (8, 1, 128, 128), dtype=np.uint8)
    np.savez(tmp_path / "fake.npz", pixels=noise)
    out = tmp_path / "page" / "turing.html"
    words = ["--real", f"{STUDIES},split=slice,slices=16", "--fake", str(tmp_path / "fake.npz")]
    assert main(["turing", *words, "--out", str(out), "--count", "8", "--cache-dir", str(tmp_path / "cache")]) == 0
    for name, text in text_files(out.parent):
        check(name, text, secrets | {str(tmp_path)})
