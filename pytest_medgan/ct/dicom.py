"""One CT series: its slices in order of position, checked, with geometry.

Slices are ordered by the projection of ImagePositionPatient on the slice normal; file names, InstanceNumber and
SliceLocation play no part. The distance of slices is that of their positions, never SliceThickness.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pytest_medgan.ct.headers import Header
from pytest_medgan.ct.pixels import read_hounsfield
from pytest_medgan.errors import DataError
from pytest_medgan.records import Float64

_COSINE_TOLERANCE = 1e-3  # direction cosines carry four decimals in some files
_SPACING_TOLERANCE = 1e-3  # mm in the plane
_STEP_TOLERANCE = 0.1  # of the slice distance, between neighbours; tables stop to a tenth of a millimetre or so
_SAME_PLACE = 1e-3  # mm


@dataclass(frozen=True)
class Series:
    """One CT series in ascending order along the slice normal."""

    slices: tuple[Header, ...]
    positions: tuple[float, ...]  # mm along the normal, ascending
    normal: tuple[float, float, float]
    step: float  # mm between neighbouring slices; 0 for a single slice
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
    _check_line(slices, positions)
    return Series(slices, positions, normal, step, duplicates)


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
        ("PixelSpacing", lambda h: tuple(round(value / _SPACING_TOLERANCE) for value in h.spacing)),
        ("ImageOrientationPatient", lambda h: tuple(round(value / _COSINE_TOLERANCE) for value in h.orientation)),
        ("rescale or pixel format", lambda h: (h.pixels.slope, h.pixels.intercept, h.pixels.signed, h.pixels.stored)),
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
    for index, step in enumerate(steps):
        if step > usual * (1 + _STEP_TOLERANCE):
            missing = round(step / usual) - 1
            what = f"{missing} missing" if missing >= 1 else "uneven distance"
            raise DataError(
                f"the next slice of the series is {step:.2f} mm away instead of {usual:.2f} ({what}); "
                "copy the series again, or leave it out",
                file=slices[index].file,
            )
        if step < usual * (1 - _STEP_TOLERANCE):
            raise DataError(
                f"the next slice of the series is {step:.2f} mm away instead of {usual:.2f}; "
                "the series mixes spacings, leave it out or remove the odd slices",
                file=slices[index].file,
            )
    return float(positions[-1] - positions[0]) / (len(positions) - 1)


def _check_line(slices: Sequence[Header], positions: Sequence[float]) -> None:
    """First pixels lie on one line: upright, or slanted by a tilted gantry; a slice beside it was shifted."""
    if len(slices) < 3:
        return
    corners = np.array([header.position for header in slices])
    place = np.array(positions)
    slope = np.median(np.diff(corners, axis=0) / np.diff(place)[:, None], axis=0)
    offsets = corners - slope * place[:, None]
    beside = np.abs(offsets - np.median(offsets, axis=0)).max(axis=1)
    if beside.max() > max(0.5, 0.5 * slices[0].spacing[0]):
        raise DataError(
            "lies beside the other slices of its series in the plane; copy it again, or leave the series out",
            file=slices[int(beside.argmax())].file,
        )
