"""DICOM SEG: segments as masks on the slices they were drawn on, binary, fractional or as a label map."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import Dataset

from pytest_medgan.ct.bounded import BoundedFile
from pytest_medgan.ct.contours import outside_error
from pytest_medgan.ct.quiet import quiet_pydicom
from pytest_medgan.ct.regions import StructureFile, rank
from pytest_medgan.ct.series import Series
from pytest_medgan.errors import DataError
from pytest_medgan.records import Bool, UInt8

_LARGEST = 1 << 30  # bytes of unpacked pixels


@dataclass(frozen=True)
class SegmentFrame:
    """One frame of one segment."""

    image: str  # SOPInstanceUID (with /frame for enhanced CT) it was drawn on, or ""
    position: tuple[float, ...]  # mm, of its first pixel; () where not given
    packed: UInt8  # bits, row by row


@dataclass(frozen=True, eq=False)
class Segment:
    """One segment."""

    number: int
    name: str
    rows: int
    columns: int
    frames: tuple[SegmentFrame, ...]

    def masks(self, series: Series, file: str) -> dict[int, Bool]:
        """Return the segment on each slice it lies on, slice index -> bool [H,W].

        Raises:
            DataError: A frame belongs to no slice of the series, or has another matrix.
        """
        pixels = series.slices[0].pixels
        if (self.rows, self.columns) != (pixels.rows, pixels.columns):
            raise DataError("A SEG has another matrix than its series. Resample it, or use crop=image.", file=file)
        by_instance = {header.instance: index for index, header in enumerate(series.slices)}
        found: dict[int, Bool] = {}
        for frame in self.frames:
            index = by_instance.get(frame.image, -1)
            if index < 0 and frame.position:
                index = series.nearest(float(np.dot(frame.position, series.normal)))
            if index < 0:
                raise outside_error(file)
            bits = np.unpackbits(frame.packed, count=self.rows * self.columns)
            mask = bits.astype(bool).reshape(self.rows, self.columns)
            found[index] = found[index] | mask if index in found else mask
        return found


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
        images=frozenset(frame.image for region in regions for frame in region.frames if frame.image),
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
            number = int(groups.SegmentIdentificationSequence[0].ReferencedSegmentNumber)
            drawn = {number: plane >= threshold} if number in wanted else {}
        for number, mask in drawn.items():
            if kind != "LABELMAP" or mask.any():
                frames[number].append(SegmentFrame(*_origin(groups), np.packbits(mask)))
    return tuple(Segment(number, wanted[number], rows, columns, tuple(frames[number])) for number in sorted(frames))


def _origin(groups: Dataset) -> tuple[str, tuple[float, ...]]:
    """Return the image a frame was drawn on, and where its first pixel lies."""
    image = ""
    for derivation in groups.get("DerivationImageSequence") or []:
        for source in derivation.get("SourceImageSequence") or []:
            image = str(source.ReferencedSOPInstanceUID)
            if "ReferencedFrameNumber" in source:
                image += f"/{int(source.ReferencedFrameNumber) - 1}"
    planes = groups.get("PlanePositionSequence") or []
    position = tuple(float(value) for value in planes[0].ImagePositionPatient) if planes else ()
    return image, position
