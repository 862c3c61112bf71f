"""Reads within bounds."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

from pytest_medgan.ct.bounded import BoundedFile


def test_read_takes_no_more_memory_than_the_file_has_bytes(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(bytes(range(256)) * 400)
    with BoundedFile(tmp_path / "x") as stream:
        assert stream.read(3) == b"\0\1\2"
        tracemalloc.start()
        rest = stream.read(4 << 30)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert len(rest) == 256 * 400 - 3
        assert peak < 1 << 20
        assert stream.read(1 << 20) == b""
        stream.seek(1)
        assert stream.read()[:2] == b"\1\2"
