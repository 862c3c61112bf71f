"""Stored values of one slice: the rows a crop needs, or a decoder's output, as Hounsfield units."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import UID, JPEG2000TransferSyntaxes
from scipy.ndimage import binary_opening, label

from pytest_medgan.ct.bounded import BoundedFile
from pytest_medgan.ct.encodings import open_dataset
from pytest_medgan.ct.quiet import quiet_pydicom
from pytest_medgan.ct.slices import TISSUE, Header, PixelFormat
from pytest_medgan.errors import DataError
from pytest_medgan.records import Bool, Float64, Int64

_BIG_ENDIAN = "1.2.840.10008.1.2.2"
_AREA = 5  # pixels a side of a square that lies in a wide area of padding
_STRETCH = 0.25  # share of a side of the image that an area of padding covers, where it is narrow
_METAL, _VOID = 3500.0, -1500.0  # HU beyond 12 bits on the usual scale of -1024 to 3071
# By preference: RLE by pydicom itself, JPEG 2000 by OpenJPEG, JPEG-LS by CharLS, the older JPEGs by GDCM. One order
# everywhere, since decoders of lossy images may differ by a grey level. pylibjpeg's own libjpeg is GPL and comes last.
_DECODERS = ("pydicom", "pyjpegls", "gdcm", "pylibjpeg")
_JPEG_2000 = ("pylibjpeg", "gdcm")


def read_hounsfield(root: Path, header: Header, rows: slice | None = None) -> Float64:
    """Return the HU of one slice.

    Args:
        root: The data root.
        header: The slice.
        rows: Which of its rows; None for all.

    Returns:
        Float64 [H,W], NaN where a padding value stands.

    Raises:
        DataError: The pixel data cannot be decoded, or hold values beyond BitsStored.
    """
    pixels = header.pixels
    if pixels.pads_tissue and rows is not None:
        return read_hounsfield(root, header)[rows]  # what is padding shows in the whole slice alone
    first, last, _ = (rows or slice(None)).indices(pixels.rows)
    values = _read_rows(root, header, first, last) if header.offset >= 0 else _decode(root, header)[first:last]
    values = _as_signed(values, pixels, header.file)
    hounsfield = values.astype(np.float64) * pixels.slope + pixels.intercept
    if pixels.padding is not None:
        padded = (values >= pixels.padding[0]) & (values <= pixels.padding[1])
        beyond = padded & ((hounsfield <= TISSUE[0]) | (hounsfield >= TISSUE[1]))
        hounsfield[_surround(padded) if pixels.pads_tissue else padded] = np.nan
        hounsfield[beyond] = np.nan
    _check_lone(hounsfield, header.file)
    return hounsfield


def _surround(padded: Bool) -> Bool:
    """Return those of the pixels that make up areas around the measured part of the image, bool [H,W].

    Such an area touches the edge of the image and is wide, or covers a stretch of that edge, or is one of four corners
    outside a round field of view. Pixels of the patient that happen to hold the padding value are single ones or lie
    inside.
    """
    areas, _ = label(padded, np.ones((3, 3)))
    edges = [areas[0], areas[-1], areas[:, 0], areas[:, -1]]
    wide = areas[binary_opening(padded, np.ones((_AREA, _AREA)))]
    found = [np.intersect1d(np.concatenate(edges), wide)]
    for edge in edges:
        stretch = np.ones(max(_AREA, math.ceil(_STRETCH * len(edge))))
        found.append(edge[binary_opening(edge > 0, stretch)])
    corners = areas[[0, 0, -1, -1], [0, -1, 0, -1]]
    if corners.all():
        found.append(corners)
    surround: Bool = np.isin(areas, np.concatenate(found))  # 0, the pixels that are not padded, is never among them
    return surround


def _check_lone(hounsfield: Float64, name: str) -> None:
    """Raise DataError for a lone pixel far brighter than metal or darker than a vacuum: it is a flipped bit.

    A scanner blurs every point over several pixels, so that real metal never stands alone.
    """
    extreme = np.flatnonzero((hounsfield > _METAL) | (hounsfield < _VOID))
    if not 1 <= len(extreme) <= 8:
        return
    for row, column in (divmod(place, hounsfield.shape[1]) for place in extreme.tolist()):
        patch = hounsfield[max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2]
        others = np.delete(patch.ravel(), min(row, 1) * patch.shape[1] + min(column, 1))
        if not ((others > _METAL / 2) | (others < _VOID)).any():
            raise DataError(
                "A CT slice has a single pixel whose value no scanner measures. Copy the file again.", file=name
            )


def _read_rows(root: Path, header: Header, first: int, last: int) -> npt.NDArray[np.integer]:
    """Return stored values from their place in the file."""
    pixels = header.pixels
    order = ">" if pixels.syntax == _BIG_ENDIAN else "<"
    kind = np.dtype(f"{order}{'i' if pixels.signed else 'u'}{pixels.allocated // 8}")
    count = max(last - first, 0) * pixels.columns
    try:
        with (root / header.file).open("rb") as stream:
            stream.seek(header.offset + first * pixels.columns * kind.itemsize)
            values = np.frombuffer(stream.read(count * kind.itemsize), kind)
    except OSError as error:
        raise DataError(
            f"A CT slice cannot be read ({error.strerror or 'no reason given'}). Grant read access or remove it.",
            file=header.file,
        ) from error
    if values.size != count:
        raise DataError("The pixel data of a CT slice end early. Copy the file again.", file=header.file)
    return values.reshape(-1, pixels.columns)


def _decode(root: Path, header: Header) -> npt.NDArray[np.integer]:
    """Return stored values by pydicom and the first decoder of our list that is installed."""
    syntax = UID(header.pixels.syntax)
    try:
        decoder = get_decoder(syntax)
    except NotImplementedError as error:
        raise DataError(
            "A CT slice has a transfer syntax that pydicom does not decode. Convert its series.", file=header.file
        ) from error
    plugin = ""
    if not decoder.is_native:
        order = _JPEG_2000 if syntax in JPEG2000TransferSyntaxes else _DECODERS
        plugin = next((name for name in order if name in decoder.available_plugins), "")
        if not plugin:
            raise DataError(
                f"A CT slice is compressed as {syntax.name}. Install pytest-medgan[codecs].", file=header.file
            )
    path = root / header.file
    try:
        with BoundedFile(path) as stream, quiet_pydicom():
            dataset = open_dataset(path, stream, None, header.file)
            values: npt.NDArray[np.integer] = decoder.as_array(dataset, index=header.frame, decoding_plugin=plugin)[0]
    except Exception as error:  # decoders raise anything at all on damaged input
        raise DataError("The pixel data of a CT slice are damaged. Copy the file again.", file=header.file) from error
    if values.shape != (header.pixels.rows, header.pixels.columns) or values.dtype.kind not in "iu":
        raise DataError(
            "A CT slice decodes to another matrix than its Rows and Columns. Copy the file again.", file=header.file
        )
    return values


def _as_signed(values: npt.NDArray[np.integer], pixels: PixelFormat, name: str) -> npt.NDArray[np.integer]:
    """Return values of BitsStored bits.

    PS3.5 8.1.1 does not fix the unused bits. Zeros are accepted, copies of the sign of signed values, and overlays. Any
    other content is refused, since a flipped high bit would pass for a bright pixel.

    Raises:
        DataError: Values lie beyond BitsStored.
    """
    if pixels.stored == pixels.allocated or values.size == 0:
        return values
    end = 1 << pixels.stored
    if pixels.overlays:
        # a sign's copies would lack the overlays' bits, so of signed values all unused bits are cleared
        values = values.astype(np.int64) & (end - 1 if pixels.signed else ~pixels.overlays)
    lowest, highest = int(values.min()), int(values.max())
    half = end >> 1
    if pixels.signed and lowest >= 0 and half <= highest < end:
        plain = values.astype(np.int64)
        extended = np.where(plain >= half, plain - end, plain)
        if _roughness(extended) <= _roughness(plain):
            return extended
    low, high = (-half, half - 1) if pixels.signed else (0, end - 1)
    if lowest < low or highest > high:
        raise DataError(f"A CT slice has pixel values beyond its {pixels.stored} bits. Copy the file again.", file=name)
    return values


def _roughness(values: Int64) -> int:
    """Return the sum of the steps along rows: it grows where values were taken as signed that are not."""
    return int(np.abs(np.diff(values, axis=1)).sum())
