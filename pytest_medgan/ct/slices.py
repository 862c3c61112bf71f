"""Records of the files of a study, filled from their headers before pixels are read."""

from __future__ import annotations

import enum
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from pytest_medgan.errors import DataError

MARKS = (  # elements that tell volumes of one series apart, the most telling first
    "TemporalPositionIdentifier",
    "TemporalPositionIndex",
    "NominalPercentageOfCardiacPhase",
    "AcquisitionNumber",
    "ImageType",
    "ConvolutionKernel",
    "KVP",
    "SeriesDescription",
    "TriggerTime",
)

TISSUE = (-900.0, 3100.0)  # HU between which a patient may have any value: above air, within the usual 12 bits
_PROCESSED = re.compile(
    r"\b(?:MIP|MINIP|MAXIP|MIN IP|MAX IP|MAXIMUM|MINIMUM)\b"  # projections
    r"|\b(?:STD DEVIATION|SUBTRACTION|DIVISION|MULTIPLICATION|QUANTITY)\b|PERFUSION"  # computed, PS3.3 C.8.16.1.4
    r"|IODINE|\bVNC\b|VIRTUAL NON|\bMAT (?:SPECIFIC|FRACTIONAL|REMOVED|MODIFIED|VALUE)|EFF ATOMIC|ELECTRON DENSITY"
)


class NoHounsfieldError(DataError):
    """An intact slice whose values are not Hounsfield units."""


class Cause(enum.Enum):
    """Why a file that may be a damaged slice is passed over. The value describes the file in tables and reports."""

    EMPTY = "empty file"
    FOREIGN = "file among DICOM files that is not DICOM"
    DAMAGED = "damaged DICOM file"
    NO_HOUNSFIELD = "slice without Hounsfield units"
    SYNTHETIC = "synthetic data"
    MIXED = "other content inside a CT series"


@dataclass(frozen=True)
class PixelFormat:
    """How stored values lie in a file and what they mean."""

    rows: int
    columns: int
    allocated: int  # bits
    stored: int  # bits
    signed: bool
    slope: float
    intercept: float
    syntax: str  # transfer syntax UID
    padding: tuple[int, int] | None  # lowest and highest stored value that stands for no measurement
    lossy: bool = False  # compressed with loss at some time
    overlays: int = 0  # mask of the unused bits that hold overlays

    @property
    def rescale(self) -> tuple[float, float]:
        """Slope and intercept."""
        return self.slope, self.intercept

    @property
    def pads_tissue(self) -> bool:
        """Whether padding has HU that the patient may have too, as where a program kept its value and not its HU."""
        if self.padding is None:
            return False
        low, high = (value * self.slope + self.intercept for value in self.padding)
        return high > TISSUE[0] and low < TISSUE[1]


@dataclass(frozen=True)
class Header:
    """One slice of a CT file."""

    file: str  # relative to the data root
    digest: str  # of the data set, that is without preamble and file meta information
    patient: str  # PatientID; "" where the file names none
    study: str
    series: str
    instance: str
    frame_of_reference: str  # "" where the file names none
    position: tuple[float, float, float]  # mm, centre of the first pixel
    orientation: tuple[float, ...]  # six direction cosines
    spacing: tuple[float, float]  # mm between rows, between columns
    thickness: float | None  # mm
    pixels: PixelFormat
    offset: int  # of the pixel values in the file; -1 where a decoder must find them
    length: int  # bytes of pixel values, of one frame
    frame: int = 0  # index in a multi-frame file
    processed: bool = False  # whether it says that it is a projection of several slices or a map computed from them
    marks: tuple[str, ...] = ()  # values of MARKS; "" where the file has none

    @property
    def references(self) -> frozenset[str]:
        """What a reference that means this slice says: the UID of its file, or UID/frame."""
        uid = self.instance.partition("/")[0]
        return frozenset((uid, f"{uid}/{self.frame}"))


@dataclass(frozen=True)
class Skipped:
    """An intact DICOM file that is not a slice of a CT volume."""

    file: str
    digest: str
    reason: str  # "localizer", "secondary capture", "RTSTRUCT", "SEG", "modality MR", ...
    patient: str
    series: str


@dataclass(frozen=True)
class Faulty:
    """A file that says or suggests that it is a CT slice and cannot be used as one."""

    file: str
    message: str  # what is wrong and what to do, as an error says it
    cause: Cause
    patient: str = ""  # "" where it could not be read
    series: str = ""

    @property
    def folder(self) -> str:
        """The folder it lies in, relative to the data root."""
        return self.file.rpartition("/")[0]

    def error(self) -> DataError:
        """Return the error to raise where the file matters."""
        return DataError(self.message, file=self.file)


def number_list(value: Any, count: int, keyword: str, name: str) -> tuple[float, ...]:
    """Return a required element's finite numbers.

    Raises:
        DataError: The element is missing, or is not `count` finite numbers.
    """
    if value is None or value == "":
        raise DataError(f"A CT slice has no {keyword}. Restore the tag, or leave its series out.", file=name)
    try:
        numbers = tuple(float(part) for part in ([value] if count == 1 else value))
    except (TypeError, ValueError):
        numbers = ()
    if len(numbers) != count or not all(math.isfinite(number) for number in numbers):
        amount = "one finite number" if count == 1 else f"{count} finite numbers"
        raise DataError(f"The {keyword} of a CT slice is not {amount}. Copy the file again.", file=name)
    return numbers


def check_rescale(slope: float, kind: str, name: str) -> None:
    """Raise an error for a RescaleSlope or a RescaleType (`kind`, "" where there is none) that does not give HU."""
    if kind.upper() not in ("", "HU", "US"):
        raise NoHounsfieldError("The RescaleType of a CT slice is not HU. Leave its series out.", file=name)
    if slope <= 0:
        raise DataError("The RescaleSlope of a CT slice is not positive. Copy the file again.", file=name)


def check_spacing(spacing: tuple[float, float], name: str) -> None:
    """Raise DataError for a PixelSpacing that is not positive."""
    if min(spacing) <= 0:
        raise DataError("The PixelSpacing of a CT slice is not positive. Copy the file again.", file=name)


def is_processed(words: Iterable[Any]) -> bool:
    """Return whether ImageType or FrameType says that an image is a projection of several slices or a computed map.

    Examples:
        >>> is_processed(["DERIVED", "SECONDARY", "AXIAL", "CT_SOM5 MIP"]), is_processed(["ORIGINAL", "PRIMARY"])
        (True, False)
    """
    return any(_PROCESSED.search(re.sub(r"[_ ]+", " ", str(word).upper())) is not None for word in words)
