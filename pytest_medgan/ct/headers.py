"""The header of one DICOM file: what the series, the geometry and the decoding need, and nothing else."""

from __future__ import annotations

import math
import struct
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import pydicom
from pydicom.dataset import Dataset

from pytest_medgan.ct.files import content_digest
from pytest_medgan.errors import DataError

CT_CLASSES = {
    "1.2.840.10008.5.1.4.1.1.2": "CT",
    "1.2.840.10008.5.1.4.1.1.2.1": "enhanced CT",
    "1.2.840.10008.5.1.4.1.1.2.2": "enhanced CT",  # legacy converted
}
STRUCTURE_CLASSES = {
    "1.2.840.10008.5.1.4.1.1.481.3": "RTSTRUCT",
    "1.2.840.10008.5.1.4.1.1.66.4": "SEG",
}
_TAGS = [
    "SpecificCharacterSet",
    "ImageType",
    "SOPClassUID",
    "SOPInstanceUID",
    "Modality",
    "PatientID",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "FrameOfReferenceUID",
    "InstanceNumber",
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "SliceLocation",
    "PixelSpacing",
    "SliceThickness",
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "NumberOfFrames",
    "Rows",
    "Columns",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "PixelPaddingValue",
    "PixelPaddingRangeLimit",
    "RescaleIntercept",
    "RescaleSlope",
    "RescaleType",
]
_UNCOMPRESSED = {
    "1.2.840.10008.1.2": (True, "<"),  # Implicit VR Little Endian
    "1.2.840.10008.1.2.1": (False, "<"),  # Explicit VR Little Endian
    "1.2.840.10008.1.2.2": (False, ">"),  # Explicit VR Big Endian
}


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
    kind: str  # "CT"
    number: int | None  # InstanceNumber
    position: tuple[float, float, float]  # mm, centre of the first pixel
    orientation: tuple[float, ...]  # six direction cosines
    spacing: tuple[float, float]  # mm between rows, between columns
    thickness: float | None  # mm
    location: float | None  # SliceLocation, mm
    pixels: PixelFormat
    offset: int  # of the pixel values in the file; -1 where they are compressed
    length: int  # bytes of pixel values


@dataclass(frozen=True)
class Skipped:
    """A DICOM file that is no slice of a CT volume."""

    file: str
    digest: str
    reason: str  # "localizer", "secondary capture", "RTSTRUCT", "SEG", "modality MR", ...
    patient: str
    series: str
    instance: str = ""


def read_header(root: Path, name: str) -> Header | Skipped:
    """One DICOM file's header.

    Raises DataError where the file is truncated, no DICOM, or lacks what a CT slice must have.
    """
    path = root / name
    try:
        with path.open("rb") as stream, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pydicom's remarks on values that we check ourselves
            dataset = pydicom.dcmread(stream, stop_before_pixels=True, specific_tags=_TAGS, force=True)
            end = stream.tell()  # pydicom stops in front of the pixel data
            skip = _skip(dataset)
            digest = content_digest(path, skip=_dataset_start(stream))
            if skip is not None:
                return Skipped(
                    name,
                    digest,
                    skip,
                    _text(dataset, "PatientID"),
                    _text(dataset, "SeriesInstanceUID"),
                    _text(dataset, "SOPInstanceUID"),
                )
            return _ct_header(dataset, stream, end, name, digest)
    except DataError:
        raise
    except OSError as error:
        raise DataError(f"cannot be read ({error.strerror}); copy it again", file=name) from error
    except Exception as error:  # a damaged file can make pydicom raise anything at all
        raise DataError(f"is no sound DICOM file ({type(error).__name__}); copy it again", file=name) from error


def _dataset_start(stream: BinaryIO) -> int:
    """Where the data set begins: behind the file meta information, which names the software that wrote the file."""
    stream.seek(128)
    head = stream.read(16)
    if len(head) == 16 and head[:4] == b"DICM" and head[4:12] == b"\x02\0\0\0UL\x04\0":
        return 144 + int(struct.unpack("<I", head[12:16])[0])
    return 0


def _text(dataset: Dataset, keyword: str) -> str:
    value = dataset.get(keyword)
    return "" if value is None else str(value).strip(" \0")


def _skip(dataset: Dataset) -> str | None:
    """Why this file is no slice of a CT volume; None where it is one."""
    uid = _text(dataset, "SOPClassUID")
    if uid in STRUCTURE_CLASSES:
        return STRUCTURE_CLASSES[uid]
    modality = _text(dataset, "Modality")
    if uid not in CT_CLASSES:
        if "Rows" in dataset and modality == "CT":
            return "secondary capture"
        return f"modality {modality}" if modality.isalpha() else "no image"
    if modality != "CT":
        return f"modality {modality}" if modality.isalpha() else "no image"
    kinds = [str(part).upper() for part in dataset.get("ImageType") or []]
    if "LOCALIZER" in kinds:
        return "localizer"
    return None


def _ct_header(dataset: Dataset, stream: BinaryIO, end: int, name: str, digest: str) -> Header:
    fields = _Fields(dataset, name)
    kind = CT_CLASSES[_text(dataset, "SOPClassUID")]
    if kind != "CT":
        raise DataError("is an enhanced multi-frame CT, which is not read yet; convert it to single frames", file=name)
    pixels = _pixel_format(fields, dataset)
    offset, length = _pixel_place(dataset, stream, end, pixels, name)
    x, y, z = fields.floats("ImagePositionPatient", 3)
    row_spacing, column_spacing = fields.floats("PixelSpacing", 2)
    if not (row_spacing > 0 and column_spacing > 0):
        raise DataError("PixelSpacing is not positive; the file is damaged, copy it again", file=name)
    return Header(
        file=name,
        digest=digest,
        patient=fields.text("PatientID"),
        study=fields.text("StudyInstanceUID"),
        series=fields.text("SeriesInstanceUID"),
        instance=fields.text("SOPInstanceUID"),
        frame_of_reference=_text(dataset, "FrameOfReferenceUID"),
        kind=kind,
        number=None if dataset.get("InstanceNumber") is None else int(dataset.InstanceNumber),
        position=(x, y, z),
        orientation=fields.floats("ImageOrientationPatient", 6),
        spacing=(row_spacing, column_spacing),
        thickness=fields.optional_float("SliceThickness"),
        location=fields.optional_float("SliceLocation"),
        pixels=pixels,
        offset=offset,
        length=length,
    )


@dataclass(frozen=True)
class _Fields:
    """Required elements, each missing or malformed one a DataError that names it."""

    dataset: Dataset
    file: str

    def text(self, keyword: str) -> str:
        value = _text(self.dataset, keyword)
        if not value:
            raise DataError(f"has no {keyword}; a CT image must have one", file=self.file)
        return value

    def integer(self, keyword: str) -> int:
        value: Any = self.dataset.get(keyword)
        if value is None:
            raise DataError(f"has no {keyword}; a CT image must have one", file=self.file)
        return int(value)

    def floats(self, keyword: str, count: int) -> tuple[float, ...]:
        value: Any = self.dataset.get(keyword)
        if value is None or value == "":
            raise DataError(f"has no {keyword}; a CT image must have one", file=self.file)
        numbers = tuple(float(part) for part in ([value] if count == 1 else value))
        if len(numbers) != count or not all(math.isfinite(number) for number in numbers):
            raise DataError(
                f"{keyword} is not {count} finite numbers; the file is damaged, copy it again", file=self.file
            )
        return numbers

    def optional_float(self, keyword: str) -> float | None:
        value: Any = self.dataset.get(keyword)
        return None if value is None or value == "" else float(value)


def _pixel_format(fields: _Fields, dataset: Dataset) -> PixelFormat:
    name = fields.file
    samples, photometric = dataset.get("SamplesPerPixel", 1), _text(dataset, "PhotometricInterpretation")
    if samples != 1 or photometric != "MONOCHROME2":
        raise DataError("holds colour or inverted pixels, not CT numbers; leave it out of the folder", file=name)
    for keyword in ("RescaleSlope", "RescaleIntercept"):
        if dataset.get(keyword) is None or dataset.get(keyword) == "":
            raise DataError(f"has no {keyword}, so its HU are unknown; leave the series out", file=name)
    (slope,), (intercept,) = fields.floats("RescaleSlope", 1), fields.floats("RescaleIntercept", 1)
    unit = _text(dataset, "RescaleType")
    if unit not in ("", "HU", "US"):
        raise DataError("RescaleType is not HU; leave the series out", file=name)
    if slope <= 0:
        raise DataError("RescaleSlope is not positive; the file is damaged, copy it again", file=name)
    allocated, stored = fields.integer("BitsAllocated"), fields.integer("BitsStored")
    high = int(dataset.get("HighBit", stored - 1))
    representation = fields.integer("PixelRepresentation")
    if (
        allocated not in (8, 16, 32)
        or not 1 <= stored <= allocated
        or high != stored - 1
        or representation not in (0, 1)
    ):
        raise DataError(f"has {stored} of {allocated} bits a pixel, which is no CT format; copy it again", file=name)
    signed = representation == 1
    return PixelFormat(
        rows=fields.integer("Rows"),
        columns=fields.integer("Columns"),
        allocated=allocated,
        stored=stored,
        high_bit=high,
        signed=signed,
        slope=slope,
        intercept=intercept,
        syntax=str(dataset.file_meta.get("TransferSyntaxUID", "1.2.840.10008.1.2")),
        padding=_padding(dataset, signed, allocated),
    )


def _padding(dataset: Dataset, signed: bool, allocated: int) -> tuple[int, int] | None:
    value = dataset.get("PixelPaddingValue")
    if value is None or value == "":
        return None
    limit = dataset.get("PixelPaddingRangeLimit")
    ends = [_as_stored(int(value), signed, allocated)]
    if limit is not None and limit != "":
        ends.append(_as_stored(int(limit), signed, allocated))
    return min(ends), max(ends)


def _as_stored(value: int, signed: bool, allocated: int) -> int:
    """Some writers give a negative padding value as unsigned (63536 for -2000), others the reverse."""
    span = 1 << allocated
    value %= span
    return value - span if signed and value >= span // 2 else value


def _pixel_place(dataset: Dataset, stream: BinaryIO, start: int, pixels: PixelFormat, name: str) -> tuple[int, int]:
    """Offset and length of uncompressed pixel values; offset -1 for compressed ones."""
    expected = pixels.rows * pixels.columns * pixels.allocated // 8
    if not 1 <= pixels.rows <= 8192 or not 1 <= pixels.columns <= 8192:
        raise DataError("Rows or Columns is out of range; the file is damaged, copy it again", file=name)
    frames = dataset.get("NumberOfFrames")
    if frames not in (None, "", 1):
        raise DataError("holds several frames in a single-frame class; the file is damaged, copy it again", file=name)
    size = stream.seek(0, 2)
    stream.seek(start)
    if stream.read(4) not in (b"\xe0\x7f\x10\x00", b"\x7f\xe0\x00\x10"):
        raise DataError("is truncated: it has no pixel data; copy it again", file=name)
    if pixels.syntax not in _UNCOMPRESSED:
        return -1, size - start
    implicit, order = _UNCOMPRESSED[pixels.syntax]
    head = 8 if implicit else 12
    stream.seek(start)
    raw = stream.read(head)
    length = struct.unpack(order + "I", raw[-4:])[0] if len(raw) == head else 0
    if start + head + expected > size or length == 0:
        raise DataError("is truncated: its pixel data end early; copy it again", file=name)
    if length not in (expected, expected + expected % 2):
        raise DataError("has pixel data that do not fit its Rows and Columns; copy it again", file=name)
    return start + head, expected
