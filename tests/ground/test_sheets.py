from __future__ import annotations

import base64
import io

import numpy as np
from PIL import Image

from pytest_medgan.ground.sheets import as_pictures, jpeg, png, resized, sheet


def decoded(uri: str) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))))


def test_sheet_places_pictures_row_by_row() -> None:
    pictures = np.stack([np.full((2, 3), 10 * i, np.uint8) for i in range(1, 6)])
    canvas = sheet(pictures, 2, gap=1)
    assert canvas.shape == (8, 7)
    assert [int(canvas[r, c]) for r, c in ((0, 0), (0, 4), (3, 0), (3, 4), (6, 0), (6, 4))] == [10, 20, 30, 40, 50, 0]
    assert canvas[2].max() == canvas[:, 3].max() == 0
    assert sheet(pictures[:0], 3).shape == (2, 9)


def test_png_keeps_all_pixels_and_jpeg_a_faint_checkerboard() -> None:
    rng = np.random.default_rng(0)
    canvas = np.clip(rng.normal(120, 6, (128, 128)), 0, 255).astype(np.uint8)
    board = (np.indices((128, 128)).sum(0) // 8 % 2 * 4).astype(np.uint8)
    np.testing.assert_array_equal(decoded(png(canvas + board)), canvas + board)
    found = decoded(jpeg(canvas + board)).astype(float)
    contrast = found[board > 0].mean() - found[board == 0].mean()
    assert 3 < contrast < 5


def test_resized_gives_squares_of_the_size() -> None:
    pictures = np.zeros((3, 128, 128), np.uint8)
    pictures[:, :64] = 200
    small = resized(pictures, 32)
    assert small.shape == (3, 32, 32)
    assert small[0, 0, 0] == 200
    assert small[0, -1, 0] == 0
    assert resized(pictures, 128) is pictures
    assert resized(pictures[:, :16, :16], 64).shape == (3, 64, 64)
    assert resized(pictures[:0], 32).shape == (0, 32, 32)


def test_pictures_in_colour_are_laid_out_resized_and_encoded_in_colour() -> None:
    images = np.zeros((3, 3, 64, 64), np.uint8)
    images[0, 0] = images[1, 1] = images[2, 2] = 200
    pictures = as_pictures(images)
    assert pictures.shape == (3, 64, 64, 3)
    small = resized(pictures, 32)
    canvas = sheet(small, 2, gap=1)
    assert canvas.shape == (65, 65, 3)
    assert canvas[[0, 0, 40], [0, 40, 0]].tolist() == [[200, 0, 0], [0, 200, 0], [0, 0, 200]]
    np.testing.assert_array_equal(decoded(png(canvas)), canvas)
    assert decoded(jpeg(canvas)).shape == canvas.shape
    assert resized(pictures[:0], 16).shape == (0, 16, 16, 3)
    assert as_pictures(images[:, :1]).shape == (3, 64, 64)
