"""Enhanced multi-frame CT: one file, one slice a frame, geometry and rescale in functional groups."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from pydicom.dataset import Dataset

from pytest_medgan.ct.slices import Header, check_rescale, check_spacing, number_list
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
}
GROUP_SEQUENCES = ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence")


def lift_first_frame(dataset: Dataset) -> None:
    """Put the first frame's geometry and rescale at the top, where the single-frame reader looks for them."""
    frames = dataset.get("PerFrameFunctionalGroupsSequence") or []
    for keyword in GROUPS:
        if frames and keyword != "FrameType":
            value = frame_value(dataset, frames[0], keyword)
            if value is not None:
                setattr(dataset, keyword, value)


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
        first: The file's own header, read as if it had a single frame.

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
        if "LOCALIZER" in [str(part).upper() for part in frame_value(dataset, frame, "FrameType") or []]:
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
            )
        )
    return found


def referenced_images(item: Dataset) -> list[str]:
    """Return what an image reference means: UID/frame for each frame that it names, else the UID of the file."""
    uid, frames = str(item.ReferencedSOPInstanceUID), item.get("ReferencedFrameNumber")
    if frames is None:
        return [uid]
    return [f"{uid}/{int(number) - 1}" for number in (frames if isinstance(frames, Sequence) else [frames])]


def possible_instances(images: Iterable[str]) -> frozenset[str]:
    """Return every `Header.instance` that these references may mean.

    A file may have one slice or many, which the reference does not say. Where it names no frame it means all of them,
    and the first one shows that the file is here.
    """
    split = [(image, *image.partition("/")[::2]) for image in images]
    return frozenset(name for image, uid, frame in split for name in (image, uid, f"{uid}/{frame or 0}"))
