"""Enhanced multi-frame CT: one file, one slice a frame, geometry and rescale in functional groups."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from pydicom.dataset import Dataset

from pytest_medgan.ct.slices import MARKS, Header, check_rescale, check_spacing, is_processed, number_list
from pytest_medgan.errors import DataError

# where PS3.3 C.7.6.16 keeps what a single-frame image has at the top
GROUPS = {
    "ImagePositionPatient": "PlanePositionSequence",
    "ImageOrientationPatient": "PlaneOrientationSequence",
    "PixelSpacing": "PixelMeasuresSequence",
    "SliceThickness": "PixelMeasuresSequence",
    "RescaleSlope": "PixelValueTransformationSequence",
    "RescaleIntercept": "PixelValueTransformationSequence",
    "RescaleType": "PixelValueTransformationSequence",
    "FrameType": "CTImageFrameTypeSequence",
    "VolumeBasedCalculationTechnique": "CTImageFrameTypeSequence",
    "TemporalPositionIndex": "FrameContentSequence",
    "FrameAcquisitionNumber": "FrameContentSequence",
}
GROUP_SEQUENCES = ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence")


def lift_first_slice(dataset: Dataset) -> bool:
    """Put the geometry and rescale of the first frame that is no scout at the top, where a single-frame file has them.

    Returns:
        Whether there is one; so it is where the file names no frames, which `frame_headers` refuses.
    """
    frames = dataset.get("PerFrameFunctionalGroupsSequence") or []
    first = next((frame for frame in frames if not _is_scout(dataset, frame)), None)
    if first is None:
        return not frames
    for keyword in GROUPS:
        if keyword != "FrameType":
            value = frame_value(dataset, first, keyword)
            if value is not None:
                setattr(dataset, keyword, value)
    return True


def _is_scout(dataset: Dataset, frame: Dataset) -> bool:
    """Return whether a frame is a localizer."""
    return "LOCALIZER" in [str(part).upper() for part in frame_value(dataset, frame, "FrameType") or []]


def frame_items(dataset: Dataset, frame: Dataset, sequence: str) -> list[Dataset]:
    """Return the items of one functional group: the frame's own, else the shared ones."""
    shared = (dataset.get("SharedFunctionalGroupsSequence") or [Dataset()])[0]
    return list(frame.get(sequence) or shared.get(sequence) or [])


def frame_value(dataset: Dataset, frame: Dataset, keyword: str) -> Any:
    """Return a value of one frame: its own functional group's, else the shared one's; None where neither has it."""
    shared = (dataset.get("SharedFunctionalGroupsSequence") or [Dataset()])[0]
    for group in (frame, shared):
        items = group.get(GROUPS[keyword]) or []
        if items and keyword in items[0]:
            return items[0][keyword].value
    return None


def frame_headers(dataset: Dataset, first: Header) -> list[Header]:
    """Return one header a frame, scout views left out.

    Args:
        dataset: The file's data set.
        first: The file's own header, read as if its first slice were its only frame.

    Raises:
        DataError: Frames and their functional groups do not agree in number, or the rescale or the spacing of one
            cannot be used.
    """
    frames = dataset.get("PerFrameFunctionalGroupsSequence") or []
    count = int(dataset.get("NumberOfFrames") or 0)
    if count < 1 or len(frames) != count:
        raise DataError(
            "An enhanced CT has another number of frames than functional groups. Copy the file again.",
            file=first.file,
        )
    found = []
    for number, frame in enumerate(frames):
        if _is_scout(dataset, frame):
            continue
        values = {
            keyword: number_list(frame_value(dataset, frame, keyword), size, keyword, first.file)
            for keyword, size in (
                ("ImagePositionPatient", 3),
                ("ImageOrientationPatient", 6),
                ("PixelSpacing", 2),
                ("RescaleSlope", 1),
                ("RescaleIntercept", 1),
            )
        }
        x, y, z = values["ImagePositionPatient"]
        (slope,), (intercept,) = values["RescaleSlope"], values["RescaleIntercept"]
        check_rescale(slope, str(frame_value(dataset, frame, "RescaleType") or "").strip(" \0"), first.file)
        spacing = values["PixelSpacing"][0], values["PixelSpacing"][1]
        check_spacing(spacing, first.file)
        found.append(
            replace(
                first,
                digest=f"{first.digest}/{number}",
                instance=f"{first.instance}/{number}",
                position=(x, y, z),
                orientation=values["ImageOrientationPatient"],
                spacing=spacing,
                pixels=replace(first.pixels, slope=slope, intercept=intercept),
                offset=first.offset + number * first.length if first.offset >= 0 else -1,
                frame=number,
                processed=first.processed or is_processed(_frame_types(dataset, frame)),
                marks=_frame_marks(dataset, frame, first.marks),
            )
        )
    return found


def _frame_types(dataset: Dataset, frame: Dataset) -> list[str]:
    """Return the words of a frame that say how it was made."""
    technique = frame_value(dataset, frame, "VolumeBasedCalculationTechnique")
    return [*map(str, frame_value(dataset, frame, "FrameType") or []), str(technique or "")]


def _frame_marks(dataset: Dataset, frame: Dataset, shared: tuple[str, ...]) -> tuple[str, ...]:
    """Return the values of MARKS of one frame: its own, else those of the file."""
    own = {
        "TemporalPositionIndex": frame_value(dataset, frame, "TemporalPositionIndex"),
        "AcquisitionNumber": frame_value(dataset, frame, "FrameAcquisitionNumber"),
        "ImageType": frame_value(dataset, frame, "FrameType"),
    }
    return tuple(
        usual if own.get(keyword) is None else str(own[keyword]) for keyword, usual in zip(MARKS, shared, strict=True)
    )


def referenced_images(item: Dataset) -> list[str]:
    """Return what an image reference says: UID/frame for each frame that it names, else the UID of the file.

    `Header.references` holds what means a slice.
    """
    uid, frames = str(item.ReferencedSOPInstanceUID), item.get("ReferencedFrameNumber")
    if frames is None:
        return [uid]
    return [f"{uid}/{int(number) - 1}" for number in (frames if isinstance(frames, Sequence) else [frames])]
