"""A stored block: the features of some images with a digest of each image, in a file whose checksums show damage.

Layout, little-endian: the magic, the header's length (uint32), the header (JSON: count, width, classes, images), the
SHA-256 of all that; then the features float32 [n,D], the probabilities float32 [n,C], and the SHA-256 of those two.
"""

from __future__ import annotations

import hashlib
import json
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from pytest_medgan.ground.files import write_bytes
from pytest_medgan.records import Float32

MAGIC = b"medgan-features-1\n"
HASH = 32  # bytes
LONGEST_HEADER = 64 * 2**20  # bytes; a longer one is damage
SUFFIX = ".block"


class DamagedBlockError(Exception):
    """The file is not what was written."""


@dataclass(frozen=True)
class Header:
    """What a block holds."""

    images: tuple[str, ...]  # digest of each image, row for row
    width: int  # D
    classes: int  # C; 0 where there are no probabilities
    start: int  # where the features begin, bytes

    @property
    def payload(self) -> int:
        """Bytes of features and probabilities."""
        return 4 * len(self.images) * (self.width + self.classes)


@dataclass(frozen=True, eq=False)
class Block:
    """A block in memory."""

    images: tuple[str, ...]
    features: Float32  # [n,D]
    probabilities: Float32 | None  # [n,C]


def write_block(folder: Path, block: Block) -> Path:
    """Write a block, whole or not at all, under a name made of its images' digests.

    Returns:
        The file.

    Raises:
        OutputError: The folder cannot be written.
    """
    n, width = block.features.shape
    classes = 0 if block.probabilities is None else block.probabilities.shape[1]
    header = json.dumps({"count": n, "width": width, "classes": classes, "images": block.images}).encode()
    front = MAGIC + struct.pack("<I", len(header)) + header
    payload = np.ascontiguousarray(block.features, dtype="<f4").tobytes()
    if block.probabilities is not None:
        payload += np.ascontiguousarray(block.probabilities, dtype="<f4").tobytes()
    name = hashlib.sha256("".join(block.images).encode()).hexdigest()[:32]
    file = folder / f"{name}{SUFFIX}"
    write_bytes(file, b"".join([front, _hash(front), payload, _hash(payload)]))
    return file


def read_header(file: Path) -> Header:
    """Return what a file holds. Raises DamagedBlockError, or OSError where it is gone."""
    with file.open("rb") as stream:
        return _header(stream)


def read_block(file: Path) -> Block:
    """Return the block in a file, every byte checked. Raises DamagedBlockError, or OSError where it is gone."""
    with file.open("rb") as stream:
        header = _header(stream)
        payload = stream.read(header.payload)
        if stream.read(HASH + 1) != _hash(payload):
            raise DamagedBlockError("checksum of the features")
    values = np.frombuffer(payload, dtype="<f4").astype(np.float32)
    n, cut = len(header.images), len(header.images) * header.width
    probabilities = values[cut:].reshape(n, header.classes) if header.classes else None
    return Block(header.images, values[:cut].reshape(n, header.width), probabilities)


def _header(stream: BinaryIO) -> Header:
    """Read and check the header; the stream then stands at the features."""
    lead = stream.read(len(MAGIC) + 4)
    if lead[: len(MAGIC)] != MAGIC or len(lead) != len(MAGIC) + 4:
        raise DamagedBlockError("magic")
    length = int(struct.unpack("<I", lead[len(MAGIC) :])[0])
    if length > LONGEST_HEADER:
        raise DamagedBlockError("length of the header")
    text = stream.read(length)
    if stream.read(HASH) != _hash(lead + text):
        raise DamagedBlockError("checksum of the header")
    fields = json.loads(text)
    return Header(tuple(fields["images"]), int(fields["width"]), int(fields["classes"]), stream.tell())


def _hash(data: bytes) -> bytes:
    """Return the SHA-256 of bytes."""
    return hashlib.sha256(data).digest()
