"""Read RTSTRUCT files: regions given as closed contours in millimetres, filled on the slices of their series."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import Dataset

from pytest_medgan.ct.bounded import BoundedFile
from pytest_medgan.ct.enhanced import referenced_images
from pytest_medgan.ct.polygons import fill_polygon
from pytest_medgan.ct.quiet import quiet_pydicom
from pytest_medgan.ct.regions import StructureFile, rank
from pytest_medgan.ct.series import Series
from pytest_medgan.errors import DataError
from pytest_medgan.records import Bool, Float64

_SAME_PLANE = 0.1  # mm; contours closer along the normal lie in one plane


@dataclass(frozen=True, eq=False)
class Contours:
    """One region of an RTSTRUCT."""

    number: int
    name: str
    contours: tuple[Float64, ...]  # float64 [P,3] mm, closed and planar
    exclusive: tuple[Float64, ...] = ()  # the same, of type CLOSEDPLANAR_XOR

    def masks(self, series: Series, file: str) -> dict[int, Bool]:
        """Return the filled region, slice index -> bool [H,W].

        A pixel is inside a plane of contours if it is inside any of its `contours`; each of its `exclusive` ones makes
        the pixels within it change sides (PS3.3 C.8.8.6.3). Planes that lie on one slice are united.

        Raises:
            DataError: A contour does not lie on a slice, or lies completely outside the image.
        """
        masks: dict[int, Bool] = {}
        for contours, exclusive in self._planes(series):
            filled = [_fill_contour(points, series, file) for points in (*contours, *exclusive)]
            index, mask = filled[0][0], np.zeros_like(filled[0][1])
            for _, inner in filled[: len(contours)]:
                mask |= inner
            for _, inner in filled[len(contours) :]:
                mask ^= inner
            masks[index] = masks[index] | mask if index in masks else mask
        return masks

    def _planes(self, series: Series) -> list[tuple[list[Float64], list[Float64]]]:
        """Return `contours` and `exclusive` plane by plane; there may be more planes than slices."""
        placed = [
            (_along_normal(points, series), kind, points)
            for kind, found in enumerate((self.contours, self.exclusive))
            for points in found
        ]
        planes: list[tuple[list[Float64], list[Float64]]] = []
        last = -np.inf
        for along, kind, points in sorted(placed, key=lambda item: item[0]):
            if along - last > _SAME_PLANE:
                planes.append(([], []))
            planes[-1][kind].append(points)
            last = along
        return planes


def outside_error(file: str) -> DataError:
    """Return the error for a region that does not lie in its series."""
    return DataError("A GTV lies outside the image volume. Correct it, or use crop=image.", file=file)


def _along_normal(points: Float64, series: Series) -> float:
    """Return the position of a contour's plane along the normal of the slices, mm."""
    return float(np.median(points @ np.array(series.normal)))


def _fill_contour(points: Float64, series: Series, file: str) -> tuple[int, Bool]:
    """Return the index of the slice on which a contour lies, and the pixels inside it, bool [H,W]."""
    index, corners = _place_on_slice(points, series, file)
    pixels = series.slices[index].pixels
    low, high = corners.min(axis=0), corners.max(axis=0)
    if high[0] < 0 or high[1] < 0 or low[0] > pixels.rows - 1 or low[1] > pixels.columns - 1:
        raise outside_error(file)
    return index, fill_polygon(corners, pixels.rows, pixels.columns)


def _place_on_slice(points: Float64, series: Series, file: str) -> tuple[int, Float64]:
    """Return the index of the slice on which a contour lies, and its corners as (row, column)."""
    along = points @ np.array(series.normal)
    index = series.nearest(_along_normal(points, series))
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
                    regions.append(Contours(number, names[number], *_read_contours(item, name, images)))
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


def _read_contours(roi: Dataset, name: str, images: set[str]) -> tuple[tuple[Float64, ...], tuple[Float64, ...]]:
    """Return the closed contours of a region, and those that are combined by exclusive or.

    Add the images that they refer to, as `referenced_images` names them, to `images`. Raises DataError for a region
    without a closed contour, or with a contour that is not a list of points.
    """
    found: dict[str, list[Float64]] = {"CLOSED_PLANAR": [], "CLOSEDPLANAR_XOR": []}
    for contour in roi.get("ContourSequence") or []:
        kind = str(contour.get("ContourGeometricType", ""))
        if kind not in found:
            continue
        try:
            points = np.array([float(value) for value in contour.get("ContourData") or []], np.float64)
        except (TypeError, ValueError):
            points = np.full(1, np.nan)
        if points.size % 3 or not np.isfinite(points).all():
            raise DataError("A GTV has a contour that is not a list of points. Draw it again.", file=name)
        for item in contour.get("ContourImageSequence") or []:
            images.update(referenced_images(item))
        if points.size >= 9:
            found[kind].append(points.reshape(-1, 3))
    if not any(found.values()):
        raise DataError("A GTV has no closed contour. Draw it again, or use crop=image.", file=name)
    return tuple(found["CLOSED_PLANAR"]), tuple(found["CLOSEDPLANAR_XOR"])


def _referenced_uids(dataset: Dataset) -> tuple[frozenset[str], frozenset[str]]:
    """Return the UIDs of the series and of the frames of reference that a structure set refers to."""
    series, frames = set(), set()
    for frame in dataset.get("ReferencedFrameOfReferenceSequence") or []:
        frames.add(str(frame.get("FrameOfReferenceUID", "")))
        for study in frame.get("RTReferencedStudySequence") or []:
            for item in study.get("RTReferencedSeriesSequence") or []:
                series.add(str(item.get("SeriesInstanceUID", "")))
    return frozenset(series - {""}), frozenset(frames - {""})
