"""One CT series: its slices in order of position, checked, with geometry.

Slices are ordered by the projection of ImagePositionPatient on the slice normal; file names, InstanceNumber and
SliceLocation play no part. The distance of slices is that of their positions, never SliceThickness.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from pytest_medgan.ct.pixels import read_hounsfield
from pytest_medgan.ct.slices import Header
from pytest_medgan.errors import DataError
from pytest_medgan.records import Float64

_COSINE_TOLERANCE = 1e-3  # direction cosines carry four decimals in some files
_STEP_TOLERANCE = 0.1  # of the slice distance: a table does not miss by more
_ROUNDING = 0.11  # mm by which two neighbours may differ because positions are told to a tenth
_SAME_PLACE = 1e-3  # mm
_BESIDE = 0.5  # mm in the plane that a slice may lie beside the others


@dataclass(frozen=True)
class Series:
    """One CT series in ascending order along the slice normal."""

    slices: tuple[Header, ...]
    positions: tuple[float, ...]  # mm along the normal, ascending
    normal: tuple[float, float, float]
    step: float  # mm between neighbouring slices; 0 for a single slice
    uneven: float = 0.0  # mm by which a slice lies off the even, straight line of the others, beyond rounding
    duplicates: int = 0  # identical copies of a slice, left out

    @property
    def patient(self) -> str:
        return self.slices[0].patient

    @property
    def uid(self) -> str:
        return self.slices[0].series

    @property
    def overlapping(self) -> bool:
        """Neighbouring slices share tissue: the distance is below the thickness."""
        thickness = self.slices[0].thickness
        return thickness is not None and 0 < self.step < thickness - _SAME_PLACE

    def nearest(self, position: float) -> int:
        """Index of the slice within half a step of `position` (mm along the normal); -1 for none."""
        index = int(np.argmin(np.abs(np.array(self.positions) - position)))
        return index if abs(self.positions[index] - position) <= max(self.step / 2, 0.5) + _SAME_PLACE else -1

    def __len__(self) -> int:
        return len(self.slices)


def build_series(headers: Iterable[Header]) -> Series:
    """The slices of one SeriesInstanceUID in order.

    Raises DataError for slices that differ in patient, study, matrix, spacing, orientation or rescale, for two
    different slices at one position, for uneven distances (a missing slice), and for positions off one line.
    """
    found = sorted(headers, key=lambda header: header.file)
    _check_alike(found)
    unique, duplicates = _drop_copies(found)
    normal = _normal(unique[0])
    # mm rounded to a nanometre, so that ties by rounding cannot order slices
    places = [round(float(np.dot(header.position, normal)), 6) for header in unique]
    order = sorted(range(len(unique)), key=lambda index: (places[index], unique[index].file))
    slices = tuple(unique[index] for index in order)
    positions = tuple(places[index] for index in order)
    step = _check_steps(slices, positions)
    uneven = _check_line(slices, normal)
    return Series(slices, positions, normal, step, uneven, duplicates)


def read_volume(root: Path, series: Series) -> Float64:
    """The whole series, float64 [slices,H,W] HU; NaN where a padding value stands. For looking, not for preparing."""
    return np.stack([read_hounsfield(root, header) for header in series.slices])


def _check_alike(headers: Sequence[Header]) -> None:
    """What one series has in common; the odd one out is named."""
    for what, key in (
        ("PatientID", lambda h: h.patient),
        ("StudyInstanceUID", lambda h: h.study),
        ("FrameOfReferenceUID", lambda h: h.frame_of_reference),
        ("matrix", lambda h: (h.pixels.rows, h.pixels.columns)),
        ("PixelSpacing", lambda h: h.spacing),
        ("ImageOrientationPatient", lambda h: tuple(round(value, 4) for value in h.orientation)),
        ("rescale, padding or pixel format", lambda h: replace(h.pixels, syntax="", lossy=False)),
    ):
        values = [key(header) for header in headers]
        if len(set(values)) > 1:
            odd = _odd_one_out(values)
            raise DataError(
                f"{what} differs within its series; copy the file again, or remove the slices that do not belong",
                file=headers[odd].file,
            )


def _odd_one_out(values: Sequence[object]) -> int:
    """Index of the first value that is not the commonest."""
    commonest = max(dict.fromkeys(values), key=values.count)
    return next(index for index, value in enumerate(values) if value != commonest)


def _drop_copies(headers: Sequence[Header]) -> tuple[list[Header], int]:
    """One of each SOPInstanceUID; copies must be identical to the byte."""
    kept: dict[str, Header] = {}
    for header in headers:
        first = kept.setdefault(header.instance, header)
        if first.digest != header.digest:
            raise DataError("has the SOPInstanceUID of another file but other content; remove one", file=header.file)
    return list(kept.values()), len(headers) - len(kept)


def _normal(header: Header) -> tuple[float, float, float]:
    row, column = np.array(header.orientation[:3]), np.array(header.orientation[3:])
    lengths = np.linalg.norm(row), np.linalg.norm(column)
    if max(abs(lengths[0] - 1), abs(lengths[1] - 1), abs(row @ column)) > _COSINE_TOLERANCE:
        raise DataError(
            "ImageOrientationPatient is not two perpendicular unit vectors; copy it again", file=header.file
        )
    x, y, z = np.cross(row, column)
    if abs(z) < 0.5:
        raise DataError("is not an axial slice; leave the series out or reformat it", file=header.file)
    # always towards the head, so that a flipped plane does not turn the order round
    sign = 1.0 if z > 0 else -1.0
    return float(sign * x), float(sign * y), float(sign * z)


def _check_steps(slices: Sequence[Header], positions: Sequence[float]) -> float:
    """The distance between slices, which must be one throughout."""
    if len(slices) < 2:
        return 0.0
    steps = np.diff(positions)
    for index, step in enumerate(steps):
        if step < _SAME_PLACE:
            raise DataError(
                "lies at the position of another slice of its series; remove one", file=slices[index + 1].file
            )
    usual = float(np.median(steps))
    slack = min(max(_STEP_TOLERANCE * usual, _ROUNDING), 0.4 * usual)
    for index, step in enumerate(steps):
        if step > usual + slack:
            missing = round(step / usual) - 1
            what = f"{missing} missing" if missing >= 1 else "uneven distance"
            raise DataError(
                f"the next slice of the series is {step:.2f} mm away instead of {usual:.2f} ({what}); "
                "copy the series again, or leave it out",
                file=slices[index].file,
            )
        if step < usual - slack:
            raise DataError(
                f"the next slice of the series is {step:.2f} mm away instead of {usual:.2f}; "
                "the series mixes spacings, leave it out or remove the odd slices",
                file=slices[index].file,
            )
    return float(positions[-1] - positions[0]) / (len(positions) - 1)


def _check_line(slices: Sequence[Header], normal: tuple[float, float, float]) -> float:
    """The most that a first pixel lies off the even, straight line of the others, in mm; 0 where rounding explains it.

    The line may slant, as under a tilted gantry. A slice shifted in its own plane is refused.
    """
    if len(slices) < 4:
        return 0.0
    corners = np.array([header.position for header in slices])
    half = len(corners) // 2
    # medians of distances over half the series: no single slice can pull the line towards itself
    slope = np.median(corners[half:] - corners[:-half], axis=0) / half
    off = corners - slope * np.arange(len(corners))[:, None]
    off -= np.median(off, axis=0)
    rounding = np.maximum(1e-3, 6 * np.median(np.abs(off), axis=0))
    off[np.abs(off) <= rounding] = 0.0
    beside = np.linalg.norm(off - np.outer(off @ np.array(normal), normal), axis=1)
    if beside.max() > _BESIDE:
        raise DataError(
            "lies beside the other slices of its series in the plane; copy it again, or leave the series out",
            file=slices[int(beside.argmax())].file,
        )
    return float(np.linalg.norm(off, axis=1).max())
