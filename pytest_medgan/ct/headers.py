"""The header of one DICOM file: what the series, the geometry and the decoding need, and nothing else.

A file that cannot be used is described, not refused: whether it matters is decided where its series is known.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset
from pydicom.tag import Tag
from pydicom.uid import UID

from pytest_medgan.ct.bounded import BoundedFile
from pytest_medgan.ct.encodings import dataset_start, open_dataset, transfer_syntax
from pytest_medgan.ct.enhanced import GROUP_SEQUENCES, frame_headers, lift_first_slice
from pytest_medgan.ct.places import find_pixels
from pytest_medgan.ct.quiet import quiet_pydicom
from pytest_medgan.ct.slices import (
    MARKS,
    Cause,
    Faulty,
    Header,
    NoHounsfieldError,
    PixelFormat,
    Skipped,
    check_rescale,
    check_spacing,
    is_processed,
    number_list,
)
from pytest_medgan.ct.stored_bits import OVERLAY_TAGS, overlay_bits, padding_range
from pytest_medgan.errors import DataError
from pytest_medgan.ground.digests import digest_file

CT_CLASSES = {
    "1.2.840.10008.5.1.4.1.1.2": "CT",
    "1.2.840.10008.5.1.4.1.1.2.1": "enhanced CT",
    "1.2.840.10008.5.1.4.1.1.2.2": "enhanced CT",  # legacy converted
}
STRUCTURE_CLASSES = {
    "1.2.840.10008.5.1.4.1.1.481.3": "RTSTRUCT",
    "1.2.840.10008.5.1.4.1.1.66.4": "SEG",
    "1.2.840.10008.5.1.4.1.1.66.7": "SEG",  # label map (Supplement 243)
}
_DIRECTORY = "1.2.840.10008.1.3.10"
_SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
_KEYWORDS = (
    "SpecificCharacterSet",
    "ImageType",
    "SOPClassUID",
    "SOPInstanceUID",
    "SyntheticData",
    "Modality",
    "PatientID",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "FrameOfReferenceUID",
    "ImagePositionPatient",
    "ImageOrientationPatient",
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
    "VolumeBasedCalculationTechnique",
    *(mark for mark in MARKS if mark != "ImageType"),  # named above
    *GROUP_SEQUENCES,
)
_TAGS = [*map(Tag, _KEYWORDS), *OVERLAY_TAGS]  # looked up here, once, rather than for every file


def read_headers(root: Path, name: str, *, allow_synthetic: bool = False) -> list[Header | Skipped | Faulty]:
    """Read one DICOM file's header.

    Args:
        root: The data root.
        name: The file, relative to it.
        allow_synthetic: Whether a file that says it holds synthetic data is read, as generated volumes are.

    Returns:
        One entry for a single slice, a skipped or a faulty file; one per frame for an enhanced CT.

    Raises:
        DataError: The file cannot be opened.
    """
    path = root / name
    identity = ("", "")
    try:
        with BoundedFile(path) as stream, quiet_pydicom():
            dataset = open_dataset(path, stream, _TAGS, name)
            end = stream.tell()  # pydicom stops in front of the pixel data
            if not allow_synthetic and text_of(dataset, "SyntheticData").upper() == "YES":
                return [_synthetic(name)]
            skip = _skip(dataset, name)
            digest = digest_file(path, skip=dataset_start(stream))
            identity = text_of(dataset, "PatientID"), text_of(dataset, "SeriesInstanceUID")
            if skip is not None:
                return [Skipped(name, digest, skip, *identity)]
            return [*_ct_header(dataset, stream, end, name, digest)]
    except NoHounsfieldError as error:
        return [Faulty(name, str(error), Cause.NO_HOUNSFIELD, *identity)]
    except DataError as error:
        return [Faulty(name, str(error), Cause.DAMAGED, *identity)]
    except OSError as error:
        raise DataError(
            f"A DICOM file cannot be read ({error.strerror or 'no reason given'}). Grant read access or remove it.",
            file=name,
        ) from error
    except Exception:  # a damaged file can make pydicom raise anything at all
        return [Faulty(name, "A DICOM file is damaged. Copy it again.", Cause.DAMAGED, *identity)]


def _synthetic(name: str) -> Faulty:
    """Return the record of a generated image among real ones."""
    return Faulty(
        name,
        "A DICOM file says that it holds synthetic data (0008,001C), so it is not a real image. Move generated images "
        "out of the folder.",
        Cause.SYNTHETIC,
    )


def text_of(dataset: Dataset, keyword: str) -> str:
    """Return an element as text without padding; "" if it is missing."""
    value = dataset.get(keyword)
    return "" if value is None else str(value).strip(" \0")


def _skip(dataset: Dataset, name: str) -> str | None:
    """Return why this file is not a slice of a CT volume; None if it is one.

    Raises DataError if the file does not state its class, as every intact file does.
    """
    meta = getattr(dataset, "file_meta", None)
    outer = str(meta.get("MediaStorageSOPClassUID") or "").strip(" \0") if meta else ""
    uid = text_of(dataset, "SOPClassUID") or outer
    if outer and outer != uid:
        raise DataError(
            "A DICOM file names one SOP class in its data set and another in its file meta header. Copy it "
            "again, or remove it.",
            file=name,
        )
    if uid == _DIRECTORY:
        return "directory"
    modality = text_of(dataset, "Modality")
    if not uid or not modality or not text_of(dataset, "SeriesInstanceUID"):
        raise DataError("A DICOM file is cut off: it does not say what it is. Copy it again, or remove it.", file=name)
    if uid in STRUCTURE_CLASSES:
        return STRUCTURE_CLASSES[uid]
    if uid.startswith(_SECONDARY_CAPTURE):
        return "secondary capture"
    # a modality is a code of capital letters; anything else is not repeated, since it may be free text
    coded = f"modality {modality}" if modality.isalpha() and modality.isupper() else "no image"
    modality = modality.upper()  # as some archives write it
    # private or damaged; a CT slice or a contour must not vanish among what is skipped
    if modality in ("CT", *STRUCTURE_CLASSES.values()) and uid not in CT_CLASSES and UID(uid).name == uid:
        raise DataError(
            f"A DICOM file says {modality} but has no known SOP class. Copy it again, or remove it.", file=name
        )
    if modality != "CT":
        return coded
    if uid not in CT_CLASSES:
        return "no image"
    return "localizer" if "LOCALIZER" in _image_type(dataset) else None


def _image_type(dataset: Dataset) -> set[str]:
    """Return the words of ImageType in capital letters, such as ORIGINAL, PRIMARY, AXIAL, CT_SOM5 and MIP."""
    return {word for part in dataset.get("ImageType") or [] for word in str(part).upper().split()}


def _ct_header(dataset: Dataset, stream: BoundedFile, end: int, name: str, digest: str) -> list[Header | Skipped]:
    """Return the slices of a CT file. Raises DataError where it lacks what a slice must have."""
    multiframe = CT_CLASSES[text_of(dataset, "SOPClassUID")] != "CT"
    if multiframe and not lift_first_slice(dataset):
        identity = text_of(dataset, "PatientID"), text_of(dataset, "SeriesInstanceUID")
        return [Skipped(name, digest, "localizer", *identity)]
    fields = _Fields(dataset, name)
    pixels = _pixel_format(fields)
    frames = fields.frames()
    if frames != 1 and not multiframe:
        raise DataError("A CT slice of a single-frame class holds several frames. Copy the file again.", file=name)
    offset, length = find_pixels(stream, end, pixels, frames, name)
    x, y, z = fields.floats("ImagePositionPatient", 3)
    row_spacing, column_spacing = fields.floats("PixelSpacing", 2)
    check_spacing((row_spacing, column_spacing), name)
    header = Header(
        file=name,
        digest=digest,
        patient=text_of(dataset, "PatientID"),
        study=fields.text("StudyInstanceUID"),
        series=fields.text("SeriesInstanceUID"),
        instance=fields.text("SOPInstanceUID"),
        frame_of_reference=text_of(dataset, "FrameOfReferenceUID"),
        position=(x, y, z),
        orientation=fields.floats("ImageOrientationPatient", 6),
        spacing=(row_spacing, column_spacing),
        thickness=fields.optional_float("SliceThickness"),
        pixels=pixels,
        offset=offset,
        length=length,
        processed=is_processed(
            [*(dataset.get("ImageType") or []), dataset.get("VolumeBasedCalculationTechnique") or ""]
        ),
        marks=tuple(text_of(dataset, keyword) for keyword in MARKS),
    )
    return [*frame_headers(dataset, header)] if multiframe else [header]


@dataclass(frozen=True)
class _Fields:
    """Required elements, each missing or malformed one a DataError that names it."""

    dataset: Dataset
    file: str

    def text(self, keyword: str) -> str:
        """Return a required element as text."""
        value = text_of(self.dataset, keyword)
        if not value:
            raise self._missing(keyword)
        return value

    def integer(self, keyword: str, default: int | None = None) -> int:
        """Return a required whole number, or `default` if it is missing."""
        value: Any = self.dataset.get(keyword)
        if value is None or value == "":
            if default is None:
                raise self._missing(keyword)
            return default
        return int(value)

    def floats(self, keyword: str, count: int) -> tuple[float, ...]:
        """Return a required element's finite numbers."""
        return number_list(self.dataset.get(keyword), count, keyword, self.file)

    def optional_float(self, keyword: str) -> float | None:
        """Return a number that plays no part in the images; None where it is missing or malformed."""
        try:
            value = float(self.dataset.get(keyword))
        except (TypeError, ValueError):
            return None
        return value if math.isfinite(value) else None

    def frames(self) -> int:
        """Return how many frames the file says it holds."""
        return self.integer("NumberOfFrames", default=1)

    def _missing(self, keyword: str) -> DataError:
        """Return the error for an element that is not there."""
        return DataError(f"A CT slice has no {keyword}. Restore the tag, or leave its series out.", file=self.file)


def _pixel_format(fields: _Fields) -> PixelFormat:
    """Return how pixels lie in the file and what they mean."""
    name, dataset = fields.file, fields.dataset
    photometric = text_of(dataset, "PhotometricInterpretation").upper()
    # MONOCHROME1 says how to display the values, not what they are (PS3.3 C.8.2.1.1.2)
    if fields.integer("SamplesPerPixel", default=1) != 1 or photometric not in ("MONOCHROME1", "MONOCHROME2"):
        raise NoHounsfieldError("A CT slice holds colour and not Hounsfield units. Leave its series out.", file=name)
    for keyword in ("RescaleSlope", "RescaleIntercept"):
        if dataset.get(keyword) is None or dataset.get(keyword) == "":
            raise NoHounsfieldError(
                f"A CT slice has no {keyword}, so its HU are unknown. Restore the tag, or leave its series out.",
                file=name,
            )
    (slope,), (intercept,) = fields.floats("RescaleSlope", 1), fields.floats("RescaleIntercept", 1)
    check_rescale(slope, text_of(dataset, "RescaleType"), name)
    allocated, stored = fields.integer("BitsAllocated"), fields.integer("BitsStored")
    high, signed = fields.integer("HighBit", default=stored - 1), fields.integer("PixelRepresentation")
    if allocated not in (8, 16, 32) or not 1 <= stored <= allocated or high != stored - 1 or signed not in (0, 1):
        raise DataError(
            f"A CT slice has {stored} of {allocated} bits per pixel, the highest of them {high}, which no CT has. Copy "
            "the file again.",
            file=name,
        )
    rows, columns = fields.integer("Rows"), fields.integer("Columns")
    if not 1 <= rows <= 8192 or not 1 <= columns <= 8192:
        raise DataError("The Rows or Columns of a CT slice are out of range. Copy the file again.", file=name)
    return PixelFormat(
        rows=rows,
        columns=columns,
        allocated=allocated,
        stored=stored,
        signed=signed == 1,
        slope=slope,
        intercept=intercept,
        syntax=transfer_syntax(dataset),
        padding=padding_range(dataset, signed=signed == 1, allocated=allocated, stored=stored),
        lossy=text_of(dataset, "LossyImageCompression") == "01",
        overlays=overlay_bits(dataset, allocated, stored),
    )
