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
from pytest_medgan.ct.load import prepare
from pytest_medgan.ct.series import build_series, read_volume
from pytest_medgan.ct.slices import Cause, Faulty, Header, Skipped
from pytest_medgan.records import DataSettings


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


def add_scouts(path: Path, *, first: int, count: int = 1) -> None:
    """Put sagittal scouts without HU in front of, or among, the frames of an enhanced CT."""
    dataset = dcmread(path)
    shared, frames = dataset.SharedFunctionalGroupsSequence[0], list(dataset.PerFrameFunctionalGroupsSequence)
    rescale, plane = shared.PixelValueTransformationSequence, shared.PlaneOrientationSequence
    del shared.PixelValueTransformationSequence, shared.PlaneOrientationSequence
    for frame in frames:
        frame.PixelValueTransformationSequence, frame.PlaneOrientationSequence = rescale, plane
        frame.CTImageFrameTypeSequence = item(FrameType=["ORIGINAL", "PRIMARY", "VOLUME", "NONE"])
    scouts = []
    for _ in range(count):
        scout = Dataset()
        scout.CTImageFrameTypeSequence = item(FrameType=["ORIGINAL", "PRIMARY", "LOCALIZER", "NONE"])
        scout.PixelValueTransformationSequence = item(RescaleIntercept=0, RescaleSlope=1, RescaleType="US")
        scout.PlanePositionSequence = item(ImagePositionPatient=[0, -250, 0])
        scout.PlaneOrientationSequence = item(ImageOrientationPatient=[0, 1, 0, 0, 0, -1])
        scouts.append(scout)
    size = len(dataset.PixelData) // len(frames)
    pixels = [dataset.PixelData[at * size : (at + 1) * size] for at in range(len(frames))]
    dataset.PixelData = b"".join([*pixels[:first], *[b"\1" * size] * count, *pixels[first:]])
    dataset.PerFrameFunctionalGroupsSequence = Sequence([*frames[:first], *scouts, *frames[first:]])
    dataset.NumberOfFrames = len(frames) + count
    dataset.save_as(path)


@pytest.mark.parametrize("first", [0, 2])
def test_scouts_among_the_frames_are_left_out(tmp_path: Path, study_class: Any, first: int) -> None:
    study = study_class(tmp_path / "single", slices=5).write()
    make_enhanced(study, tmp_path / "enhanced.dcm", [3, 0, 4, 1, 2])
    before = read_volume(tmp_path, build_series(read_headers(tmp_path, "enhanced.dcm")))
    add_scouts(tmp_path / "enhanced.dcm", first=first, count=2)
    found = read_headers(tmp_path, "enhanced.dcm")
    assert len(found) == 5
    assert (read_volume(tmp_path, build_series(found)) == before).all()


def test_scout_without_any_rescale_in_front_does_not_make_the_slices_faulty(tmp_path: Path, study_class: Any) -> None:
    study = study_class(tmp_path / "single", slices=5).write()
    make_enhanced(study, tmp_path / "enhanced.dcm", [3, 0, 4, 1, 2])
    add_scouts(tmp_path / "enhanced.dcm", first=0)
    dataset = dcmread(tmp_path / "enhanced.dcm")
    del dataset.PerFrameFunctionalGroupsSequence[0].PixelValueTransformationSequence
    dataset.save_as(tmp_path / "enhanced.dcm")
    assert [type(header) for header in read_headers(tmp_path, "enhanced.dcm")] == [Header] * 5


def test_file_of_scouts_alone_is_a_localizer(tmp_path: Path, study_class: Any) -> None:
    study = study_class(tmp_path / "single", slices=3).write()
    make_enhanced(study, tmp_path / "enhanced.dcm", [0, 1, 2])
    dataset = dcmread(tmp_path / "enhanced.dcm")
    shared = dataset.SharedFunctionalGroupsSequence[0]
    shared.CTImageFrameTypeSequence = item(FrameType=["ORIGINAL", "PRIMARY", "LOCALIZER", "NONE"])
    dataset.save_as(tmp_path / "enhanced.dcm")
    (found,) = read_headers(tmp_path, "enhanced.dcm")
    assert isinstance(found, Skipped)
    assert (found.reason, found.patient) == ("localizer", "PAT-001")


@pytest.mark.parametrize("names_series", [True, False])
def test_contours_that_name_the_file_lie_on_it_where_its_first_frame_is_a_scout(
    tmp_path: Path, study_class: Any, names_series: bool
) -> None:
    study = study_class(tmp_path, slices=5).write()
    make_enhanced(study, tmp_path / "enhanced.dcm", [0, 1, 2, 3, 4])
    add_scouts(tmp_path / "enhanced.dcm", first=0)
    for file in study.files:
        file.unlink()
    enhanced = dcmread(tmp_path / "enhanced.dcm")

    def change(dataset: Dataset) -> None:
        if not names_series:
            del dataset.ReferencedFrameOfReferenceSequence
        for contour in dataset.ROIContourSequence[0].ContourSequence:
            contour.ContourImageSequence = item(ReferencedSOPInstanceUID=enhanced.SOPInstanceUID)

    study.draw({"GTV-1": dict.fromkeys((2, 3), (20, 25, 30, 41))}, change)
    settings = DataSettings(source=str(tmp_path), crop="tumour", crop_size=32, size=16, slices=None, split="slice")
    prepared = prepare(settings, cache_dir=tmp_path.parent / f"{tmp_path.name} cache")
    assert (prepared.settings.crop, len(prepared.pixels), prepared.warnings) == ("tumour", 5, ())
