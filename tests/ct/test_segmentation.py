"""DICOM SEG, written by highdicom and read by us."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import dcmread

from pytest_medgan.ct import load_real
from pytest_medgan.ct.dicom import build_series
from pytest_medgan.ct.headers import read_headers
from pytest_medgan.ct.segmentation import read_segmentation
from pytest_medgan.ct.tumour import locate_tumour
from pytest_medgan.errors import DataError


def write_segmentation(study: Any, masks: dict[str, np.ndarray], kind: str = "BINARY") -> Path:
    """Label -> bool [slices,H,W] as one SEG of the study."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        highdicom = pytest.importorskip("highdicom")
        codes = pytest.importorskip("pydicom.sr.codedict").codes
        images = [dcmread(path) for path in study.files]
        for image in images:  # highdicom copies these
            image.StudyTime = image.StudyID = image.AccessionNumber = image.PatientBirthDate = image.PatientSex = ""
            image.ReferringPhysicianName = ""
        segments = [
            highdicom.seg.SegmentDescription(
                number,
                label,
                codes.SCT.MorphologicallyAbnormalStructure,
                codes.SCT.Neoplasm,
                highdicom.seg.SegmentAlgorithmTypeValues.MANUAL,
            )
            for number, label in enumerate(masks, start=1)
        ]
        stack = np.stack(list(masks.values()), axis=-1)
        dataset = highdicom.seg.Segmentation(
            images,
            stack.astype(np.uint8) if kind == "BINARY" else stack.astype(np.float32) * 0.8,
            highdicom.seg.SegmentationTypeValues[kind],
            segments,
            series_instance_uid=highdicom.UID(),
            series_number=9,
            sop_instance_uid=highdicom.UID(),
            instance_number=1,
            manufacturer="test",
            manufacturer_model_name="test",
            software_versions="1",
            device_serial_number="1",
        )
        path = study.root / study.patient / "seg.dcm"
        dataset.save_as(path)
    return path


def blobs(slices: int) -> dict[str, np.ndarray]:
    tumour, heart = np.zeros((2, slices, 64, 64), bool)
    tumour[2:5, 10:20, 30:37] = True
    tumour[3, 8:22, 30:37] = True
    heart[1:4, 40:60, 5:20] = True
    return {"Heart": heart, "gtv-1": tumour}


@pytest.mark.parametrize("kind", ["BINARY", "FRACTIONAL"])
def test_the_tumour_is_the_mask(tmp_path: Path, study_class: Any, kind: str) -> None:
    study = study_class(tmp_path).write()
    masks = blobs(6)
    path = write_segmentation(study, masks, kind)
    series = build_series(read_headers(tmp_path, file.relative_to(tmp_path).as_posix())[0] for file in study.files)
    found = read_segmentation(tmp_path, path.relative_to(tmp_path).as_posix(), "digest")
    assert [region.name for region in found.regions] == ["gtv-1"]
    drawn = found.regions[0].masks(series, found.file)
    assert sorted(drawn) == [2, 3, 4]
    for index, mask in drawn.items():
        assert (mask == masks["gtv-1"][index]).all()
    tumour = locate_tumour(found, series)
    assert tumour is not None
    assert [float(place) for place in tumour.centroid] == pytest.approx(np.argwhere(masks["gtv-1"]).mean(axis=0))


def test_a_study_with_a_seg_is_cropped_on_it(tmp_path: Path, study_class: Any, small: Any) -> None:
    root = tmp_path / "data"
    for number in range(3):
        write_segmentation(study_class(root, f"P{number}").write(), blobs(6))
    real = load_real(small(root), cache_dir=tmp_path / "cache")
    assert real.settings.crop == "tumour"
    assert real.counts["skipped: SEG"] == 3


def test_a_damaged_seg(tmp_path: Path, study_class: Any) -> None:
    study = study_class(tmp_path).write()
    path = write_segmentation(study, blobs(6))
    dataset = dcmread(path)
    del dataset.PerFrameFunctionalGroupsSequence
    dataset.save_as(path)
    with pytest.raises(DataError, match="no sound SEG"):
        read_segmentation(tmp_path, "PAT-001/seg.dcm", "digest")
