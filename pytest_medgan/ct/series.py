"""One CT series: its slices in order of position, after checks, and its geometry.

Slices are ordered by the projection of ImagePositionPatient on the slice normal; file names, InstanceNumber and
SliceLocation are ignored. The distance between slices is computed from their positions, never from SliceThickness.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pytest_medgan.ct.pixels import read_hounsfield
from pytest_medgan.ct.slices import Header
from pytest_medgan.errors import DataError
from pytest_medgan.records import Float64

EDGE_TOLERANCE = 0.5  # mm; two geometries are equal if no pixel moves by more than this
_STEP_TOLERANCE = 0.1  # share of the slice distance by which a step may differ; a CT table is more exact than that
_ROUNDING = 0.11  # mm by which two steps may differ because positions are written to a tenth
_SAME_PLACE = 1e-3  # mm; closer positions are the same position
_TILT = 0.5  # least z component of the normal of an axial slice
_DISTINCT = 0.6  # least number of different positions in a volume, as a share of its slices


class GapError(DataError):
    """A series lacks a slice between two others."""


@dataclass(frozen=True)
class Series:
    """One CT series in ascending order along the slice normal."""

    slices: tuple[Header, ...]
    positions: tuple[float, ...]  # mm along the normal, ascending
    normal: tuple[float, float, float]
    step: float  # mm between neighbouring slices; 0 for a single slice
    largest_offset: float = 0.0  # mm from a slice to the straight, even line through the others; 0 for rounding
    duplicates: int = 0  # identical copies of a slice, left out

    @property
    def patient(self) -> str:
        """PatientID."""
        return self.slices[0].patient

    @property
    def uid(self) -> str:
        """SeriesInstanceUID."""
        return self.slices[0].series

    @property
    def overlapping(self) -> bool:
        """Whether neighbouring slices overlap: their distance is smaller than their thickness."""
        thickness = self.slices[0].thickness
        return thickness is not None and 0 < self.step < thickness - _SAME_PLACE

    @property
    def mixed_pixel_formats(self) -> bool:
        """Whether rescale, sign or padding of stored values differ between slices."""
        return len({(h.pixels.rescale, h.pixels.signed, h.pixels.padding) for h in self.slices}) > 1

    @property
    def sideways(self) -> float:
        """How far the last slice lies beside the normal through the first one, mm: far where the gantry was tilted."""
        way = np.subtract(self.slices[-1].position, self.slices[0].position)
        return float(np.linalg.norm(way - (way @ np.array(self.normal)) * np.array(self.normal)))

    def nearest(self, position: float) -> int:
        """Return the index of the slice within half a step of `position` (mm along the normal); -1 if there is none."""
        index = int(np.argmin(np.abs(np.array(self.positions) - position)))
        return index if abs(self.positions[index] - position) <= max(self.step / 2, 0.5) + _SAME_PLACE else -1

    def __len__(self) -> int:
        return len(self.slices)


def set_scouts_apart(headers: Sequence[Header]) -> tuple[list[Header], list[Header]]:
    """Return the slices of a series, and its few images in another orientation: scouts that are not labelled as such.

    Where axial slices are not the majority, all stay together.
    """
    normals = [_normal_of(header) for header in headers]
    is_axial = [normal is None or abs(normal[2]) >= _TILT for normal in normals]
    if 2 * sum(is_axial) <= len(headers):
        return list(headers), []
    kept = [header for header, axial in zip(headers, is_axial, strict=True) if axial]
    return kept, [header for header, axial in zip(headers, is_axial, strict=True) if not axial]


def reason_unsuitable(headers: Sequence[Header]) -> str | None:
    """Return what kind of series this is if it is not an axial volume, in words for a count; None for a volume.

    Damage is not checked here: a series that is not used may be damaged.

    Args:
        headers: Its slices, with scouts set apart.
    """
    normal = _normal_of(headers[0])
    if any(found is not None and abs(found[2]) < _TILT for found in map(_normal_of, headers)):
        return "series that is not axial"
    if normal is not None and len(headers) > 2:
        places = {round(float(np.dot(header.position, normal)), 2) for header in headers}
        copies = len(headers) - len({header.instance for header in headers})
        if len(places) < _DISTINCT * (len(headers) - copies):
            return "series with many images at one position"
    return None


def build_series(headers: Iterable[Header], *, same_pixels: Callable[[Header, Header], bool] | None = None) -> Series:
    """Return the slices of one SeriesInstanceUID in order.

    Args:
        headers: The slices, in any order.
        same_pixels: Called with two slices that have one SOPInstanceUID but different files; returns whether their
            pixels are equal.

    Raises:
        DataError: Slices differ in patient, study or matrix, or by more than EDGE_TOLERANCE in spacing or orientation;
            two different slices have one position or one SOPInstanceUID; distances are uneven, for example because
            a slice is missing; or positions do not lie on one line.
    """
    found = sorted(headers, key=lambda header: header.file)
    _check_alike(found)
    unique, duplicates = _drop_copies(found, same_pixels)
    normal = _axial_normal(unique[0])
    # rounded to a nanometre, so that rounding errors do not decide the order of slices
    places = [round(float(np.dot(header.position, normal)), 6) for header in unique]
    order = sorted(range(len(unique)), key=lambda index: (places[index], unique[index].file))
    slices = tuple(unique[index] for index in order)
    positions = tuple(places[index] for index in order)
    step = _check_steps(slices, positions)
    uneven = _check_line(slices, normal)
    return Series(slices, positions, normal, step, uneven, duplicates)


def outline_series(headers: Sequence[Header]) -> Series:
    """Return the slices of one series in order without checks, to find the files that refer to them."""
    normal = _normal_of(headers[0]) or (0.0, 0.0, 1.0)
    placed = sorted(headers, key=lambda header: (float(np.dot(header.position, normal)), header.file, header.frame))
    positions = tuple(float(np.dot(header.position, normal)) for header in placed)
    step = float(np.median(np.diff(positions))) if len(positions) > 1 else 0.0
    return Series(tuple(placed), positions, normal, step)


def read_volume(root: Path, series: Series) -> Float64:
    """Return the whole series, float64 [slices,H,W] HU; NaN for padding values. For viewing only."""
    return np.stack([read_hounsfield(root, header) for header in series.slices])


def _check_alike(headers: Sequence[Header]) -> None:
    """Raise DataError for a slice whose patient, study, matrix, spacing or orientation differs from the others."""
    _check_equal([header.patient for header in headers], headers, "PatientID")
    _check_equal([header.study for header in headers], headers, "StudyInstanceUID")
    _check_equal([(header.pixels.rows, header.pixels.columns) for header in headers], headers, "matrix")
    sides = np.array([(header.pixels.rows, header.pixels.columns) for header in headers])
    _check_close(np.array([header.spacing for header in headers]) * sides, headers, "PixelSpacing")
    extent = max(_extent(header) for header in headers)
    _check_close(np.array([header.orientation for header in headers]) * extent, headers, "ImageOrientationPatient")


def _check_close(places: Float64, headers: Sequence[Header], what: str) -> None:
    """Raise DataError for the slice farthest from the median if beyond EDGE_TOLERANCE; `places` is [slices,*] mm."""
    off = np.abs(places - np.median(places, axis=0)).max(axis=1)
    if off.max() > EDGE_TOLERANCE:
        raise _difference_error(what, headers[int(off.argmax())])


def _check_equal(values: Sequence[Any], headers: Sequence[Header], what: str) -> None:
    """Raise DataError for the first slice whose value is not the most frequent one."""
    if len(set(values)) > 1:
        most_frequent, _ = Counter(values).most_common(1)[0]
        raise _difference_error(
            what, next(h for h, value in zip(headers, values, strict=True) if value != most_frequent)
        )


def _difference_error(what: str, header: Header) -> DataError:
    """Return the error for a slice that differs from the others of its series."""
    return DataError(
        f"The {what} of a CT slice differs from the rest of its series. Copy the file again, or remove the slices that "
        "do not belong.",
        file=header.file,
    )


def _extent(header: Header) -> float:
    """Return the longer side of an image, mm."""
    pixels = header.pixels
    return max(header.spacing[0] * pixels.rows, header.spacing[1] * pixels.columns)


def _drop_copies(
    headers: Sequence[Header], same_pixels: Callable[[Header, Header], bool] | None
) -> tuple[list[Header], int]:
    """Return one slice per SOPInstanceUID, and the number of copies left out.

    Copies may differ in elements that images do not depend on, for example after a second export.
    """
    kept: dict[str, Header] = {}
    for header in headers:
        first = kept.setdefault(header.instance, header)
        if first.digest != header.digest:
            alike = (first.position, first.orientation, first.pixels.rescale) == (
                header.position,
                header.orientation,
                header.pixels.rescale,
            )
            if not alike or same_pixels is None or not same_pixels(first, header):
                raise DataError(
                    "A CT slice has the SOPInstanceUID of another file but other content. Remove one of them.",
                    file=header.file,
                )
    return list(kept.values()), len(headers) - len(kept)


def _normal_of(header: Header) -> tuple[float, float, float] | None:
    """Return the slice normal towards the head; None if the orientation is invalid."""
    row, column = np.array(header.orientation[:3]), np.array(header.orientation[3:])
    lengths = float(np.linalg.norm(row)), float(np.linalg.norm(column))
    off = max(abs(lengths[0] - 1), abs(lengths[1] - 1), abs(float(row @ column)))
    if off * _extent(header) > EDGE_TOLERANCE:
        return None
    x, y, z = np.cross(row, column)
    # always towards the head, so that a flipped plane does not reverse the order
    sign = 1.0 if z > 0 else -1.0
    return float(sign * x), float(sign * y), float(sign * z)


def _axial_normal(header: Header) -> tuple[float, float, float]:
    """Return the normal of an axial slice; raise DataError for any other orientation."""
    normal = _normal_of(header)
    if normal is None:
        raise DataError(
            "The ImageOrientationPatient of a CT slice is not two perpendicular unit vectors. Copy the file again.",
            file=header.file,
        )
    if abs(normal[2]) < _TILT:
        raise DataError("A CT slice is not axial. Leave its series out, or reformat it.", file=header.file)
    return normal


def _check_steps(slices: Sequence[Header], positions: Sequence[float]) -> float:
    """Return the distance between slices, mm; raise DataError if it is not constant."""
    if len(slices) < 2:
        return 0.0
    steps = np.diff(positions)
    for index, step in enumerate(steps):
        if step < _SAME_PLACE:
            raise DataError(
                "A CT slice lies at the position of another one of its series. Remove one of them.",
                file=slices[index + 1].file,
            )
    usual = float(np.median(steps))
    slack = min(max(_STEP_TOLERANCE * usual, _ROUNDING), 0.4 * usual)
    for index, step in enumerate(steps):
        if step > usual + slack:
            missing = round(step / usual) - 1
            what = f"{missing} missing" if missing >= 1 else "uneven distance"
            raise GapError(
                f"A CT series has a gap: the next slice is {step:.2f} mm away instead of {usual:.2f} ({what}). Add the "
                "missing files, or leave the series out.",
                file=slices[index].file,
            )
        if step < usual - slack:
            raise DataError(
                f"A CT series has several slice distances: the next slice is {step:.2f} mm away instead of {usual:.2f}."
                " Leave the series out, or remove the slices that do not belong.",
                file=slices[index].file,
            )
    return float(positions[-1] - positions[0]) / (len(positions) - 1)


def _check_line(slices: Sequence[Header], normal: tuple[float, float, float]) -> float:
    """Return the largest distance of a first pixel from the even, straight line of the others, mm; 0 for rounding.

    The line may be oblique, as with a tilted gantry. Raises DataError for a slice shifted in its own plane.
    """
    if len(slices) < 4:
        return 0.0
    corners = np.array([header.position for header in slices])
    half = len(corners) // 2
    # medians of distances over half the series, so that no single slice can shift the line
    slope = np.median(corners[half:] - corners[:-half], axis=0) / half
    off = corners - slope * np.arange(len(corners))[:, None]
    off -= np.median(off, axis=0)
    rounding = np.maximum(1e-3, 6 * np.median(np.abs(off), axis=0))
    off[np.abs(off) <= rounding] = 0.0
    aside = np.linalg.norm(off - np.outer(off @ np.array(normal), normal), axis=1)
    if aside.max() > EDGE_TOLERANCE:
        raise DataError(
            "A CT slice is shifted in its plane against the rest of its series. Copy the file again, or leave the "
            "series out.",
            file=slices[int(aside.argmax())].file,
        )
    return float(np.linalg.norm(off, axis=1).max())
