"""Sealed keys: which image is real, kept from a glance at the page's source but not from someone who takes it apart."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence

import numpy as np

from pytest_medgan.errors import DataError
from pytest_medgan.records import Bool


def seal(key: Sequence[bool], identity: str) -> str:
    """The key, mixed with the key stream of the page's identity, in base64."""
    mixed = np.asarray(key, bool) ^ _stream(len(key), identity)
    return base64.b64encode(np.packbits(mixed).tobytes()).decode()


def unseal(text: str, count: int, identity: str) -> tuple[bool, ...]:
    """The reverse of `seal`; DataError where the text cannot hold `count` answers."""
    try:
        packed = np.frombuffer(base64.b64decode(text, validate=True), np.uint8)
    except ValueError:
        packed = np.empty(0, np.uint8)
    if len(packed) != (count + 7) // 8 or not count:
        raise DataError("the sealed key does not fit the answers; score with the key file of the page")
    return tuple(bool(b) for b in np.unpackbits(packed, count=count).astype(bool) ^ _stream(count, identity))


def _stream(count: int, identity: str) -> Bool:
    blocks = (count + 255) // 256
    content = b"".join(hashlib.sha256(f"{identity}:{block}".encode()).digest() for block in range(blocks))
    return np.unpackbits(np.frombuffer(content, np.uint8), count=count).astype(bool)
