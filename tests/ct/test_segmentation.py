"""Read DICOM SEG files that highdicom wrote."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import dcmread

from pytest_medgan.ct import load_real, segmentation
from pytest_medgan.ct.headers import read_headers
from pytest_medgan.ct.regions import choose_region
from pytest_medgan.ct.segmentation import read_segmentation
from pytest_medgan.ct.series import build_series
from pytest_medgan.ct.slices import Skipped
from pytest_medgan.ct.tumour import sum_masks
from pytest_medgan.errors import DataError


def write_segmentation(study: Any, masks: dict[str, np.ndarray], kind: str = "BINARY", **geometry: Any) -> Path:
    """Write one SEG of a study; `masks` maps a label to bool [slices,H,W].

    `geometry` holds highdicom's plane_positions, plane_orientation and pixel_measures of another grid.
    """
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
            **geometry,
        )
        path = study.root / study.patient / "seg.dcm"
        dataset.save_as(path)
    return path


def example_masks(slices: int) -> dict[str, np.ndarray]:
    tumour, heart = np.zeros((2, slices, 64, 64), bool)
    tumour[2:5, 10:20, 30:37] = True
    tumour[3, 8:22, 30:37] = True
    heart[1:4, 40:60, 5:20] = True
    return {"Heart": heart, "gtv-1": tumour}


@pytest.mark.parametrize("kind", ["BINARY", "FRACTIONAL"])
def test_read_segmentation_tumour_equals_the_written_mask(tmp_path: Path, study_class: Any, kind: str) -> None:
    study = study_class(tmp_path).write()
    masks = example_masks(6)
    path = write_segmentation(study, masks, kind)
    series = build_series(read_headers(tmp_path, file.relative_to(tmp_path).as_posix())[0] for file in study.files)
    found = read_segmentation(tmp_path, path.relative_to(tmp_path).as_posix(), "digest")
    assert [region.name for region in found.regions] == ["gtv-1"]
    drawn = found.regions[0].masks(series, found.file)
    assert sorted(drawn) == [2, 3, 4]
    for index, mask in drawn.items():
        assert (mask == masks["gtv-1"][index]).all()
    choice = choose_region(found, series)
    tumour = sum_masks(choice.name, choice.masks)
    assert [float(place) for place in tumour.centroid] == pytest.approx(np.argwhere(masks["gtv-1"]).mean(axis=0))


def test_load_real_with_a_seg_crops_on_the_tumour(tmp_path: Path, study_class: Any, small: Any) -> None:
    root = tmp_path / "data"
    for number in range(3):
        write_segmentation(study_class(root, f"P{number}").write(), example_masks(6))
    real = load_real(small(root), cache_dir=tmp_path / "cache")
    assert real.settings.crop == "tumour"
    assert real.counts["structure sets used"] == 3


def test_read_segmentation_damaged_file_is_a_data_error(tmp_path: Path, study_class: Any) -> None:
    study = study_class(tmp_path).write()
    path = write_segmentation(study, example_masks(6))
    dataset = dcmread(path)
    del dataset.PerFrameFunctionalGroupsSequence
    dataset.save_as(path)
    with pytest.raises(DataError, match="A SEG is damaged"):
        read_segmentation(tmp_path, "PAT-001/seg.dcm", "digest")


def as_label_map(path: Path, masks: dict[str, np.ndarray]) -> None:
    """Rewrite a SEG as a label map (Supplement 243): one frame per slice, each pixel holds its segment's number."""
    dataset = dcmread(path)
    labels = sum(number * mask.astype(np.uint8) for number, mask in enumerate(masks.values(), start=1))
    first = {}
    for groups in dataset.PerFrameFunctionalGroupsSequence:
        source = groups.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID
        first.setdefault(source, groups)
    order = {
        dcmread(image).SOPInstanceUID: index for index, image in enumerate(sorted(path.parent.rglob("study/series/*")))
    }
    kept = sorted(first.items(), key=lambda item: order[item[0]])
    for _, groups in kept:
        del groups.SegmentIdentificationSequence
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.66.7"
    dataset.SegmentationType = "LABELMAP"
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit = 7
    dataset.PerFrameFunctionalGroupsSequence = [groups for _, groups in kept]
    dataset.NumberOfFrames = len(kept)
    dataset.PixelData = np.stack([labels[order[source]] for source, _ in kept]).astype(np.uint8).tobytes()
    dataset.save_as(path)


def test_read_segmentation_label_map_gives_the_same_masks(tmp_path: Path, study_class: Any) -> None:
    study = study_class(tmp_path).write()
    masks = example_masks(6)
    path = write_segmentation(study, masks)
    as_label_map(path, masks)
    name = path.relative_to(tmp_path).as_posix()
    (item,) = read_headers(tmp_path, name)
    assert isinstance(item, Skipped)
    assert item.reason == "SEG"
    series = build_series(read_headers(tmp_path, file.relative_to(tmp_path).as_posix())[0] for file in study.files)
    found = read_segmentation(tmp_path, name, "digest")
    drawn = found.regions[0].masks(series, found.file)
    assert sorted(drawn) == [2, 3, 4]
    for index, mask in drawn.items():
        assert (mask == masks["gtv-1"][index]).all()


def test_read_segmentation_above_the_size_limit_is_a_data_error(
    tmp_path: Path, study_class: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = study_class(tmp_path).write()
    path = write_segmentation(study, example_masks(6))
    monkeypatch.setattr(segmentation, "_LARGEST", 1000)
    with pytest.raises(DataError, match="A SEG is damaged"):
        read_segmentation(tmp_path, path.relative_to(tmp_path).as_posix(), "digest")
