"""Open DICOM data sets in whatever encoding: what pydicom reads exactly is read, and nothing unpacks without bound."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import pydicom
from pydicom.dataset import Dataset, FileDataset
from pydicom.filereader import read_dataset, read_file_meta_info
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from pytest_medgan.ct.bounded import BoundedFile
from pytest_medgan.errors import DataError

_DEFLATED = str(DeflatedExplicitVRLittleEndian).encode()
_LARGEST = 1 << 28  # bytes of an inflated data set; a CT slice of 8192x8192 has half of that
_PIXEL_DATA = 0x7FE00010


def open_dataset(path: Path, stream: BoundedFile, tags: Sequence[int] | None, name: str) -> FileDataset:
    """Read a data set up to its pixel data.

    Args:
        path: The file.
        stream: The same file, open at its start; left where the pixel data begin, unless the data set is deflated.
        tags: The elements to keep; None keeps all, and the pixel data of a deflated data set.
        name: What messages call the file.

    Raises:
        DataError: A deflated data set is larger than any slice.
        Exception: pydicom cannot read it.
    """
    if _is_deflated(stream):
        return _inflate(path, tags, name)
    if tags is None:
        return pydicom.dcmread(stream, force=True)
    return pydicom.dcmread(stream, stop_before_pixels=True, specific_tags=list(tags), force=True)


def transfer_syntax(dataset: Dataset) -> str:
    """Return the transfer syntax; where a file without preamble names none, the one pydicom found it to be in."""
    meta = getattr(dataset, "file_meta", None)
    named = str(meta.get("TransferSyntaxUID", "") or "").strip(" \0") if meta else ""
    if named:
        return named
    implicit, little = dataset.original_encoding
    if implicit is False:
        return str(ExplicitVRLittleEndian if little else ExplicitVRBigEndian)
    return str(ImplicitVRLittleEndian)


def dataset_start(stream: BinaryIO) -> int:
    """Return where the data set begins: behind the file meta information, which names the software that wrote it."""
    stream.seek(128)
    head = stream.read(16)
    if len(head) == 16 and head[:4] == b"DICM" and head[4:12] == b"\x02\0\0\0UL\x04\0":
        return 144 + int(struct.unpack("<I", head[12:16])[0])
    return 0


def _is_deflated(stream: BinaryIO) -> bool:
    """Whether the file meta information names the deflated transfer syntax; the stream ends at its start."""
    head = stream.read(1024)
    stream.seek(0)
    return _DEFLATED in head


def _inflate(path: Path, tags: Sequence[int] | None, name: str) -> FileDataset:
    """Read a deflated data set from memory, after a look at its size."""
    meta = read_file_meta_info(path)
    with path.open("rb") as stream:
        stream.seek(dataset_start(stream))
        inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        plain = inflater.decompress(stream.read(), _LARGEST)
    if not inflater.eof and not inflater.unconsumed_tail:
        raise DataError("A deflated DICOM file is cut off. Copy it again.", file=name)
    if not inflater.eof:
        raise DataError("A deflated DICOM file unpacks to more than a slice can hold. Leave it out.", file=name)
    keep = None if tags is None else [*tags, _PIXEL_DATA]
    dataset = read_dataset(io.BytesIO(plain), is_implicit_VR=False, is_little_endian=True, specific_tags=keep)
    whole = FileDataset(str(path), dataset, file_meta=meta, is_implicit_VR=False, is_little_endian=True)
    whole.set_original_encoding(False, True, dataset.original_character_set)
    return whole
