"""Where the tumour lies: the contours of an RTSTRUCT on the slices of its series.

Of several regions the gross tumour volume is chosen by rule: names are compared without case and punctuation and must
begin with "gtv"; GTV-1 comes before GTV-2, a numbered one before an unnumbered one, and nodes ("GTVn") count only
where nothing else is there. Equal claims are settled by the larger volume, then by the lower ROINumber.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import Dataset

from pytest_medgan.ct.dicom import Series
from pytest_medgan.ct.polygons import fill_polygon
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


@dataclass(frozen=True)
class StructureFile:
    """An RTSTRUCT: which series it was drawn on, and its regions."""

    file: str
    digest: str
    patient: str
    series: frozenset[str]  # SeriesInstanceUIDs
    frames: frozenset[str]  # FrameOfReferenceUIDs
    images: frozenset[str]  # SOPInstanceUIDs the contours name
    regions: tuple[Region, ...]


@dataclass(frozen=True)
class Region:
    """One region of interest."""

    number: int
    name: str
    contours: tuple[tuple[str, Float64], ...]  # SOPInstanceUID or "", and float64 [P,3] mm


def read_structures(root: Path, name: str, digest: str) -> StructureFile:
    """An RTSTRUCT file.

    Raises DataError where it is damaged.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            dataset = pydicom.dcmread(root / name, force=True)
            names = {int(roi.ROINumber): str(roi.ROIName).strip() for roi in dataset.StructureSetROISequence}
            regions = tuple(
                Region(int(roi.ReferencedROINumber), names[int(roi.ReferencedROINumber)], _contours(roi, name))
                for roi in dataset.get("ROIContourSequence") or []
                if _rank(names[int(roi.ReferencedROINumber)]) is not None  # parsing lungs takes seconds
            )
            series, frames = _references(dataset)
    except DataError:
        raise
    except Exception as error:  # a damaged file can make pydicom raise anything at all
        raise DataError(f"is no sound RTSTRUCT ({type(error).__name__}); copy it again", file=name) from error
    images = frozenset(uid for region in regions for uid, _ in region.contours if uid)
    return StructureFile(name, digest, str(dataset.get("PatientID", "")).strip(), series, frames, images, regions)


def _contours(roi: Dataset, name: str) -> tuple[tuple[str, Float64], ...]:
    found = []
    for contour in roi.get("ContourSequence") or []:
        if str(contour.get("ContourGeometricType", "")) != "CLOSED_PLANAR":
            continue
        points = np.array([float(value) for value in contour.ContourData], np.float64)
        if points.size % 3 or not np.isfinite(points).all():
            raise DataError("has a contour that is no list of points; copy it again", file=name)
        images = contour.get("ContourImageSequence") or []
        uid = str(images[0].ReferencedSOPInstanceUID) if images else ""
        if points.size >= 9:
            found.append((uid, points.reshape(-1, 3)))
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
    """The gross tumour volume on the slices of `series`; None where the file names no GTV.

    Raises DataError where the file was drawn on another series, or the region lies outside the volume.
    """
    own = {header.instance for header in series.slices}
    same_series = series.uid in structures.series or bool(own & structures.images)
    if (structures.series or structures.images) and not same_series:
        raise DataError("was drawn on another series; add that series, or use crop=image", file=structures.file)
    candidates = [region for region in structures.regions if _rank(region.name) is not None and region.contours]
    if not candidates:
        return None
    best = min(_rank(region.name) or (9, 0) for region in candidates)
    masks = {
        region.number: region_masks(region, series, structures.file)
        for region in candidates
        if _rank(region.name) == best
    }
    chosen = max(masks, key=lambda number: (sum(int(m.sum()) for m in masks[number].values()), -number))
    name = next(region.name for region in candidates if region.number == chosen)
    return tumour_from_masks(name, masks[chosen], structures.file)


def tumour_from_masks(name: str, masks: Mapping[int, Bool], file: str) -> Tumour:
    """Sums over filled slices; `masks` maps slice index to bool [H,W]."""
    kept = [(index, np.argwhere(masks[index])) for index in sorted(masks) if masks[index].any()]
    if not kept:
        raise DataError("has a GTV that covers no pixel of its series; use crop=image, or leave it out", file=file)
    return Tumour(
        name,
        tuple(index for index, _ in kept),
        tuple(len(places) for _, places in kept),
        tuple(int(places[:, 0].sum()) for _, places in kept),
        tuple(int(places[:, 1].sum()) for _, places in kept),
    )


def _rank(name: str) -> tuple[int, int] | None:
    """The claim of a region's name to be the tumour, lowest first; None for another organ."""
    plain = re.sub(r"[^a-z0-9]", "", name.casefold())
    if not plain.startswith("gtv"):
        return None
    rest = plain[3:]
    if rest.isdigit():
        return 0, int(rest)
    return (2, 0) if rest.startswith(("n", "ln")) else (1, 0)


def region_masks(region: Region, series: Series, file: str) -> dict[int, Bool]:
    """The region filled on each slice: slice index -> bool [H,W], contours of one slice united.

    Raises DataError for a contour that lies on no slice or wholly outside the image.
    """
    masks: dict[int, Bool] = {}
    for _, points in region.contours:
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
    middle = float(np.median(along))
    index = int(np.argmin(np.abs(np.array(series.positions) - middle)))
    reach = max(series.step / 2, 0.5)
    if abs(series.positions[index] - middle) > reach + 1e-3 or float(np.ptp(along)) > 2 * reach:
        raise DataError("has a GTV outside the image volume; use crop=image, or leave it out", file=file)
    header = series.slices[index]
    offset = points - np.array(header.position)
    columns = offset @ np.array(header.orientation[:3]) / header.spacing[1]
    rows = offset @ np.array(header.orientation[3:]) / header.spacing[0]
    return index, np.stack([rows, columns], axis=1)


def pick(structures: Sequence[StructureFile], series: Series) -> StructureFile | None:
    """The structure set drawn on this series; where several were, the last by digest, whatever the files' order."""
    own = {header.instance for header in series.slices}
    fitting = [item for item in structures if series.uid in item.series or own & item.images]
    return max(fitting, key=lambda item: item.digest) if fitting else None
