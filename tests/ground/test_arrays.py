"""Array files: what is read, and one line for all else."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pytest_medgan.errors import DataError
from pytest_medgan.ground import arrays
from pytest_medgan.ground.arrays import picture_images, read_arrays, scale_to_grey


def npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=True)
    return buffer.getvalue()


def header(shape: str, descr: str = "|u1", version: int = 1) -> bytes:
    text = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}"
    text = text.ljust(128 - 11) + "\n"
    return b"\x93NUMPY" + bytes([version, 0]) + struct.pack("<H", len(text)) + text.encode()


def archive(path: Path, members: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as target:
        for name, content in members.items():
            target.writestr(name, content)
    return path


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_read_arrays_npz_returns_every_array(tmp_path: Path, save: Callable[..., None]) -> None:
    stored = {"pixels": np.arange(24, dtype=np.uint8).reshape(2, 3, 4), "patient": np.array(["a", "b"])}
    save(tmp_path / "a.npz", **stored)
    found = read_arrays(tmp_path / "a.npz", name="a.npz")
    assert set(found) == set(stored)
    for key, value in stored.items():
        assert np.array_equal(found[key], value)


@pytest.mark.parametrize("order", ["C", "F"])
def test_read_arrays_npy_is_named_pixels(tmp_path: Path, order: Any) -> None:
    stored = np.asarray(np.arange(6).reshape(2, 3), order=order)
    np.save(tmp_path / "a.bin.npy", stored)
    found = read_arrays(tmp_path / "a.bin.npy", name="a")
    assert list(found) == ["pixels"]
    assert np.array_equal(found["pixels"], stored)


def test_read_arrays_only_ignores_damage_in_other_arrays(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.npz", {"pixels.npy": npy(np.zeros(3)), "other.npy": b"nothing", "note.txt": b"hello"})
    assert list(read_arrays(path, name="a", only=("pixels",))) == ["pixels"]
    with pytest.raises(DataError, match="damaged"):
        read_arrays(path, name="a")


@pytest.mark.parametrize("inside", ["npy", "npz"])
def test_read_arrays_header_with_a_wrong_size_allocates_nothing(tmp_path: Path, inside: str) -> None:
    content = header("(1000000, 1000000, 1000)") + b"1234"
    path = tmp_path / f"a.{inside}"
    if inside == "npy":
        path.write_bytes(content)
    else:
        archive(path, {"pixels.npy": content})
    with pytest.raises(DataError, match="more data than the file holds"):
        read_arrays(path, name="a")


def test_read_arrays_archive_above_the_ratio_limit_is_not_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = archive(tmp_path / "a.npz", {"pixels.npy": npy(np.zeros((1 << 20) * 20, np.uint8))})
    assert read_arrays(path, name="a")["pixels"].nbytes == 20 << 20  # small enough for any machine
    monkeypatch.setattr(arrays, "_ALWAYS", 1 << 20)
    monkeypatch.setattr(arrays, "_read_array", lambda *_: pytest.fail("unpacked"))
    with pytest.raises(DataError, match="unpacks to more than 100 times"):
        read_arrays(path, name="a")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not an array",
        b"\x93NUMPY",
        header("(2,)")[:40],
        header("(2,)", descr="|x9") + b"12",
        header("(2,", descr="|u1") + b"12",
        header("('a',)") + b"12",
        b"PK\x03\x04" + b"\0" * 60,
    ],
)
def test_read_arrays_damaged_content_is_a_data_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(DataError) as caught:
        read_arrays(tmp_path / "a.npz", name="a.npz")
    assert "Error" not in str(caught.value)
    assert "array file" in str(caught.value)
    assert caught.value.file == "a.npz"


def test_read_arrays_any_flipped_byte_reads_or_is_a_data_error(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "a.npz", pixels=np.arange(400, dtype=np.uint8), groups=np.array(["a", "b"]))
    sound = (tmp_path / "a.npz").read_bytes()
    for place in range(len(sound)):
        broken = bytearray(sound)
        broken[place] ^= 0xFF
        (tmp_path / "b.npz").write_bytes(broken)
        with suppress(DataError):
            read_arrays(tmp_path / "b.npz", name="b.npz")


def test_read_arrays_objects_are_not_unpickled(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([object()], dtype=object), allow_pickle=True)
    with pytest.raises(DataError, match="Python objects"):
        read_arrays(tmp_path / "a.npy", name="a")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_read_arrays_name_given_twice_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as target:
        target.writestr("pixels.npy", npy(np.zeros(2)))
        target.writestr("pixels.npy", npy(np.ones(2)))
    with pytest.raises(DataError, match="two arrays of one name"):
        read_arrays(tmp_path / "a.npz", name="a")


def test_read_arrays_missing_file_is_a_data_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        read_arrays(tmp_path / "a.npz", name="a")


LEVELS = np.arange(2 * 5 * 4, dtype=np.uint8).reshape(2, 5, 4)


@pytest.mark.parametrize(
    "pixels",
    [
        LEVELS,
        LEVELS[:, None],
        LEVELS[..., None],
        LEVELS[:, None].repeat(3, axis=1),
        LEVELS[..., None].repeat(3, axis=3),
    ],
)
def test_grey_images_accepts_every_layout_of_grey(pixels: np.ndarray) -> None:
    found = picture_images(pixels, name="a")
    assert found.dtype == np.uint8
    assert np.array_equal(found, LEVELS)


@pytest.mark.parametrize(
    ("pixels", "message"),
    [
        (np.stack([LEVELS, LEVELS, LEVELS + 1], axis=1), "channels differ"),
        (LEVELS[0], r"shape \[5, 4\]"),
        (LEVELS[:0], r"shape \[0, 5, 4\]"),
        (np.zeros((2, 5, 6, 4), np.uint8), "shape"),
        (np.array([[["a"]]]), "uint8 grey levels"),
        (np.full((1, 2, 2), np.nan), "NaN or infinity"),
        (LEVELS / 39, "float64 from 0 to 1. Save uint8 grey levels 0..255, or say .* range=0:1"),
        (LEVELS.astype(np.int16) - 1000, "int16 from -1000 to -961"),
    ],
)
def test_grey_images_values_of_unknown_meaning_are_refused(pixels: np.ndarray, message: str) -> None:
    with pytest.raises(DataError, match=message):
        picture_images(pixels, name="a")


def test_grey_images_with_limits_scales_and_rounds_to_nearest() -> None:
    values = np.array([[[-1.0, -0.5, 0.0, 1.0]]])
    assert picture_images(values, name="a", limits=(-1.0, 1.0)).tolist() == [
        [[0, 64, 128, 255]]
    ]  # 63.75, 127.5 to even


def test_scale_to_grey_beyond_the_limits_by_over_a_level_is_refused() -> None:
    level = 1 / 255
    assert scale_to_grey(np.array([-0.9 * level, 1 + 0.9 * level]), (0.0, 1.0), "a").tolist() == [0, 255]
    for value in (-1.1 * level, 1 + 1.1 * level):
        with pytest.raises(DataError, match="beyond the range 0 to 1"):
            scale_to_grey(np.array([0.5, value]), (0.0, 1.0), "a")


COLOURS = np.stack([LEVELS, LEVELS + 1, LEVELS + 2], axis=1)


@pytest.mark.parametrize("pixels", [COLOURS, np.moveaxis(COLOURS, 1, -1)])
def test_picture_images_of_three_channels_accepts_channels_first_and_last(pixels: np.ndarray) -> None:
    assert np.array_equal(picture_images(pixels, name="a", channels=3), COLOURS)


@pytest.mark.parametrize("pixels", [LEVELS, LEVELS[:, None], LEVELS[..., None]])
def test_picture_images_of_three_channels_repeats_grey(pixels: np.ndarray) -> None:
    assert np.array_equal(picture_images(pixels, name="a", channels=3), LEVELS[:, None].repeat(3, axis=1))


def test_picture_images_in_colour_are_scaled_by_limits() -> None:
    found = picture_images(COLOURS / 255, name="a", limits=(0.0, 1.0), channels=3)
    assert np.array_equal(found, COLOURS)


def test_picture_images_in_colour_without_channels_name_the_option() -> None:
    with pytest.raises(DataError, match="Save one grey channel, or add channels=3 to the data"):
        picture_images(COLOURS, name="a")
