"""The content of a volume file of any format, and limits on how much is unpacked."""

from __future__ import annotations

import bz2
import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy.typing as npt

from pytest_medgan.errors import DataError
from pytest_medgan.records import Float64

_ALWAYS = 1 << 30  # bytes that any file may unpack to
_RATIO = 100  # beyond that, how many times larger than the file a volume may be; CT shrinks to a third


@dataclass(frozen=True, eq=False)
class Volume:
    """Stored values and what they mean."""

    values: npt.NDArray[Any]  # [i,j,k], as stored
    slope: float  # to HU
    intercept: float
    axes: Float64  # [3,3] mm, column a is a step along array axis a in left, back, head
    guessed: bool = False  # whether the file has no orientation, so that one is assumed
    disputed: bool = False  # whether the file states another orientation or spacing too


def check_size(shape: Sequence[int], itemsize: int, path: Path, name: str, *, compressed: bool) -> int:
    """Return the bytes that a volume holds.

    Args:
        shape: As its header says.
        itemsize: Bytes of one value.
        path: The file with the values.
        name: What messages call it.
        compressed: Whether the values are compressed.

    Raises:
        DataError: The file cannot hold so many, or unpacks to far more than its own size.
    """
    needed = math.prod(int(side) for side in shape) * itemsize
    size = path.stat().st_size
    if needed < 1 or min(shape) < 1:
        raise DataError("A volume has no voxels. Leave it out.", file=name)
    if not compressed and needed > size:
        raise DataError("A volume is cut off: its header states more than the file holds. Copy it again.", file=name)
    if compressed and needed > max(_ALWAYS, _RATIO * size):
        raise DataError(
            f"A volume unpacks to over {_RATIO} times its size. If that is meant, store it uncompressed.",
            file=name,
        )
    return needed


def unpack(data: bytes, needed: int, kind: str, name: str) -> bytes:
    """Return the bytes of a compressed volume, no more than it should hold.

    Args:
        data: What the file holds.
        needed: How many bytes the volume has.
        kind: "gzip" (or zlib) or "bzip2".
        name: What messages call the file.

    Raises:
        DataError: The data are damaged or end early.
    """
    try:
        if kind == "bzip2":
            plain = bz2.BZ2Decompressor().decompress(data, needed)
        else:
            plain = zlib.decompressobj(zlib.MAX_WBITS | 32).decompress(data, needed)
    except (OSError, zlib.error, ValueError) as error:
        raise damaged_error(name) from error
    if len(plain) < needed:
        raise DataError("A volume is cut off: its data end early. Copy it again.", file=name)
    return plain


def damaged_error(name: str) -> DataError:
    """Return the error for a volume that cannot be read."""
    return DataError("A volume is damaged. Copy it again, or leave it out.", file=name)


def data_file(path: Path, named: str, name: str) -> Path:
    """Return the file with the values that a header names.

    Raises:
        DataError: It is not in the folder of its header.
    """
    plain = plain_name(named)
    if plain is None:
        raise DataError(
            "A volume's header names a data file in another folder. Move it into the folder of the header.", file=name
        )
    found = path.with_name(plain)
    if not found.is_file():
        raise DataError("A volume's header names a data file that is not there. Copy it again.", file=name)
    return found


def plain_name(named: str) -> str | None:
    """Return the name of a file in the folder of its header, "x.raw" of "./x.raw"; None where it lies elsewhere."""
    plain = named.removeprefix("./")
    return plain if Path(plain).name == plain and plain not in ("", ".", "..") else None
