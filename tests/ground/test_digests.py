"""Digests tell different inputs apart."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from pytest_medgan.ground.digests import digest_array, digest_file, digest_values


def test_digest_values_is_the_start_of_a_sha256_of_the_repr() -> None:
    assert digest_values("a", 1) == hashlib.sha256(b"('a', 1)").hexdigest()[:24]


def test_digest_values_differs_for_types_and_order() -> None:
    assert len({digest_values("1", 2), digest_values(1, "2"), digest_values(2, "1"), digest_values("12")}) == 4


def test_digest_array_depends_on_shape_and_layout() -> None:
    array = np.arange(12, dtype=np.uint8)
    assert digest_array(array.reshape(3, 4)) != digest_array(array.reshape(4, 3))
    assert digest_array(array.reshape(3, 4).T) == digest_array(np.ascontiguousarray(array.reshape(3, 4).T))


def test_digest_file_skips_the_given_bytes(tmp_path: Path) -> None:
    content = bytes(range(256)) * 4096
    (tmp_path / "a").write_bytes(content)
    (tmp_path / "b").write_bytes(content[100:])
    assert digest_file(tmp_path / "a", skip=100) == digest_file(tmp_path / "b")
    assert digest_file(tmp_path / "b") == hashlib.blake2b(content[100:], digest_size=32).hexdigest()
