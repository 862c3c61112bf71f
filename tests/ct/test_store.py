"""Prepared sets on disk."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pytest_medgan.ct.store import (
    ImageSettings,
    Prepared,
    load_prepared,
    make_folder,
    recall,
    remember,
    save_prepared,
)
from pytest_medgan.errors import DataError
from pytest_medgan.records import DataSettings


@pytest.fixture
def prepared() -> Prepared:
    return Prepared(
        pixels=np.arange(3 * 64, dtype=np.uint8).reshape(3, 1, 8, 8),
        groups=np.array(["pa", "pa", "pb"]),
        labels=np.array([1, 1, -1], np.int8),
        window=(-1000.0, 400.0),
        settings=ImageSettings.of(DataSettings(), "tumour"),
        digest="0" * 64,
        warnings=("look",),
        counts={"files": 3},
    )


def test_there_and_back(prepared: Prepared, tmp_path: Path) -> None:
    save_prepared(tmp_path / "new" / "a.npz", prepared, {"training": np.array([0, 1])})
    found = load_prepared(tmp_path / "new" / "a.npz")
    assert found is not None
    assert np.array_equal(found.pixels, prepared.pixels)
    assert found.groups.tolist() == ["pa", "pa", "pb"]
    assert found.labels.tolist() == [1, 1, -1]
    assert (found.window, found.settings, found.digest) == (prepared.window, prepared.settings, prepared.digest)
    assert (found.warnings, found.counts) == (("look",), {"files": 3})
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.npz"]
    with np.load(tmp_path / "new" / "a.npz") as stored:
        assert stored["training"].tolist() == [0, 1]


def test_the_same_set_is_the_same_file(prepared: Prepared, tmp_path: Path) -> None:
    for name in ("a.npz", "b.npz"):
        save_prepared(tmp_path / name, prepared)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_a_set_without_a_window(prepared: Prepared, tmp_path: Path) -> None:
    save_prepared(tmp_path / "a.npz", replace(prepared, window=None))
    found = load_prepared(tmp_path / "a.npz")
    assert found is not None
    assert found.window is None


def test_any_flipped_byte_of_the_content_is_noticed(prepared: Prepared, tmp_path: Path) -> None:
    save_prepared(tmp_path / "a.npz", prepared)
    good = (tmp_path / "a.npz").read_bytes()
    start = good.index(prepared.pixels.tobytes())
    for place in range(start, start + 192, 7):
        (tmp_path / "a.npz").write_bytes(good[:place] + bytes([good[place] ^ 1]) + good[place + 1 :])
        assert load_prepared(tmp_path / "a.npz") is None


def test_what_is_not_ours_is_none(tmp_path: Path) -> None:
    assert load_prepared(tmp_path / "absent.npz") is None
    np.savez(tmp_path / "other.npz", pixels=np.zeros(3))
    np.save(tmp_path / "other.npy", np.zeros(3))
    (tmp_path / "text.npz").write_text("hello")
    assert [load_prepared(path) for path in sorted(tmp_path.iterdir())] == [None, None, None]


def test_a_folder_that_cannot_be(prepared: Prepared, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(DataError, match="cannot be written"):
        save_prepared(tmp_path / "file" / "a.npz", prepared)
    with pytest.raises(DataError, match="cannot be written"):
        make_folder(tmp_path / "file" / "sub")
    with pytest.raises(DataError, match="cannot be written"):
        remember(tmp_path / "absent" / "x", "0" * 64)


def test_notes(tmp_path: Path) -> None:
    assert recall(tmp_path / "note") is None
    remember(tmp_path / "note", "a" * 64)
    assert recall(tmp_path / "note") == "a" * 64
    (tmp_path / "note").write_text("../../etc/passwd")
    assert recall(tmp_path / "note") is None
