"""NRRD volumes (extra `volumes`): the header by pynrrd, the values here, so that nothing unpacks without bound."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np

from pytest_medgan.ct.volume_file import Volume, check_size, damaged_error, data_file, unpack
from pytest_medgan.errors import DataError
from pytest_medgan.records import Float64

_TYPES = {
    "i1": ("signed char", "int8", "int8_t"),
    "u1": ("uchar", "unsigned char", "uint8", "uint8_t"),
    "i2": ("short", "short int", "signed short", "signed short int", "int16", "int16_t"),
    "u2": ("ushort", "unsigned short", "unsigned short int", "uint16", "uint16_t"),
    "i4": ("int", "signed int", "int32", "int32_t"),
    "u4": ("uint", "unsigned int", "uint32", "uint32_t"),
    "f4": ("float",),
    "f8": ("double",),
}
_SPACES = {
    "left-posterior-superior": (1, 1, 1),
    "lps": (1, 1, 1),
    "right-anterior-superior": (-1, -1, 1),
    "ras": (-1, -1, 1),
    "left-anterior-superior": (1, -1, 1),
    "las": (1, -1, 1),
}
_ENCODINGS = {"raw": "", "gzip": "gzip", "gz": "gzip", "bzip2": "bzip2", "bz2": "bzip2"}


def read_nrrd(path: Path, name: str) -> Volume:
    """Read an NRRD file with its values inside or beside it.

    Raises:
        DataError: It is damaged, holds several volumes, or is encoded as text.
    """
    header, start = _read_header(path)
    sizes = [int(side) for side in header["sizes"]]
    if len([side for side in sizes if side != 1]) > 3 or len(sizes) < 3:
        raise DataError("An NRRD file is not one volume. Leave it out, or split it.", file=name)
    kind = next((kind for kind, names in _TYPES.items() if str(header["type"]).casefold() in names), None)
    encoding = _ENCODINGS.get(str(header["encoding"]).casefold())
    if kind is None or encoding is None:
        raise DataError("An NRRD file has a type or encoding that is not read. Save it raw or with gzip.", file=name)
    order = ">" if str(header.get("endian", "little")) == "big" else "<"
    dtype = np.dtype(kind if kind.endswith("1") else order + kind)
    named = _data_file(header)
    place = path if named is None else data_file(path, named, name)
    needed = check_size(sizes, dtype.itemsize, place, name, compressed=bool(encoding))
    with place.open("rb") as stream:
        stream.seek(start if named is None else 0)
        for _ in range(int(header.get("line skip", 0))):
            stream.readline()
        skip = int(header.get("byte skip", 0))
        if skip < 0:  # the values end the file
            stream.seek(-needed, 2)
        elif not encoding:
            stream.seek(skip, 1)
        data = stream.read(needed) if not encoding else stream.read()
    plain = unpack(data, needed, encoding, name) if encoding else data
    if len(plain) < needed:
        raise damaged_error(name)
    values = np.frombuffer(plain[:needed], dtype).reshape(sizes, order="F")
    axes, guessed = _axes(header, sizes)
    shape = [side for side, keep in zip(sizes, _kept(sizes), strict=True) if keep]
    return Volume(values.reshape(shape, order="F"), 1.0, 0.0, axes, guessed)


def detached_name(path: Path) -> str | None:
    """Return the data file that a header names, as it names it; None where the values follow the header."""
    return _data_file(_read_header(path)[0])


def _read_header(path: Path) -> tuple[dict[str, Any], int]:
    """Return the fields of a header, and where it ends."""
    import nrrd

    with path.open("rb") as stream, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return dict(nrrd.read_header(stream)), stream.tell()


def _data_file(header: dict[str, Any]) -> str | None:
    """Return the data file that a header names; None where it names none."""
    named = header.get("data file", header.get("datafile"))
    return None if named is None else str(named)


def _kept(sizes: list[int]) -> list[bool]:
    """Return which axes stay: all but surplus ones of length 1."""
    surplus = len(sizes) - 3
    kept = []
    for side in sizes:
        kept.append(side != 1 or surplus <= 0)
        surplus -= not kept[-1]
    return kept


def _axes(header: dict[str, Any], sizes: list[int]) -> tuple[Float64, bool]:
    """Return a step along each array axis in mm, and whether its direction had to be guessed."""
    space, directions = str(header.get("space", "")).casefold(), header.get("space directions")
    if directions is None:
        lengths = np.asarray(header.get("spacings", np.ones(len(sizes))), np.float64)[_kept(sizes)]
        return np.diag(np.where(np.isfinite(lengths) & (lengths > 0), lengths, 1.0)), True
    rows = np.asarray(directions, np.float64)[_kept(sizes)]
    if space not in _SPACES:
        return np.diag(np.linalg.norm(rows, axis=1)), True
    return np.diag(_SPACES[space]).astype(np.float64) @ rows.T, False
