"""DICOM SEG: segments as masks on the slices they were drawn on, binary, fractional or as a label map.

A frame lies where its position, its orientation and its spacing say. What a file does not state is taken from the slice
that the frame was drawn on.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom.dataset import Dataset

from pytest_medgan.ct.bounded import BoundedFile
from pytest_medgan.ct.contours import outside_error
from pytest_medgan.ct.enhanced import frame_items, frame_value, referenced_images
from pytest_medgan.ct.quiet import quiet_pydicom
from pytest_medgan.ct.regions import StructureFile, rank
from pytest_medgan.ct.series import EDGE_TOLERANCE, Series
from pytest_medgan.ct.slices import Header
from pytest_medgan.errors import DataError
from pytest_medgan.records import Bool, Float64, UInt8

_LARGEST = 1 << 30  # bytes of unpacked pixels
_SAME_PIXELS = 0.1  # mm; positions written to a tenth of a millimetre are that exact
_HALF = 0.501  # pixel, from the centre of one at the edge of an image to the edge


@dataclass(frozen=True)
class SegmentFrame:
    """One frame of one segment; what the file does not state is empty."""

    images: tuple[str, ...]  # SOPInstanceUIDs it was drawn on, with /frame for one frame of an enhanced CT
    position: tuple[float, ...]  # mm, centre of its first pixel
    orientation: tuple[float, ...]  # six direction cosines
    spacing: tuple[float, ...]  # mm between rows, between columns
    packed: UInt8  # bits, row by row


@dataclass(frozen=True, eq=False)
class Segment:
    """One segment."""

    number: int
    name: str
    rows: int
    columns: int
    frames: tuple[SegmentFrame, ...]
    frame_of_reference: str = ""  # FrameOfReferenceUID of its positions; "" where the file names none

    def masks(self, series: Series, file: str) -> dict[int, Bool]:
        """Return the segment on each slice it lies on, slice index -> bool [H,W]; pixels beyond the edge are cut off.

        Raises:
            DataError: A frame belongs to no slice of the series or lies completely outside the image, its pixels are
                not those of the slice, its position contradicts the image that it names, or it lies in another frame
                of reference and not on the slice: within it where it names an image of the series, else exactly.
        """
        known = {header.frame_of_reference for header in series.slices} - {""}
        is_foreign = bool(self.frame_of_reference and known) and self.frame_of_reference not in known
        named: dict[str, set[int]] = defaultdict(set)
        for index, header in enumerate(series.slices):
            for image in header.references:  # a reference to a file means all of its frames
                named[image].add(index)
        found: dict[int, Bool] = {}
        for frame in self.frames:
            index = _slice_of(frame, series, named, file)
            bits = np.unpackbits(frame.packed, count=self.rows * self.columns)
            drawn = bits.astype(bool).reshape(self.rows, self.columns)
            is_named = any(image in named for image in frame.images)
            if is_foreign and not _coincides(drawn.shape, frame, series.slices[index], exactly=not is_named):
                raise DataError(
                    "A SEG lies in another frame of reference than its series, and its pixels are not those of the "
                    "slices. Draw it again on this series, or use crop=image.",
                    file=file,
                )
            mask = _onto_slice(drawn, frame, series.slices[index], file)
            found[index] = found[index] | mask if index in found else mask
        return found


def _slice_of(frame: SegmentFrame, series: Series, named: Mapping[str, set[int]], file: str) -> int:
    """Return the index of the slice at a frame's position, or of the one it names if it has no position.

    `named` maps the name of an image to the slices it stands for. Raises DataError if the file does not settle it.
    """
    sources = sorted(set().union(*(named.get(image, ()) for image in frame.images)))
    if not frame.position:
        if len(sources) > 1:
            raise DataError(
                "A frame of a SEG does not say which slice it lies on: it names several and has no position. Restore "
                "its PlanePositionSequence, or use crop=image.",
                file=file,
            )
        if not sources:
            raise outside_error(file)
        return sources[0]
    along = float(np.dot(frame.position, series.normal))
    index = series.nearest(along)
    if index < 0:
        raise outside_error(file)
    # within a step the position decides: the slices of a SEG may lie between those of its series
    if len(sources) == 1 and abs(series.positions[sources[0]] - along) > series.step + EDGE_TOLERANCE:
        raise DataError(
            "A frame of a SEG names one slice and lies on another. Correct its PlanePositionSequence or its "
            "SourceImageSequence, or use crop=image.",
            file=file,
        )
    return index


def _onto_slice(drawn: Bool, frame: SegmentFrame, header: Header, file: str) -> Bool:
    """Return the pixels of a slice that a frame covers, bool [H,W].

    The frame may be turned by right angles, mirrored, cropped or larger: each of its pixels must lie within
    EDGE_TOLERANCE of a pixel of the slice's grid. Raises DataError for any other grid.
    """
    pixels = header.pixels
    if drawn.shape != (pixels.rows, pixels.columns) and not (frame.position and frame.orientation and frame.spacing):
        raise _grid_error(file)
    steps = _pixel_steps(frame.orientation or header.orientation, frame.spacing or header.spacing)
    own_steps = _pixel_steps(header.orientation, header.spacing)
    offset = np.subtract(frame.position or header.position, header.position)
    to_pixels = np.linalg.pinv(own_steps)  # [3,2]: mm to rows and columns of the slice
    # whole rows and columns of the slice: from pixel to pixel of the frame, and to its first pixel
    turn, first = np.rint(steps @ to_pixels), np.rint(offset @ to_pixels)
    if sorted(np.abs(turn).tolist()) != [[0, 1], [1, 0]]:
        raise _grid_error(file)
    corners = np.array([(row, column) for row in (0, drawn.shape[0] - 1) for column in (0, drawn.shape[1] - 1)])
    off = offset + corners @ steps - (first + corners @ turn) @ own_steps
    # a frame may lie beside the plane of its slice, at the same distance everywhere
    off -= offset - offset @ to_pixels @ own_steps
    if np.linalg.norm(off, axis=1).max() > EDGE_TOLERANCE:
        raise _grid_error(file)
    places = first + np.argwhere(drawn) @ turn
    inside = ((places >= 0) & (places < (pixels.rows, pixels.columns))).all(axis=1)
    if len(places) and not inside.any():
        raise outside_error(file)
    mask = np.zeros((pixels.rows, pixels.columns), bool)
    rows, columns = places[inside].astype(int).T
    mask[rows, columns] = True
    return mask


def _coincides(shape: tuple[int, ...], frame: SegmentFrame, header: Header, *, exactly: bool) -> bool:
    """Return whether the pixels of a frame lie on a slice, all within it, and exactly on its pixels if asked.

    This says that positions of two frames of reference mean the same places, as where every slice of a series was
    given one of its own. A frame without a position takes that of its slice.
    """
    steps = _pixel_steps(frame.orientation or header.orientation, frame.spacing or header.spacing)
    own_steps = _pixel_steps(header.orientation, header.spacing)
    offset = np.subtract(frame.position or header.position, header.position)
    corners = offset + np.array([(row, column) for row in (0, shape[0] - 1) for column in (0, shape[1] - 1)]) @ steps
    places = corners @ np.linalg.pinv(own_steps)
    off = np.linalg.norm(corners - (np.rint(places) if exactly else places) @ own_steps, axis=1).max()
    beyond = np.maximum(-places, places - (header.pixels.rows - 1, header.pixels.columns - 1)).max()
    return bool(off <= (_SAME_PIXELS if exactly else EDGE_TOLERANCE) and beyond <= _HALF)


def _pixel_steps(orientation: tuple[float, ...], spacing: tuple[float, ...]) -> Float64:
    """Return the way from a pixel to that of the next row and of the next column, float64 [2,3] mm."""
    along, down = np.array(orientation[:3]), np.array(orientation[3:])  # of a row, of a column
    return np.stack([down * spacing[0], along * spacing[1]])


def _grid_error(file: str) -> DataError:
    """Return the error for a frame whose pixels are not those of its slice."""
    return DataError("A SEG has another pixel grid than its series. Resample it, or use crop=image.", file=file)


def read_segmentation(root: Path, name: str, digest: str, roi: str | None = None) -> StructureFile:
    """Read a DICOM SEG; fractional ones count from half. Arguments and errors are those of `read_structures`."""
    try:
        with BoundedFile(root / name) as stream, quiet_pydicom():
            dataset = pydicom.dcmread(stream, force=True)
            labels = {int(item.SegmentNumber): str(item.SegmentLabel).strip() for item in dataset.SegmentSequence}
            regions = _segments(dataset, {key: label for key, label in labels.items() if rank(label, roi) is not None})
            series = frozenset(str(item.SeriesInstanceUID) for item in dataset.get("ReferencedSeriesSequence") or [])
            frame_of_reference = str(dataset.get("FrameOfReferenceUID", ""))
            patient = str(dataset.get("PatientID", "")).strip()
    except Exception as error:  # a damaged file can make pydicom raise anything at all
        raise DataError("A SEG is damaged. Copy it again, or use crop=image.", file=name) from error
    return StructureFile(
        file=name,
        digest=digest,
        kind="SEG",
        patient=patient,
        series=series,
        frames=frozenset({frame_of_reference} - {""}),
        images=frozenset(image for region in regions for frame in region.frames for image in frame.images),
        regions=regions,
        names=tuple(labels.values()),
    )


def _segments(dataset: Dataset, wanted: dict[int, str]) -> tuple[Segment, ...]:
    """Return the wanted segments, number -> label, with their frames."""
    if not wanted:
        return ()
    rows, columns = int(dataset.Rows), int(dataset.Columns)
    if rows * columns * int(dataset.get("NumberOfFrames") or 1) > _LARGEST:
        raise ValueError("more pixels than memory should hold")
    pixels = np.atleast_3d(dataset.pixel_array).reshape(-1, rows, columns)
    kind = str(dataset.SegmentationType)
    threshold = int(dataset.MaximumFractionalValue) / 2 if kind == "FRACTIONAL" else 1
    frames: dict[int, list[SegmentFrame]] = defaultdict(list)
    for plane, groups in zip(pixels, dataset.PerFrameFunctionalGroupsSequence, strict=True):
        if kind == "LABELMAP":
            drawn = {number: plane == number for number in wanted}
        else:
            number = int(frame_items(dataset, groups, "SegmentIdentificationSequence")[0].ReferencedSegmentNumber)
            drawn = {number: plane >= threshold} if number in wanted else {}
        for number, mask in drawn.items():
            if kind != "LABELMAP" or mask.any():
                frames[number].append(_read_frame(dataset, groups, mask))
    reference = str(dataset.get("FrameOfReferenceUID") or "")
    return tuple(
        Segment(number, wanted[number], rows, columns, tuple(frames[number]), reference) for number in sorted(frames)
    )


def _read_frame(dataset: Dataset, groups: Dataset, mask: Bool) -> SegmentFrame:
    """Return one frame with the images it was drawn on and where it lies; `groups` are its own functional groups."""
    images = [
        image
        for derivation in frame_items(dataset, groups, "DerivationImageSequence")
        for source in derivation.get("SourceImageSequence") or []
        for image in referenced_images(source)
    ]
    spacing = _numbers(frame_value(dataset, groups, "PixelSpacing"), 2)
    if spacing and min(spacing) <= 0:
        raise ValueError("a PixelSpacing that is not positive")
    return SegmentFrame(
        tuple(images),
        _numbers(frame_value(dataset, groups, "ImagePositionPatient"), 3),
        _numbers(frame_value(dataset, groups, "ImageOrientationPatient"), 6),
        spacing,
        np.packbits(mask),
    )


def _numbers(value: Any, count: int) -> tuple[float, ...]:
    """Return an element's numbers; () where it is missing. Raises ValueError unless they are `count` finite ones."""
    numbers = tuple(float(part) for part in value or ())
    if numbers and (len(numbers) != count or not all(map(math.isfinite, numbers))):
        raise ValueError(f"{count} finite numbers expected")
    return numbers
