"""Stored blocks show damage."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

from pytest_medgan.embedding.blocks import MAGIC, Block, DamagedBlockError, read_block, read_header, write_block


@pytest.fixture
def block() -> Block:
    random = np.random.default_rng(0)
    features, chances = random.random((3, 5)), random.random((3, 2))
    return Block(("a", "b", "c"), features.astype(np.float32), chances.astype(np.float32))


def test_block_is_read_as_it_was_written(block: Block, tmp_path: Path) -> None:
    file = write_block(tmp_path, block)
    back = read_block(file)
    assert back.images == block.images
    assert np.array_equal(back.features, block.features)
    assert back.probabilities is not None
    assert np.array_equal(back.probabilities, np.asarray(block.probabilities))
    header = read_header(file)
    assert (header.images, header.width, header.classes) == (("a", "b", "c"), 5, 2)


def test_equal_blocks_give_equal_files(block: Block, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    first, second = write_block(tmp_path, block), write_block(tmp_path / "other", block)
    assert first.name == second.name
    assert first.read_bytes() == second.read_bytes()


def test_any_changed_byte_is_damage(block: Block, tmp_path: Path) -> None:
    file = write_block(tmp_path, block)
    whole = file.read_bytes()
    for place in range(len(whole)):
        content = bytearray(whole)
        content[place] ^= 1
        file.write_bytes(content)
        with pytest.raises(DamagedBlockError):
            read_block(file)


def test_any_other_length_is_damage(block: Block, tmp_path: Path) -> None:
    file = write_block(tmp_path, block)
    whole = file.read_bytes()
    for length in [*range(len(whole)), len(whole) + 1]:
        file.write_bytes((whole + b"\x00")[:length])
        with pytest.raises(DamagedBlockError):
            read_block(file)


def test_absurd_header_length_is_damage(tmp_path: Path) -> None:
    file = tmp_path / "huge.block"
    file.write_bytes(MAGIC + struct.pack("<I", 2**32 - 1) + b"x" * 100)
    with pytest.raises(DamagedBlockError, match="length"):
        read_header(file)
