"""Pictures of every format and mode, against values known by construction."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pytest_medgan.errors import DataError
from pytest_medgan.ground import pictures
from pytest_medgan.ground.pictures import PictureKind, holds_colour, picture_kind, read_picture

LEVELS = ((np.arange(12)[:, None] * 17 + np.arange(10)[None, :] * 5) % 256).astype(np.uint8)


def save(path: Path, image: Image.Image, **options: object) -> Path:
    image.save(path, **options)
    return path


def grey() -> Image.Image:
    return Image.fromarray(LEVELS)


def png(bits: int, colour: int, rows: bytes, width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def tiff(values: np.ndarray, photometric: int) -> bytes:
    """A TIFF of one strip, little endian."""
    bits = values.dtype.itemsize * 8
    tags = [(256, 3, values.shape[1]), (257, 3, values.shape[0]), (258, 3, bits), (259, 3, 1), (262, 3, photometric)]
    place = 8 + 2 + 12 * (len(tags) + 4) + 4
    tags += [(273, 4, place), (277, 3, 1), (278, 3, values.shape[0]), (279, 4, values.nbytes)]
    entries = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in tags)
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + struct.pack("<I", 0) + values.tobytes()


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif"])
@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "LA", "P"])
def test_read_picture_grey_in_any_mode_keeps_its_levels(tmp_path: Path, suffix: str, mode: str) -> None:
    if suffix == "bmp" and mode == "LA":
        pytest.skip("BMP has no such mode")
    path = save(tmp_path / f"a.{suffix}", grey().convert(mode))
    found = read_picture(path, name="a")
    assert found.kind is picture_kind(path, name="a") is PictureKind.GREY
    assert found.values.dtype == np.uint8
    assert np.array_equal(found.values, LEVELS)
    assert not found.lossy


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_read_picture_jpeg_is_grey_and_lossy(tmp_path: Path, mode: str) -> None:
    found = read_picture(save(tmp_path / "a.jpg", grey().convert(mode), quality=95), name="a")
    assert found.lossy
    assert found.kind is PictureKind.GREY
    assert np.abs(found.values.astype(int) - np.asarray(Image.open(tmp_path / "a.jpg").convert("L"))).max() <= 1


@pytest.mark.parametrize(
    ("bits", "packed", "levels"), [(1, 0b10110000, [255, 0, 255, 255]), (2, 0b00011011, [0, 85, 170, 255])]
)
def test_read_picture_few_bits_span_black_to_white(tmp_path: Path, bits: int, packed: int, levels: list[int]) -> None:
    (tmp_path / "a.png").write_bytes(png(bits, 0, bytes([0, packed]), 4, 1))
    assert read_picture(tmp_path / "a.png", name="a").values.tolist() == [levels]


def test_read_picture_sixteen_bits_are_deep(tmp_path: Path) -> None:
    values = LEVELS.astype(np.uint16) * 257
    for name in ("a.png", "a.tif"):
        found = read_picture(save(tmp_path / name, Image.fromarray(values)), name=name)
        assert found.kind is PictureKind.DEEP
        assert np.array_equal(found.values, values)


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_read_picture_tiff_whose_zero_is_white_is_inverted(tmp_path: Path, kind: type) -> None:
    values = LEVELS.astype(kind) * (257 if kind is np.uint16 else 1)
    (tmp_path / "a.tif").write_bytes(tiff(values, 0))
    (tmp_path / "b.tif").write_bytes(tiff(values, 1))
    assert np.array_equal(read_picture(tmp_path / "b.tif", name="b").values, values)
    assert np.array_equal(read_picture(tmp_path / "a.tif", name="a").values, np.iinfo(kind).max - values)


def test_read_picture_signed_and_floating_values_are_numbers(tmp_path: Path) -> None:
    values = LEVELS.astype(np.float32) * 8 - 1000
    for kind in (np.int32, np.float32):
        found = read_picture(save(tmp_path / "a.tif", Image.fromarray(values.astype(kind))), name="a")
        assert found.kind is PictureKind.NUMBERS
        assert np.array_equal(found.values, values)


def test_read_picture_exif_orientation_is_applied(tmp_path: Path) -> None:
    turned = Image.Exif()
    turned[274] = 3  # stored upside down
    path = save(tmp_path / "a.png", Image.fromarray(LEVELS[::-1, ::-1].copy()), exif=turned)
    assert np.array_equal(read_picture(path, name="a").values, LEVELS)


def coloured() -> Image.Image:
    return Image.fromarray(np.stack([LEVELS, LEVELS, np.maximum(LEVELS, 1) - 1], axis=2))


def transparent() -> Image.Image:
    alpha = np.full_like(LEVELS, 255)
    alpha[0, 0] = 254
    return Image.fromarray(np.stack([LEVELS, LEVELS, LEVELS, alpha], axis=2))


@pytest.mark.parametrize(
    ("image", "suffix", "options", "message"),
    [
        (coloured(), "png", {}, "channels differ"),
        (transparent(), "png", {}, "transparent"),
        (coloured().convert("CMYK"), "tif", {}, "in colour"),
        (grey(), "tif", {"save_all": True, "append_images": [grey()]}, "several pages"),
        (grey(), "png", {"save_all": True, "append_images": [coloured().convert("L")]}, "several pages"),
        (Image.fromarray(np.full((4, 4), np.inf, np.float32)), "tif", {}, "not finite"),
    ],
)
def test_read_picture_that_is_not_grey_is_refused(
    tmp_path: Path, image: Image.Image, suffix: str, options: dict[str, object], message: str
) -> None:
    with pytest.raises(DataError, match=message) as caught:
        read_picture(save(tmp_path / f"a.{suffix}", image, **options), name="folder/a")
    assert caught.value.file == "folder/a"


@pytest.mark.parametrize("colour", [2, 4, 6])
def test_read_picture_sixteen_bits_a_channel_are_not_cut_to_eight(tmp_path: Path, colour: int) -> None:
    channels = {2: 3, 4: 2, 6: 4}[colour]
    (tmp_path / "a.png").write_bytes(png(16, colour, bytes([0]) + b"\x12\x34" * channels * 2, 2, 1))
    for read in (read_picture, picture_kind):
        with pytest.raises(DataError, match="several channels of 16 bits"):
            read(tmp_path / "a.png", name="a")


def test_read_picture_larger_than_the_limit_is_refused_undecoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.png").write_bytes(png(8, 0, b"", 60000, 60000))
    monkeypatch.setattr(pictures, "_decode", lambda *_: pytest.fail("decoded"))
    with pytest.raises(DataError, match="8192 pixels per side"):
        read_picture(tmp_path / "a.png", name="a")


@pytest.mark.parametrize("content", [b"", b"GIF89a" + bytes(40), b"\x89PNG\r\n\x1a\n" + bytes(40), b"II*\0" + bytes(9)])
def test_read_picture_damaged_or_foreign_content_is_a_data_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.png").write_bytes(content)
    for read in (read_picture, picture_kind):
        with pytest.raises(DataError, match="The picture is damaged or of another format"):
            read(tmp_path / "a.png", name="a")


def test_read_picture_truncated_is_damaged(tmp_path: Path) -> None:
    path = save(
        tmp_path / "a.png", Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64)).astype(np.uint8))
    )
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(DataError, match="damaged"):
        read_picture(path, name="a")


def test_read_picture_of_three_channels_keeps_colours_and_repeats_grey(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", coloured())
    assert np.array_equal(read_picture(path, name="a", channels=3).values, np.asarray(coloured()))
    for image in (grey(), grey().convert("P"), coloured().convert("L")):
        found = read_picture(save(tmp_path / "b.png", image), name="b", channels=3).values
        assert np.array_equal(found, np.asarray(image.convert("RGB")))


@pytest.mark.parametrize(
    ("image", "suffix", "message"),
    [
        (transparent(), "png", "transparent"),
        (Image.fromarray(LEVELS.astype(np.uint16)), "png", "grey of 16 bits and no colour. Save it as RGB of 8 bits"),
        (coloured().convert("CMYK"), "tif", "mode CMYK"),
    ],
)
def test_read_picture_without_three_channels_of_eight_bits_is_refused(
    tmp_path: Path, image: Image.Image, suffix: str, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        read_picture(save(tmp_path / f"a.{suffix}", image), name="a", channels=3)


def test_holds_colour_is_true_only_of_channels_that_differ(tmp_path: Path) -> None:
    assert holds_colour(save(tmp_path / "a.png", coloured()), name="a")
    for image in (grey(), grey().convert("RGB"), Image.fromarray(LEVELS.astype(np.uint16))):
        assert not holds_colour(save(tmp_path / "b.png", image), name="b")
    tinted = np.stack([LEVELS // 2 + 60] * 3, axis=2)
    assert not holds_colour(save(tmp_path / "c.jpg", Image.fromarray(tinted), quality=95), name="c")


def test_read_picture_in_colour_names_the_action_it_was_given(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"channels differ\. Do this"):
        read_picture(save(tmp_path / "a.png", coloured()), name="a", action="Do this.")
