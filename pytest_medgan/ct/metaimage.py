"""MetaImage volumes (.mha, or .mhd with its .raw or .zraw), as ITK writes them and LUNA16 publishes its scans."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pytest_medgan.ct.volume_file import Volume, check_size, damaged_error, data_file, unpack
from pytest_medgan.errors import DataError
from pytest_medgan.records import Float64

_TYPES = {
    "MET_CHAR": "i1",
    "MET_UCHAR": "u1",
    "MET_SHORT": "i2",
    "MET_USHORT": "u2",
    "MET_INT": "i4",
    "MET_UINT": "u4",
    "MET_LONG": "i4",
    "MET_FLOAT": "f4",
    "MET_DOUBLE": "f8",
}
_LONGEST = 1 << 16  # bytes of a header
LOCAL = "LOCAL"  # in place of a data file: the values follow the header
_MATRIX = ("TransformMatrix", "Rotation", "Orientation")
_SPACING = ("ElementSpacing", "ElementSize")  # mm along each array axis


def read_metaimage(path: Path, name: str) -> Volume:
    """Read a MetaImage file. Its world axes run to the left, back and head, as in DICOM.

    Raises:
        DataError: It is damaged, not one volume of numbers, or its values lie in another folder.
    """
    fields, start = read_fields(path, name)
    sizes = [int(part) for part in fields.get("DimSize", "").split()]
    kind = _TYPES.get(fields.get("ElementType", ""))
    if len(sizes) != 3 or int(fields.get("ElementNumberOfChannels", "1")) != 1 or kind is None:
        raise DataError("A MetaImage file is not one volume of numbers. Leave it out, or convert it.", file=name)
    if not _says_yes(fields, "BinaryData", default=True):
        raise DataError("A MetaImage file holds its values as text. Save it as binary.", file=name)
    big = _says_yes(fields, "BinaryDataByteOrderMSB") or _says_yes(fields, "ElementByteOrderMSB")
    dtype = np.dtype(kind if kind.endswith("1") else (">" if big else "<") + kind)
    compressed = _says_yes(fields, "CompressedData")
    named = fields["ElementDataFile"]
    place = path if named == LOCAL else data_file(path, named, name)
    needed = check_size(sizes, dtype.itemsize, place, name, compressed=compressed)
    with place.open("rb") as stream:
        skip = int(fields.get("HeaderSize", "0")) if named != LOCAL else start
        if skip < 0:  # the values end the file
            stream.seek(-needed, 2)
        else:
            stream.seek(skip)
        data = stream.read() if compressed else stream.read(needed)
    plain = unpack(data, needed, "gzip", name) if compressed else data
    if len(plain) < needed:
        raise damaged_error(name)
    values = np.frombuffer(plain[:needed], dtype).reshape(sizes, order="F")
    axes, guessed = _axes(fields, name)
    return Volume(values, 1.0, 0.0, axes, guessed)


def read_fields(path: Path, name: str) -> tuple[dict[str, str], int]:
    """Return a header's fields, and where it ends.

    Raises:
        DataError: The file is not a header with one data file.
    """
    fields: dict[str, str] = {}
    with path.open("rb") as stream:
        while stream.tell() < _LONGEST and (line := stream.readline(_LONGEST)):
            key, equals, value = line.decode("latin-1").partition("=")
            if not equals:
                break
            fields[key.strip()] = value.strip()
            if key.strip() == "ElementDataFile":
                if value.strip() == "LIST" or "%" in value:
                    raise DataError("A MetaImage file is spread over several data files. Save it as one.", file=name)
                return fields, stream.tell()
    raise damaged_error(name)


def _says_yes(fields: dict[str, str], key: str, *, default: bool = False) -> bool:
    """Whether a field is true; `default` where it is missing."""
    return fields.get(key, str(default)).casefold() in ("true", "1")


def _axes(fields: dict[str, str], name: str) -> tuple[Float64, bool]:
    """Return a step along each array axis in mm, and whether the file names no directions."""
    lengths = _numbers(fields, _SPACING, 3, name)
    if lengths is None:
        lengths = np.ones(3)
    if (lengths <= 0).any():
        raise damaged_error(name)
    directions = _numbers(fields, _MATRIX, 9, name)
    if directions is None:
        return np.diag(lengths), True
    return directions.reshape(3, 3).T * lengths, False  # each three numbers are one array axis


def _numbers(fields: dict[str, str], keys: tuple[str, ...], count: int, name: str) -> Float64 | None:
    """Return the numbers of the first field that is there, else None. Raises DataError if one is not finite."""
    text = next((fields[key] for key in keys if key in fields), None)
    if text is None:
        return None
    numbers = np.array([float(part) for part in text.split()], np.float64)
    if len(numbers) != count or not np.isfinite(numbers).all():
        raise damaged_error(name)
    return numbers
