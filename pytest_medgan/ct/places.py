"""Where the pixel values of a CT file lie.

Values that are stored as they are can be read row by row from their place in the file. All others are left to
pydicom's decoders; so is a file whose layout looks wrong here, and only where pydicom cannot read it either it is
damaged.
"""

from __future__ import annotations

import struct
from typing import Any

from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian

from pytest_medgan.ct.bounded import BoundedFile
from pytest_medgan.ct.encodings import open_dataset
from pytest_medgan.ct.slices import PixelFormat
from pytest_medgan.errors import DataError

DECODE = -1  # the offset of pixel values that a decoder must find
_NATIVE = {
    "1.2.840.10008.1.2": (True, "<"),  # Implicit VR Little Endian
    "1.2.840.10008.1.2.1": (False, "<"),  # Explicit VR Little Endian
    "1.2.840.10008.1.2.2": (False, ">"),  # Explicit VR Big Endian
}
_TAG = (b"\xe0\x7f\x10\x00", b"\x7f\xe0\x00\x10")


def find_pixels(stream: BoundedFile, start: int, pixels: PixelFormat, frames: int, name: str) -> tuple[int, int]:
    """Find the pixel values of a file.

    Args:
        stream: The file.
        start: Where its pixel data element begins.
        pixels: Their format.
        frames: How many there are.
        name: What messages call the file.

    Returns:
        The offset of the first value, or DECODE, and the bytes of one frame.

    Raises:
        DataError: The file has no pixel data, or they end early.
    """
    length = pixels.rows * pixels.columns * pixels.allocated // 8
    if pixels.syntax == str(DeflatedExplicitVRLittleEndian):
        return DECODE, length
    size = stream.seek(0, 2)
    stream.seek(start)
    if stream.read(4) not in _TAG:
        raise DataError("A CT slice is cut off: it has no pixel data. Copy the file again.", file=name)
    if pixels.syntax not in _NATIVE:
        return DECODE, length
    implicit, order = _NATIVE[pixels.syntax]
    head = 8 if implicit else 12
    stream.seek(start)
    raw = stream.read(head)
    stated = struct.unpack(order + "I", raw[-4:])[0] if len(raw) == head else 0
    whole = length * frames
    if frames >= 1 and stated in (whole, whole + whole % 2) and start + head + whole <= size:
        return start + head, length
    if not _decodes(stream, pixels):
        raise DataError(
            "The pixel data of a CT slice end early or do not fit its Rows and Columns. Copy the file again.", file=name
        )
    return DECODE, length


def _decodes(stream: BoundedFile, pixels: PixelFormat) -> bool:
    """Whether pydicom itself reads the pixel data."""
    stream.seek(0)
    try:
        dataset: Any = open_dataset(stream.path, stream, None, "")
        values = get_decoder(UID(pixels.syntax)).as_array(dataset, index=0)[0]
    except Exception:  # decoders raise anything at all on damaged input
        return False
    return values.shape == (pixels.rows, pixels.columns)
