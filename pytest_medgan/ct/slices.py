"""What is known of a slice before its pixels are read."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from pytest_medgan.errors import DataError


@dataclass(frozen=True)
class PixelFormat:
    """How stored values lie in a file and what they mean; equal throughout a sound series."""

    rows: int
    columns: int
    allocated: int  # bits
    stored: int  # bits
    high_bit: int
    signed: bool
    slope: float
    intercept: float
    syntax: str  # transfer syntax UID
    padding: tuple[int, int] | None  # lowest and highest stored value that stands for no measurement
    lossy: bool = False  # compressed with loss at some time


@dataclass(frozen=True)
class Header:
    """One CT file that holds one slice."""

    file: str  # relative to the data root
    digest: str  # of the data set, that is without preamble and file meta information
    patient: str
    study: str
    series: str
    instance: str
    frame_of_reference: str
    number: int | None  # InstanceNumber
    position: tuple[float, float, float]  # mm, centre of the first pixel
    orientation: tuple[float, ...]  # six direction cosines
    spacing: tuple[float, float]  # mm between rows, between columns
    thickness: float | None  # mm
    location: float | None  # SliceLocation, mm
    pixels: PixelFormat
    offset: int  # of the pixel values in the file; -1 where they are compressed
    length: int  # bytes of pixel values, of one frame
    frame: int = 0  # index in a multi-frame file


@dataclass(frozen=True)
class Skipped:
    """A DICOM file that is no slice of a CT volume."""

    file: str
    digest: str
    reason: str  # "localizer", "secondary capture", "RTSTRUCT", "SEG", "modality MR", ...
    patient: str
    series: str
    instance: str = ""


def number_list(value: Any, count: int, keyword: str, name: str) -> tuple[float, ...]:
    """A required element's `count` finite numbers; DataError where it is missing or malformed."""
    if value is None or value == "":
        raise DataError(f"has no {keyword}; a CT image must have one", file=name)
    numbers = tuple(float(part) for part in ([value] if count == 1 else value))
    if len(numbers) != count or not all(math.isfinite(number) for number in numbers):
        raise DataError(f"{keyword} is not {count} finite numbers; the file is damaged, copy it again", file=name)
    return numbers
