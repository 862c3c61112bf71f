"""Where the tumour lies: RTSTRUCT contours, or a SEG's masks, on the slices of their series."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import Dataset

from pytest_medgan.ct.bounded import BoundedFile
from pytest_medgan.ct.dicom import Series
from pytest_medgan.ct.polygons import fill_polygon
from pytest_medgan.ct.quiet import quiet_pydicom
from pytest_medgan.ct.regions import StructureFile, choose_region, rank
from pytest_medgan.errors import DataError
from pytest_medgan.records import Bool, Float64

Centre = tuple[Fraction, Fraction]  # (row, column), pixel centres being whole numbers


@dataclass(frozen=True)
class Tumour:
    """The chosen region on the slices of one series."""

    name: str  # as the file spells it
    indices: tuple[int, ...]  # slices it lies on, ascending
    counts: tuple[int, ...]  # pixels on each
    row_sums: tuple[int, ...]  # of the pixels' rows, on each
    column_sums: tuple[int, ...]

    @property
    def middle(self) -> Fraction:
        """Centroid along the slice index, over all voxels."""
        return Fraction(sum(i * n for i, n in zip(self.indices, self.counts, strict=True)), sum(self.counts))

    @property
    def centroid(self) -> tuple[Fraction, Fraction, Fraction]:
        """(slice index, row, column) over all voxels."""
        total = sum(self.counts)
        return self.middle, Fraction(sum(self.row_sums), total), Fraction(sum(self.column_sums), total)

    def centre(self, index: int) -> Centre:
        """The centre on one slice: its own centroid, in a gap a straight line between neighbours, beyond the ends the
        last one."""
        if index <= self.indices[0]:
            return self._own(0)
        if index >= self.indices[-1]:
            return self._own(len(self.indices) - 1)
        after = next(at for at, slice_index in enumerate(self.indices) if slice_index >= index)
        if self.indices[after] == index:
            return self._own(after)
        below, above = self._own(after - 1), self._own(after)
        share = Fraction(index - self.indices[after - 1], self.indices[after] - self.indices[after - 1])
        return below[0] + share * (above[0] - below[0]), below[1] + share * (above[1] - below[1])

    def _own(self, at: int) -> Centre:
        return Fraction(self.row_sums[at], self.counts[at]), Fraction(self.column_sums[at], self.counts[at])


@dataclass(frozen=True, eq=False)
class Contours:
    """One region of an RTSTRUCT."""

    number: int
    name: str
    contours: tuple[Float64, ...]  # float64 [P,3] mm, closed and planar

    def masks(self, series: Series, file: str) -> dict[int, Bool]:
        """The region filled on each slice: slice index -> bool [H,W], contours of one slice united.

        Raises DataError for a contour that lies on no slice or wholly outside the image.
        """
        masks: dict[int, Bool] = {}
        for points in self.contours:
            index, corners = _place(points, series, file)
            pixels = series.slices[index].pixels
            low, high = corners.min(axis=0), corners.max(axis=0)
            if high[0] < 0 or high[1] < 0 or low[0] > pixels.rows - 1 or low[1] > pixels.columns - 1:
                raise DataError("has a GTV outside the image volume; use crop=image, or leave it out", file=file)
            mask = fill_polygon(corners, pixels.rows, pixels.columns)
            masks[index] = masks[index] | mask if index in masks else mask
        return masks


def _place(points: Float64, series: Series, file: str) -> tuple[int, Float64]:
    """The slice a contour lies on, and its corners as (row, column)."""
    along = points @ np.array(series.normal)
    index = series.nearest(float(np.median(along)))
    if index < 0 or float(np.ptp(along)) > max(series.step, 1.0):
        raise DataError("has a GTV outside the image volume; use crop=image, or leave it out", file=file)
    header = series.slices[index]
    offset = points - np.array(header.position)
    columns = offset @ np.array(header.orientation[:3]) / header.spacing[1]
    rows = offset @ np.array(header.orientation[3:]) / header.spacing[0]
    return index, np.stack([rows, columns], axis=1)


def read_structures(root: Path, name: str, digest: str) -> StructureFile:
    """An RTSTRUCT; only regions that may be the tumour are parsed, since lungs take seconds.

    Raises DataError where it is damaged.
    """
    try:
        with BoundedFile(root / name) as stream, quiet_pydicom():
            dataset = pydicom.dcmread(stream, force=True)
            names = {int(roi.ROINumber): str(roi.ROIName).strip() for roi in dataset.StructureSetROISequence}
            images: set[str] = set()
            regions = []
            for roi in dataset.get("ROIContourSequence") or []:
                number = int(roi.ReferencedROINumber)
                if rank(names[number]) is not None:
                    contours = _contours(roi, name, images)
                    if contours:
                        regions.append(Contours(number, names[number], contours))
            series, frames = _references(dataset)
            patient = str(dataset.get("PatientID", "")).strip()
    except DataError:
        raise
    except Exception as error:  # a damaged file can make pydicom raise anything at all
        raise DataError(f"is no sound RTSTRUCT ({type(error).__name__}); copy it again", file=name) from error
    return StructureFile(name, digest, "RTSTRUCT", patient, series, frames, frozenset(images), tuple(regions))


def _contours(roi: Dataset, name: str, images: set[str]) -> tuple[Float64, ...]:
    """The closed contours of a region; the images they name are added to `images`."""
    found = []
    for contour in roi.get("ContourSequence") or []:
        if str(contour.get("ContourGeometricType", "")) != "CLOSED_PLANAR":
            continue
        points = np.array([float(value) for value in contour.ContourData], np.float64)
        if points.size % 3 or not np.isfinite(points).all():
            raise DataError("has a contour that is no list of points; copy it again", file=name)
        images |= {str(item.ReferencedSOPInstanceUID) for item in contour.get("ContourImageSequence") or []}
        if points.size >= 9:
            found.append(points.reshape(-1, 3))
    return tuple(found)


def _references(dataset: Dataset) -> tuple[frozenset[str], frozenset[str]]:
    series, frames = set(), set()
    for frame in dataset.get("ReferencedFrameOfReferenceSequence") or []:
        frames.add(str(frame.get("FrameOfReferenceUID", "")))
        for study in frame.get("RTReferencedStudySequence") or []:
            for item in study.get("RTReferencedSeriesSequence") or []:
                series.add(str(item.SeriesInstanceUID))
    return frozenset(series), frozenset(frames - {""})


def locate_tumour(structures: StructureFile, series: Series) -> Tumour | None:
    """The gross tumour volume on the slices of `series`; None where the file names none.

    Raises DataError where the file was drawn on another series, or the region lies outside the volume.
    """
    if not structures.drawn_on(series):
        raise DataError(
            f"is an {structures.kind} drawn on another series; add that series, or use crop=image", file=structures.file
        )
    chosen = choose_region(structures, series)
    return None if chosen is None else sum_masks(*chosen)


def sum_masks(name: str, masks: Mapping[int, Bool]) -> Tumour:
    """Sums over filled slices; `masks` maps slice index to bool [H,W], and some pixel is set."""
    kept = [(index, np.argwhere(masks[index])) for index in sorted(masks) if masks[index].any()]
    return Tumour(
        name,
        tuple(index for index, _ in kept),
        tuple(len(places) for _, places in kept),
        tuple(int(places[:, 0].sum()) for _, places in kept),
        tuple(int(places[:, 1].sum()) for _, places in kept),
    )
