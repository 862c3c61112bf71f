from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pytest_medgan.errors import DataError
from pytest_medgan.turing import read_pixels

PIXELS = np.arange(3 * 4 * 5, dtype=np.uint8).reshape(3, 1, 4, 5)


def test_npz_is_read_by_its_array_pixels(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", pixels=PIXELS, other=PIXELS + 1)
    np.testing.assert_array_equal(read_pixels(tmp_path / "a.npz"), PIXELS)


def test_npy_without_channel_gets_one(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", PIXELS[:, 0])
    np.testing.assert_array_equal(read_pixels(tmp_path / "a.npy"), PIXELS)


def test_folder_of_pictures_is_read_in_order_of_names(tmp_path: Path) -> None:
    for name, picture in zip("bca", PIXELS[:, 0], strict=True):
        Image.fromarray(picture).save(tmp_path / f"{name}.png")
    np.testing.assert_array_equal(read_pixels(tmp_path), PIXELS[[2, 0, 1]])


def test_colour_pictures_become_grey(tmp_path: Path) -> None:
    Image.fromarray(np.full((4, 5, 3), 77, np.uint8)).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_pixels(tmp_path), np.full((1, 1, 4, 5), 77))


def test_other_path_returns_none(tmp_path: Path) -> None:
    (tmp_path / "a.safetensors").write_bytes(b"")
    assert read_pixels(tmp_path / "a.safetensors") is None
    assert read_pixels(tmp_path) is None
    assert read_pixels(Path("dcgan")) is None


def test_array_of_another_name_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", pictures=PIXELS)
    with pytest.raises(DataError, match="cannot be read") as caught:
        read_pixels(tmp_path / "a.npz")
    assert caught.value.file == "a.npz"


@pytest.mark.parametrize("damage", ["cut off", "flipped", "empty", "text"])
@pytest.mark.parametrize("suffix", ["npz", "npy"])
def test_damaged_array_file_is_one_line(tmp_path: Path, suffix: str, damage: str) -> None:
    path = tmp_path / f"a.{suffix}"
    noise = np.random.default_rng(0).integers(0, 255, (8, 1, 32, 32), dtype=np.uint8)
    if suffix == "npz":
        np.savez_compressed(path, pixels=noise)
    else:
        np.save(path, noise)
    whole = path.read_bytes()
    middle = len(whole) // 2 if suffix == "npz" else 20  # the values of an .npy have no check sum, its header is parsed
    flipped = whole[:middle] + bytes(255 - byte for byte in whole[middle : middle + 20]) + whole[middle + 20 :]
    path.write_bytes({"cut off": whole[:middle], "flipped": flipped, "empty": b"", "text": b"no array"}[damage])
    with pytest.raises(DataError, match="The array file is damaged") as caught:
        read_pixels(path)
    assert caught.value.file == path.name
    assert "\n" not in str(caught.value)


def test_absent_array_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cannot be read \(No such file or directory\)"):
        read_pixels(tmp_path / "a.npz")


def test_pictures_of_two_sizes_are_refused(tmp_path: Path) -> None:
    Image.fromarray(PIXELS[0, 0]).save(tmp_path / "a.png")
    Image.fromarray(PIXELS[0, 0, :3]).save(tmp_path / "b.png")
    with pytest.raises(DataError, match="pictures of one size"):
        read_pixels(tmp_path)


@pytest.mark.parametrize("pixels", [PIXELS.astype(float), PIXELS[0, 0], np.zeros((2, 3, 4, 5), np.uint8)])
def test_array_that_is_not_uint8_images_is_refused(tmp_path: Path, pixels: np.ndarray) -> None:  # type: ignore[type-arg]
    np.save(tmp_path / "a.npy", pixels)
    with pytest.raises(DataError, match=r"must be uint8 \[N,1,H,W\]"):
        read_pixels(tmp_path / "a.npy")


def test_coloured_pictures_are_refused_and_not_turned_to_grey(tmp_path: Path) -> None:
    Image.fromarray(np.arange(4 * 5 * 3, dtype=np.uint8).reshape(4, 5, 3)).save(tmp_path / "a.png")
    with pytest.raises(DataError, match=r"in colour: its channels differ\. Save it in grey"):
        read_pixels(tmp_path)
