"""Prepared sets on disk."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pytest_medgan.ct.store import (
    ImageSettings,
    Note,
    Prepared,
    load_prepared,
    recall,
    remember,
    save_prepared,
)
from pytest_medgan.errors import OutputError
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


def test_save_prepared_load_prepared_return_the_same_set(prepared: Prepared, tmp_path: Path) -> None:
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


def test_save_prepared_same_set_gives_the_same_bytes(prepared: Prepared, tmp_path: Path) -> None:
    for name in ("a.npz", "b.npz"):
        save_prepared(tmp_path / name, prepared)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_load_prepared_without_a_window_has_none(prepared: Prepared, tmp_path: Path) -> None:
    save_prepared(tmp_path / "a.npz", replace(prepared, window=None))
    found = load_prepared(tmp_path / "a.npz")
    assert found is not None
    assert found.window is None


def test_load_prepared_with_any_flipped_byte_is_none(prepared: Prepared, tmp_path: Path) -> None:
    save_prepared(tmp_path / "a.npz", prepared)
    good = (tmp_path / "a.npz").read_bytes()
    start = good.index(prepared.pixels.tobytes())
    for place in range(start, start + 192, 7):
        (tmp_path / "a.npz").write_bytes(good[:place] + bytes([good[place] ^ 1]) + good[place + 1 :])
        assert load_prepared(tmp_path / "a.npz") is None


@pytest.mark.parametrize("name", ["pixels", "groups", "labels"])
def test_load_prepared_with_an_array_that_the_checksum_does_not_fit_is_none(
    prepared: Prepared, tmp_path: Path, name: str
) -> None:
    save_prepared(tmp_path / "a.npz", prepared)
    with np.load(tmp_path / "a.npz") as stored:
        arrays = dict(stored)
    np.savez(tmp_path / "a.npz", **{**arrays, name: arrays[name][::-1]})
    assert load_prepared(tmp_path / "a.npz") is None
    np.savez(tmp_path / "a.npz", **arrays)
    assert load_prepared(tmp_path / "a.npz") is not None


def test_load_prepared_of_a_foreign_file_is_none(tmp_path: Path) -> None:
    assert load_prepared(tmp_path / "absent.npz") is None
    np.savez(tmp_path / "other.npz", pixels=np.zeros(3))
    np.save(tmp_path / "other.npy", np.zeros(3))
    (tmp_path / "text.npz").write_text("hello")
    assert [load_prepared(path) for path in sorted(tmp_path.iterdir())] == [None, None, None]


def test_save_prepared_below_a_file_is_an_output_error(prepared: Prepared, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError, match="cannot be written"):
        save_prepared(tmp_path / "file" / "a.npz", prepared)
    with pytest.raises(OutputError, match="cannot be written"):
        remember(tmp_path / "file" / "x", Note("0" * 64, (), {}))


def test_as_identity_names_later_settings_only_where_they_differ() -> None:
    """Sets that were made before there were such settings keep their names."""
    usual = ImageSettings.of(DataSettings(), "tumour").as_identity()
    assert sorted(usual) == ["crop", "crop_size", "histologies", "patients", "size", "slices", "window"]
    for changes in ({"roi": "GTV"}, {"range": (0.0, 1.0)}, {"patient": "file"}):
        changed = ImageSettings.of(DataSettings(**changes), "tumour").as_identity()
        assert changed == usual | changes


def test_load_prepared_returns_the_settings_that_were_saved(prepared: Prepared, tmp_path: Path) -> None:
    settings = ImageSettings.of(DataSettings(roi="GTV 3", range=(0.0, 4095.0), histologies=("nos",)), "image")
    save_prepared(tmp_path / "a.npz", replace(prepared, settings=settings))
    found = load_prepared(tmp_path / "a.npz")
    assert found is not None
    assert found.settings == settings


def test_save_prepared_stores_no_file_names(prepared: Prepared, tmp_path: Path) -> None:
    save_prepared(tmp_path / "a.npz", replace(prepared, named={"localizer": ("doe/scout.dcm",)}))
    assert b"doe" not in (tmp_path / "a.npz").read_bytes()
    found = load_prepared(tmp_path / "a.npz")
    assert found is not None
    assert found.named == {}


def test_recall_returns_only_what_remember_wrote(tmp_path: Path) -> None:
    assert recall(tmp_path / "note") is None
    note = Note("a" * 64, ("a warning",), {"files": 3})
    remember(tmp_path / "note", note)
    assert recall(tmp_path / "note") == note
    for text in ("../../etc/passwd", "", "[]", "{}", '{"digest": "../x", "warnings": [], "counts": {}}'):
        (tmp_path / "note").write_text(text)
        assert recall(tmp_path / "note") is None


@pytest.mark.parametrize("name", ["crop", "patient"])
def test_read_settings_of_an_unknown_word_are_refused(name: str) -> None:
    fields = ImageSettings.of(DataSettings(), "tumour").as_fields()
    assert ImageSettings.read(fields) == ImageSettings.of(DataSettings(), "tumour")
    with pytest.raises(ValueError, match="unknown word"):
        ImageSettings.read({**fields, name: "xtop"})
