"""NRRD volumes (extra `volumes`): the header by pynrrd, the values here, so that nothing unpacks without bound."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np

from pytest_medgan.ct.volume_file import Volume, check_size, damaged_error, data_file, unpack
from pytest_medgan.errors import DataError

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
    import nrrd

    with path.open("rb") as stream, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        header = nrrd.read_header(stream)
        start = stream.tell()
    sizes = [int(side) for side in header["sizes"]]
    if len([side for side in sizes if side != 1]) > 3 or len(sizes) < 3:
        raise DataError("An NRRD file is not one volume. Leave it out, or split it.", file=name)
    kind = next((kind for kind, names in _TYPES.items() if str(header["type"]).casefold() in names), None)
    encoding = _ENCODINGS.get(str(header["encoding"]).casefold())
    if kind is None or encoding is None:
        raise DataError("An NRRD file has a type or encoding that is not read. Save it raw or with gzip.", file=name)
    order = ">" if str(header.get("endian", "little")) == "big" else "<"
    dtype = np.dtype(kind if kind.endswith("1") else order + kind)
    named = header.get("data file", header.get("datafile"))
    place = path if named is None else data_file(path, str(named), name)
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


def _kept(sizes: list[int]) -> list[bool]:
    """Return which axes stay: all but surplus ones of length 1."""
    surplus = len(sizes) - 3
    kept = []
    for side in sizes:
        kept.append(side != 1 or surplus <= 0)
        surplus -= not kept[-1]
    return kept


def _axes(header: dict[str, object], sizes: list[int]) -> tuple[np.ndarray, bool]:
    """Return the directions of the array axes, and whether they had to be guessed."""
    space, directions = str(header.get("space", "")).casefold(), header.get("space directions")
    if space not in _SPACES or directions is None:
        return np.eye(3), True
    rows = np.asarray(directions, np.float64)[_kept(sizes)]
    return np.diag(_SPACES[space]).astype(np.float64) @ rows.T, False
