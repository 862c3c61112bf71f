"""Hex digests of values, files and arrays."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt


def digest_values(*parts: object) -> str:
    """Return 24 hex digits that name plain values, in order.

    The values are digested by their `repr`, so they must be plain (numbers, text, tuples, frozen dataclasses of such).
    """
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:24]


def digest_array(array: npt.NDArray[Any]) -> str:
    """Return 64 hex digits that name an array's shape and bytes."""
    digest = hashlib.sha256(str(array.shape).encode())
    digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def digest_file(path: Path, *, skip: int = 0) -> str:
    """Return 64 hex digits that name a file's bytes from `skip` on. Raises OSError where it cannot be read."""
    digest = hashlib.blake2b(digest_size=32)
    buffer = memoryview(bytearray(1 << 18))
    with path.open("rb", buffering=0) as stream:
        stream.seek(skip)
        while count := stream.readinto(buffer):
            digest.update(buffer[:count])
    return digest.hexdigest()
