"""Stored values of one slice: the rows a crop needs, or a decoder's output, as Hounsfield units."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pytest_medgan.ct.headers import Header, PixelFormat
from pytest_medgan.errors import DataError
from pytest_medgan.records import Float64

_BIG_ENDIAN = "1.2.840.10008.1.2.2"


def read_hounsfield(root: Path, header: Header, rows: slice | None = None) -> Float64:
    """HU of one slice, float64 [H,W], or of some of its rows; NaN where a padding value stands.

    Raises DataError where the pixel data cannot be decoded, or hold bits beyond BitsStored.
    """
    pixels = header.pixels
    first, last, _ = (rows or slice(None)).indices(pixels.rows)
    values = _read_rows(root, header, first, last) if header.offset >= 0 else _decode(root, header)[first:last]
    _check_bits(values, pixels, header.file)
    hounsfield = values.astype(np.float64) * pixels.slope + pixels.intercept
    if pixels.padding is not None:
        hounsfield[(values >= pixels.padding[0]) & (values <= pixels.padding[1])] = np.nan
    return hounsfield


def _read_rows(root: Path, header: Header, first: int, last: int) -> npt.NDArray[np.integer]:
    pixels = header.pixels
    order = ">" if pixels.syntax == _BIG_ENDIAN else "<"
    kind = np.dtype(f"{order}{'i' if pixels.signed else 'u'}{pixels.allocated // 8}")
    count = max(last - first, 0) * pixels.columns
    try:
        with (root / header.file).open("rb") as stream:
            stream.seek(header.offset + first * pixels.columns * kind.itemsize)
            values = np.frombuffer(stream.read(count * kind.itemsize), kind)
    except OSError as error:
        raise DataError(f"cannot be read ({error.strerror}); copy it again", file=header.file) from error
    if values.size != count:
        raise DataError("is truncated: its pixel data end early; copy it again", file=header.file)
    return values.reshape(-1, pixels.columns)


def _decode(root: Path, header: Header) -> npt.NDArray[np.integer]:
    import pydicom

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            dataset = pydicom.dcmread(root / header.file, force=True)
            values: npt.NDArray[np.integer] = dataset.pixel_array
    except Exception as error:  # decoders raise anything at all on damaged input
        name = header.pixels.syntax
        if isinstance(error, (RuntimeError, NotImplementedError)) and "plugin" in str(error).lower():
            remedy = "install pytest-medgan[codecs]"
        else:
            remedy = "copy it again, or install pytest-medgan[codecs] if it is compressed"
        raise DataError(
            f"pixel data of transfer syntax {name} cannot be decoded; {remedy}", file=header.file
        ) from error
    if values.shape != (header.pixels.rows, header.pixels.columns) or values.dtype.kind not in "iu":
        raise DataError("decodes to another matrix than its Rows and Columns; copy it again", file=header.file)
    return values


def _check_bits(values: npt.NDArray[np.integer], pixels: PixelFormat, name: str) -> None:
    """Values must fit BitsStored: a flipped high bit would otherwise pass for a bright pixel."""
    if pixels.stored == pixels.allocated or values.size == 0:
        return
    low, high = (
        (-(1 << (pixels.stored - 1)), (1 << (pixels.stored - 1)) - 1)
        if pixels.signed
        else (0, (1 << pixels.stored) - 1)
    )
    if int(values.min()) < low or int(values.max()) > high:
        raise DataError(f"has pixel values beyond its {pixels.stored} bits; copy it again", file=name)
