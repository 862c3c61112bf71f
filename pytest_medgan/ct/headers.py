"""The header of one DICOM file: what the series, the geometry and the decoding need, and nothing else."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import pydicom
from pydicom.dataset import Dataset
from pydicom.tag import Tag
from pydicom.uid import UID

from pytest_medgan.ct.bounded import BoundedFile
from pytest_medgan.ct.enhanced import GROUP_SEQUENCES, frame_headers, lift_first_frame
from pytest_medgan.ct.files import content_digest
from pytest_medgan.ct.quiet import quiet_pydicom
from pytest_medgan.ct.slices import Header, PixelFormat, Skipped, number_list
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
_DIRECTORY = "1.2.840.10008.1.3.10"
_SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
_KEYWORDS = (
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
    "LossyImageCompression",
    *GROUP_SEQUENCES,
)
_TAGS = [Tag(keyword) for keyword in _KEYWORDS]  # looked up here, once, rather than for every file
_UNCOMPRESSED = {
    "1.2.840.10008.1.2": (True, "<"),  # Implicit VR Little Endian
    "1.2.840.10008.1.2.1": (False, "<"),  # Explicit VR Little Endian
    "1.2.840.10008.1.2.2": (False, ">"),  # Explicit VR Big Endian
}


def read_headers(root: Path, name: str) -> list[Header | Skipped]:
    """One DICOM file's header: one for a single slice or a skipped file, one a frame for an enhanced CT.

    Raises DataError where the file is truncated, no DICOM, or lacks what a CT slice must have.
    """
    path = root / name
    try:
        with BoundedFile(path) as stream, quiet_pydicom():
            dataset = pydicom.dcmread(stream, stop_before_pixels=True, specific_tags=_TAGS, force=True)
            end = stream.tell()  # pydicom stops in front of the pixel data
            skip = _skip(dataset, name)
            digest = content_digest(path, skip=_dataset_start(stream))
            if skip is not None:
                patient, series, instance = (
                    _text(dataset, key) for key in ("PatientID", "SeriesInstanceUID", "SOPInstanceUID")
                )
                return [Skipped(name, digest, skip, patient, series, instance)]
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


def _skip(dataset: Dataset, name: str) -> str | None:
    """Why this file is no slice of a CT volume; None where it is one.

    Raises DataError where the file does not say what it is, which every sound one does.
    """
    outer = str(dataset.file_meta.get("MediaStorageSOPClassUID") or "").strip(" \0")
    uid = _text(dataset, "SOPClassUID") or outer
    if outer and outer != uid:
        raise DataError("names one class inside and another in its preamble; copy it again, or remove it", file=name)
    if uid == _DIRECTORY:
        return "directory"
    modality = _text(dataset, "Modality")
    if not uid or not modality or not _text(dataset, "SeriesInstanceUID"):
        raise DataError("is truncated or damaged: it does not say what it is; copy it again, or remove it", file=name)
    if uid in STRUCTURE_CLASSES:
        return STRUCTURE_CLASSES[uid]
    if modality in STRUCTURE_CLASSES.values():
        raise DataError(f"says {modality} but is of another class; copy it again, or remove it", file=name)
    if uid.startswith(_SECONDARY_CAPTURE):
        return "secondary capture"
    # a modality is a code of capital letters; anything else is not repeated, since it may be free text
    coded = f"modality {modality}" if modality.isalpha() and modality.isupper() else "no image"
    if modality != "CT":
        return coded
    if uid not in CT_CLASSES:
        if UID(uid).name == uid:  # private or damaged; a CT slice must not vanish among what is skipped
            raise DataError("says CT but is of no known class; copy it again, or remove it", file=name)
        return "no image"
    kinds = [str(part).upper() for part in dataset.get("ImageType") or []]
    return "localizer" if "LOCALIZER" in kinds else None


def _ct_header(dataset: Dataset, stream: BinaryIO, end: int, name: str, digest: str) -> list[Header | Skipped]:
    multiframe = CT_CLASSES[_text(dataset, "SOPClassUID")] != "CT"
    if multiframe:
        lift_first_frame(dataset)
    fields = _Fields(dataset, name)
    pixels = _pixel_format(fields, dataset)
    offset, length = _pixel_place(dataset, stream, end, pixels, name)
    x, y, z = fields.floats("ImagePositionPatient", 3)
    row_spacing, column_spacing = fields.floats("PixelSpacing", 2)
    if not (row_spacing > 0 and column_spacing > 0):
        raise DataError("PixelSpacing is not positive; the file is damaged, copy it again", file=name)
    header = Header(
        file=name,
        digest=digest,
        patient=fields.text("PatientID"),
        study=fields.text("StudyInstanceUID"),
        series=fields.text("SeriesInstanceUID"),
        instance=fields.text("SOPInstanceUID"),
        frame_of_reference=_text(dataset, "FrameOfReferenceUID"),
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
    return [*frame_headers(dataset, header)] if multiframe else [header]


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
        return number_list(self.dataset.get(keyword), count, keyword, self.file)

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
        lossy=_text(dataset, "LossyImageCompression") == "01",
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
    frames = int(dataset.get("NumberOfFrames") or 1)
    if frames != 1 and CT_CLASSES[_text(dataset, "SOPClassUID")] == "CT":
        raise DataError("holds several frames in a single-frame class; the file is damaged, copy it again", file=name)
    whole = expected * frames
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
    if frames < 1 or start + head + whole > size or length == 0:
        raise DataError("is truncated: its pixel data end early; copy it again", file=name)
    if length not in (whole, whole + whole % 2):
        raise DataError("has pixel data that do not fit its Rows and Columns; copy it again", file=name)
    return start + head, expected
