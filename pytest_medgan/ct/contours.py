"""Read RTSTRUCT files: regions given as closed contours in millimetres, filled on the slices of their series."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import Dataset

from pytest_medgan.ct.bounded import BoundedFile
from pytest_medgan.ct.polygons import fill_polygon
from pytest_medgan.ct.quiet import quiet_pydicom
from pytest_medgan.ct.regions import StructureFile, rank
from pytest_medgan.ct.series import Series
from pytest_medgan.errors import DataError
from pytest_medgan.records import Bool, Float64


@dataclass(frozen=True, eq=False)
class Contours:
    """One region of an RTSTRUCT."""

    number: int
    name: str
    contours: tuple[Float64, ...]  # float64 [P,3] mm, closed and planar

    def masks(self, series: Series, file: str) -> dict[int, Bool]:
        """Return the filled region, slice index -> bool [H,W]; a pixel inside any contour of a slice is inside.

        Raises:
            DataError: A contour does not lie on a slice, or lies completely outside the image.
        """
        masks: dict[int, Bool] = {}
        for points in self.contours:
            index, corners = _place_on_slice(points, series, file)
            pixels = series.slices[index].pixels
            low, high = corners.min(axis=0), corners.max(axis=0)
            if high[0] < 0 or high[1] < 0 or low[0] > pixels.rows - 1 or low[1] > pixels.columns - 1:
                raise outside_error(file)
            mask = fill_polygon(corners, pixels.rows, pixels.columns)
            masks[index] = masks[index] | mask if index in masks else mask
        return masks


def outside_error(file: str) -> DataError:
    """Return the error for a region that does not lie in its series."""
    return DataError("A GTV lies outside the image volume. Correct it, or use crop=image.", file=file)


def _place_on_slice(points: Float64, series: Series, file: str) -> tuple[int, Float64]:
    """Return the index of the slice on which a contour lies, and its corners as (row, column)."""
    along = points @ np.array(series.normal)
    index = series.nearest(float(np.median(along)))
    if index < 0 or float(np.ptp(along)) > max(series.step, 1.0):
        raise outside_error(file)
    header = series.slices[index]
    offset = points - np.array(header.position)
    columns = offset @ np.array(header.orientation[:3]) / header.spacing[1]
    rows = offset @ np.array(header.orientation[3:]) / header.spacing[0]
    return index, np.stack([rows, columns], axis=1)


def read_structures(root: Path, name: str, digest: str, roi: str | None = None) -> StructureFile:
    """Read an RTSTRUCT; only regions that may be the tumour are parsed, since contours of lungs take seconds.

    Args:
        root: The data root.
        name: The file, relative to the data root.
        digest: Digest of the file's content.
        roi: Name of the region to use; None searches for a tumour by the usual names.

    Raises:
        DataError: The file cannot be read. The error of a single damaged region is in `faults` of the result.
    """
    try:
        with BoundedFile(root / name) as stream, quiet_pydicom():
            dataset = pydicom.dcmread(stream, force=True)
            names = {int(item.ROINumber): str(item.ROIName).strip() for item in dataset.StructureSetROISequence}
            images: set[str] = set()
            regions, faults = [], []
            for item in dataset.get("ROIContourSequence") or []:
                number = int(item.ReferencedROINumber)
                if rank(names.get(number, ""), roi) is None:
                    continue
                try:
                    regions.append(Contours(number, names[number], _read_contours(item, name, images)))
                except DataError as error:
                    faults.append(error)
            series, frames = _referenced_uids(dataset)
            patient = str(dataset.get("PatientID", "")).strip()
    except Exception as error:  # a damaged file can make pydicom raise anything at all
        raise DataError("An RTSTRUCT is damaged. Copy it again, or use crop=image.", file=name) from error
    return StructureFile(
        name,
        digest,
        "RTSTRUCT",
        patient,
        series,
        frames,
        frozenset(images),
        tuple(regions),
        tuple(names.values()),
        tuple(faults),
    )


def _read_contours(roi: Dataset, name: str, images: set[str]) -> tuple[Float64, ...]:
    """Return the closed contours of a region; add the SOPInstanceUIDs that they refer to to `images`.

    Raises DataError for a region without a closed contour, or with a contour that is not a list of points.
    """
    found = []
    for contour in roi.get("ContourSequence") or []:
        if str(contour.get("ContourGeometricType", "")) != "CLOSED_PLANAR":
            continue
        try:
            points = np.array([float(value) for value in contour.get("ContourData") or []], np.float64)
        except (TypeError, ValueError):
            points = np.full(1, np.nan)
        if points.size % 3 or not np.isfinite(points).all():
            raise DataError("A GTV has a contour that is not a list of points. Draw it again.", file=name)
        images |= {str(item.ReferencedSOPInstanceUID) for item in contour.get("ContourImageSequence") or []}
        if points.size >= 9:
            found.append(points.reshape(-1, 3))
    if not found:
        raise DataError("A GTV has no closed contour. Draw it again, or use crop=image.", file=name)
    return tuple(found)


def _referenced_uids(dataset: Dataset) -> tuple[frozenset[str], frozenset[str]]:
    """Return the UIDs of the series and of the frames of reference that a structure set refers to."""
    series, frames = set(), set()
    for frame in dataset.get("ReferencedFrameOfReferenceSequence") or []:
        frames.add(str(frame.get("FrameOfReferenceUID", "")))
        for study in frame.get("RTReferencedStudySequence") or []:
            for item in study.get("RTReferencedSeriesSequence") or []:
                series.add(str(item.get("SeriesInstanceUID", "")))
    return frozenset(series - {""}), frozenset(frames - {""})
