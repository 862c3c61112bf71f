"""Enhanced multi-frame CT gives what the same slices give one by one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import EnhancedCTImageStorage, RLELossless

from pytest_medgan.ct.headers import read_headers
from pytest_medgan.ct.series import build_series, read_volume
from pytest_medgan.ct.slices import Cause, Faulty, Header


def item(**values: Any) -> Sequence:
    dataset = Dataset()
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    return Sequence([dataset])


def make_enhanced(study: Any, path: Path, order: list[int]) -> None:
    """One file of the study's slices, in `order`; orientation and rescale shared, positions a frame."""
    images = [dcmread(study.files[index]) for index in order]
    enhanced = images[0]
    enhanced.SOPClassUID = enhanced.file_meta.MediaStorageSOPClassUID = EnhancedCTImageStorage
    enhanced.NumberOfFrames = len(images)
    enhanced.PixelData = b"".join(image.PixelData for image in images)
    shared, frames = Dataset(), Sequence()
    shared.PlaneOrientationSequence = item(ImageOrientationPatient=[1, 0, 0, 0, 1, 0])
    shared.PixelMeasuresSequence = item(PixelSpacing=[1, 1], SliceThickness=3)
    shared.PixelValueTransformationSequence = item(RescaleIntercept=-1024, RescaleSlope=1, RescaleType="HU")
    for image in images:
        frame = Dataset()
        frame.PlanePositionSequence = item(ImagePositionPatient=image.ImagePositionPatient)
        frames.append(frame)
    enhanced.SharedFunctionalGroupsSequence = Sequence([shared])
    enhanced.PerFrameFunctionalGroupsSequence = frames
    for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness"):
        delattr(enhanced, keyword)
    del enhanced.RescaleIntercept, enhanced.RescaleSlope
    enhanced.save_as(path)


@pytest.mark.parametrize("compressed", [False, True])
def test_frame_headers_equal_those_of_single_slices(tmp_path: Path, study_class: Any, compressed: bool) -> None:
    study = study_class(tmp_path / "single", slices=5).write()
    single = build_series(read_headers(study.root, f.relative_to(study.root).as_posix())[0] for f in study.files)
    make_enhanced(study, tmp_path / "enhanced.dcm", [3, 0, 4, 1, 2])
    if compressed:
        dataset = dcmread(tmp_path / "enhanced.dcm")
        dataset.compress(RLELossless)
        dataset.save_as(tmp_path / "enhanced.dcm")
    found = read_headers(tmp_path, "enhanced.dcm")
    assert len(found) == 5
    series = build_series(found)
    assert series.positions == single.positions
    assert (read_volume(tmp_path, series) == read_volume(study.root, single)).all()
    assert len({header.digest for header in series.slices}) == 5


def test_frame_headers_keep_the_rescale_of_each_frame(tmp_path: Path, study_class: Any) -> None:
    study = study_class(tmp_path / "single", slices=3).write()
    make_enhanced(study, tmp_path / "enhanced.dcm", [0, 1, 2])
    dataset = dcmread(tmp_path / "enhanced.dcm")
    del dataset.SharedFunctionalGroupsSequence[0].PixelValueTransformationSequence
    for number, frame in enumerate(dataset.PerFrameFunctionalGroupsSequence):
        rescale = item(RescaleIntercept=-1024 + number, RescaleSlope=1 + number / 4, RescaleType="HU")
        frame.PixelValueTransformationSequence = rescale
    dataset.save_as(tmp_path / "enhanced.dcm")
    pixels = [header.pixels for header in read_headers(tmp_path, "enhanced.dcm") if isinstance(header, Header)]
    assert [(each.intercept, each.slope) for each in pixels] == [(-1024, 1), (-1023, 1.25), (-1022, 1.5)]


@pytest.mark.parametrize(
    ("group", "values", "message", "cause"),
    [
        (
            "PixelValueTransformationSequence",
            {"RescaleIntercept": -1024, "RescaleSlope": 0, "RescaleType": "HU"},
            "The RescaleSlope of a CT slice is not positive",
            Cause.DAMAGED,
        ),
        (
            "PixelValueTransformationSequence",
            {"RescaleIntercept": 0, "RescaleSlope": 1, "RescaleType": "MGML"},
            "The RescaleType of a CT slice is not HU",
            Cause.NO_HOUNSFIELD,
        ),
        (
            "PixelMeasuresSequence",
            {"PixelSpacing": [1, -1]},
            "PixelSpacing of a CT slice is not positive",
            Cause.DAMAGED,
        ),
    ],
)
def test_frame_headers_check_every_frame_and_not_the_first_alone(
    *, group: str, values: dict[str, Any], message: str, cause: Cause, tmp_path: Path, study_class: Any
) -> None:
    study = study_class(tmp_path / "single", slices=3).write()
    make_enhanced(study, tmp_path / "enhanced.dcm", [0, 1, 2])
    dataset = dcmread(tmp_path / "enhanced.dcm")
    setattr(dataset.PerFrameFunctionalGroupsSequence[2], group, item(**values))
    dataset.save_as(tmp_path / "enhanced.dcm")
    (found,) = read_headers(tmp_path, "enhanced.dcm")
    assert isinstance(found, Faulty)
    assert message in found.message
    assert found.cause is cause


def test_frame_headers_without_their_groups_are_faulty(tmp_path: Path, study_class: Any) -> None:
    study = study_class(tmp_path / "single", slices=3).write()
    make_enhanced(study, tmp_path / "enhanced.dcm", [0, 1, 2])
    dataset = dcmread(tmp_path / "enhanced.dcm")
    del dataset.PerFrameFunctionalGroupsSequence[2]
    dataset.save_as(tmp_path / "enhanced.dcm")
    (found,) = read_headers(tmp_path, "enhanced.dcm")
    assert isinstance(found, Faulty)
    assert "another number of frames" in found.message
