"""Stored values to Hounsfield units."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from pytest_medgan.ct.headers import read_headers
from pytest_medgan.ct.pixels import read_hounsfield
from pytest_medgan.errors import DataError


def header_of(study: Any, index: int = 0) -> Any:
    return read_headers(study.root, study.files[index].relative_to(study.root).as_posix())[0]


def test_read_hounsfield_rows_equal_those_of_the_whole_slice(tmp_path: Path, study_class: Any) -> None:
    study = study_class(tmp_path, slices=1).write()
    whole = read_hounsfield(tmp_path, header_of(study))
    assert whole.shape == (64, 64)
    assert whole.dtype == np.float64
    assert (read_hounsfield(tmp_path, header_of(study), slice(10, 20)) == whole[10:20]).all()
    assert (whole == dcmread(study.files[0]).pixel_array - 1024.0).all()


def test_read_hounsfield_applies_sign_slope_and_padding(tmp_path: Path, study_class: Any) -> None:
    stored = np.full((64, 64), -2000, np.int16)
    stored[8:, 8:] = np.arange(56)

    def change(dataset: Dataset, index: int) -> None:
        dataset.PixelRepresentation, dataset.RescaleSlope, dataset.RescaleIntercept = 1, "1.0002441", "-10.5"
        dataset.PixelData = stored.astype("<i2").tobytes()
        dataset.add_new("PixelPaddingValue", "SS", -2000)

    study = study_class(tmp_path, slices=1, change=change).write()
    values = read_hounsfield(tmp_path, header_of(study))
    assert np.isnan(values[:8]).all()
    assert (values[8:, 8:] == np.arange(56) * 1.0002441 - 10.5).all()


@pytest.mark.parametrize("padding", [-2000, 2096, 63536])
@pytest.mark.parametrize("unused", ["zeros", "sign"])
def test_read_hounsfield_signed_values_of_twelve_bits(
    tmp_path: Path, study_class: Any, unused: str, padding: int
) -> None:
    """PS3.5 8.1.1: unused bits of signed values hold zeros or copies of the sign."""
    stored = np.full((64, 64), -2000, np.int16)
    stored[8:] = np.arange(-1792, 1792).reshape(56, 64)

    def change(dataset: Dataset, index: int) -> None:
        dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation, dataset.RescaleIntercept = 12, 11, 1, "0"
        kept = stored & 0xFFF if unused == "zeros" else stored
        dataset.PixelData = kept.astype("<i2").tobytes()
        dataset.add_new("PixelPaddingValue", "US" if padding > 0 else "SS", padding)

    study = study_class(tmp_path, slices=1, change=change).write()
    header = header_of(study)
    values = read_hounsfield(tmp_path, header)
    assert np.isnan(values[:8]).all()
    assert (values[8:] == stored[8:]).all()
    # rows without a negative value are read the same way
    assert (read_hounsfield(tmp_path, header, slice(40, 50)) == stored[40:50]).all()


def test_read_hounsfield_signed_values_with_both_kinds_of_unused_bits_are_refused(
    tmp_path: Path, study_class: Any
) -> None:
    def change(dataset: Dataset, index: int) -> None:
        dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 12, 11, 1
        values = np.full((64, 64), -1000, "<i2")
        values[3, 3] &= 0xFFF
        dataset.PixelData = values.tobytes()

    study = study_class(tmp_path, slices=1, change=change).write()
    with pytest.raises(DataError, match="beyond its 12 bits"):
        read_hounsfield(tmp_path, header_of(study))


def test_read_hounsfield_values_that_leap_as_signed_ones_are_refused(tmp_path: Path, study_class: Any) -> None:
    """Bone, in values that are declared as signed and are not."""
    values = np.full((64, 64), 1000, "<i2")
    values[10:30, 10:30] = np.linspace(1900, 2600, 20).astype("<i2")

    def change(dataset: Dataset, index: int) -> None:
        dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 12, 11, 1
        dataset.PixelData = values.tobytes()

    study = study_class(tmp_path, slices=1, change=change).write()
    with pytest.raises(DataError, match="beyond its 12 bits"):
        read_hounsfield(tmp_path, header_of(study))


@pytest.mark.parametrize("signed", [False, True])
def test_read_hounsfield_overlay_in_an_unused_bit_is_not_read_as_a_value(
    tmp_path: Path, study_class: Any, signed: bool
) -> None:
    """Until 2004 an overlay might lie in bit 12 to 15 of the pixels; every other bit there is damage as before."""
    stored = np.tile(np.arange(2048).reshape(32, 64) - (1024 if signed else 0), (2, 1))

    def change(dataset: Dataset, index: int) -> None:
        dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 12, 11, int(signed)
        values = stored.astype("<u2")
        values[10:20, 5:9] ^= 1 << 12
        if index == 1:
            values[3, 3] ^= 1 << 14
        dataset.PixelData = values.tobytes()
        for element, kind, value in (
            (0x0010, "US", 64),
            (0x0011, "US", 64),
            (0x0040, "CS", "G"),
            (0x0050, "SS", [1, 1]),
            (0x0100, "US", 16),
            (0x0102, "US", 12),
        ):
            dataset.add_new((0x6002, element), kind, value)

    study = study_class(tmp_path, slices=2, change=change).write()
    headers = [header_of(study, index) for index in range(2)]
    assert [header.pixels.overlays for header in headers] == [1 << 12] * 2
    assert (read_hounsfield(tmp_path, headers[0]) == stored - 1024).all()
    if not signed:
        with pytest.raises(DataError, match="beyond its 12 bits"):
            read_hounsfield(tmp_path, headers[1])


def test_read_hounsfield_bits_beyond_the_stored_ones_are_refused(tmp_path: Path, study_class: Any) -> None:
    def change(dataset: Dataset, index: int) -> None:
        dataset.BitsStored, dataset.HighBit = 12, 11
        pixels = dataset.pixel_array.copy()
        pixels[3, 3] |= 1 << 14
        dataset.PixelData = pixels.tobytes()

    study = study_class(tmp_path, slices=1, change=change).write()
    with pytest.raises(DataError, match="beyond its 12 bits") as caught:
        read_hounsfield(tmp_path, header_of(study))
    assert caught.value.file == "PAT-001/study/series/000.dcm"


@pytest.mark.parametrize(("value", "refused"), [(30000, True), (4000, False)])
def test_read_hounsfield_lone_impossible_pixel_is_refused(
    tmp_path: Path, study_class: Any, value: int, refused: bool
) -> None:
    def change(dataset: Dataset, index: int) -> None:
        pixels = dataset.pixel_array.copy()
        pixels[30, 30] = value
        dataset.PixelData = pixels.tobytes()

    study = study_class(tmp_path, slices=1, change=change).write()
    if refused:
        with pytest.raises(DataError, match="single pixel whose value"):
            read_hounsfield(tmp_path, header_of(study))
    else:
        assert read_hounsfield(tmp_path, header_of(study))[30, 30] == value - 1024


def test_read_hounsfield_metal_is_not_refused(tmp_path: Path, study_class: Any) -> None:
    """A blurred bright spot, as a scanner makes of a screw."""

    def change(dataset: Dataset, index: int) -> None:
        pixels = dataset.pixel_array.copy()
        pixels[29:32, 29:32] = 4000
        pixels[30, 30] = 20000
        dataset.PixelData = pixels.tobytes()

    study = study_class(tmp_path, slices=1, change=change).write()
    assert read_hounsfield(tmp_path, header_of(study)).max() == 20000 - 1024


@pytest.mark.parametrize(
    ("syntax", "module"),
    [
        (RLELossless, "pydicom"),
        (JPEGLosslessSV1, "gdcm"),
        (JPEGLSLossless, "jpeg_ls"),
        (JPEG2000Lossless, "openjpeg"),
    ],
)
def test_read_hounsfield_lossless_compression_changes_nothing(
    tmp_path: Path, study_class: Any, syntax: str, module: str
) -> None:
    pytest.importorskip(module, reason="needs the codecs extra")
    study = study_class(tmp_path, slices=1).write()
    expected = read_hounsfield(tmp_path, header_of(study))
    dataset = dcmread(study.files[0])
    if syntax == JPEGLosslessSV1:
        dataset.PixelData = encapsulate([lossless_jpeg(dataset.pixel_array)])
        dataset.file_meta.TransferSyntaxUID = syntax
        dataset["PixelData"].VR = "OB"
    else:
        dataset.compress(syntax)
    dataset.save_as(study.files[0])
    header = header_of(study)
    assert header.offset == -1
    assert (read_hounsfield(tmp_path, header) == expected).all()
    data = bytearray(study.files[0].read_bytes())
    del data[len(data) * 2 // 3 :]
    study.files[0].write_bytes(data)
    with pytest.raises(DataError, match="Copy the file again"):
        read_hounsfield(tmp_path, header_of(study))


def lossless_jpeg(pixels: np.ndarray) -> bytes:
    """One frame as JPEG Lossless, process 14, selection value 1 (ITU-T T.81 annex H), with one Huffman table in which
    the difference categories 0 to 15 have codes of 5 bits."""
    rows, columns = pixels.shape
    symbols = bytes(range(16))
    table = bytes([0]) + bytes([0, 0, 0, 0, 16] + [0] * 11) + symbols
    bits = []
    values = pixels.astype(np.int64)
    for row in range(rows):
        for column in range(columns):
            left, above = values[row, column - 1], values[row - 1, 0]
            guess = left if column else above if row else 1 << 15
            difference = int(values[row, column] - guess)
            size = abs(difference).bit_length()
            bits.append(f"{size:05b}")
            if size:
                bits.append(f"{difference if difference > 0 else difference + (1 << size) - 1:0{size}b}")
    text = "".join(bits)
    text += "1" * (-len(text) % 8)
    scan = int(text, 2).to_bytes(len(text) // 8, "big").replace(b"\xff", b"\xff\0")

    def segment(marker: int, body: bytes) -> bytes:
        return bytes([0xFF, marker]) + (len(body) + 2).to_bytes(2, "big") + body

    frame = bytes([16]) + rows.to_bytes(2, "big") + columns.to_bytes(2, "big") + bytes([1, 1, 0x11, 0])
    start = bytes([1, 1, 0, 1, 0, 0])
    return b"\xff\xd8" + segment(0xC3, frame) + segment(0xC4, table) + segment(0xDA, start) + scan + b"\xff\xd9"


@pytest.mark.parametrize("rows", [None, slice(20, 50)])
@pytest.mark.parametrize("padded_circle", [False, True])
def test_padding_value_of_tissue_leaves_the_patient_whole(
    tmp_path: Path, study_class: Any, padded_circle: bool, rows: slice | None
) -> None:
    """A program that rewrites values to HU may keep the PixelPaddingValue 0 of its source: 0 HU is water."""
    row, column = np.mgrid[:64, :64]
    body, inside = (row - 32) ** 2 + (column - 32) ** 2 < 20**2, (row - 32) ** 2 + (column - 32) ** 2 < 30**2
    values = np.where(body, np.random.default_rng(0).integers(-20, 21, (64, 64)), -1000)
    values[30:40, 30:40] = 0  # a cyst
    if padded_circle:
        values[~inside] = 0

    def change(dataset: Dataset, index: int) -> None:
        dataset.PixelData = values.astype("<i2").tobytes()
        dataset.PixelRepresentation, dataset.RescaleIntercept = 1, 0
        dataset.add_new("PixelPaddingValue", "SS", 0)

    study = study_class(tmp_path, slices=1, change=change).write()
    expected = values.astype(float)
    if padded_circle:
        expected[~inside] = np.nan
    read = read_hounsfield(tmp_path, header_of(study), rows)
    assert np.array_equal(read, expected[rows or slice(None)], equal_nan=True)


def read_padded(
    tmp_path: Path, study_class: Any, values: np.ndarray, padding: int, limit: int | None = None
) -> np.ndarray:
    """Write one slice of signed HU with a PixelPaddingValue and return what is read."""

    def change(dataset: Dataset, index: int) -> None:
        dataset.PixelData = values.astype("<i2").tobytes()
        dataset.PixelRepresentation, dataset.RescaleIntercept = 1, 0
        dataset.add_new("PixelPaddingValue", "SS", padding)
        if limit is not None:
            dataset.add_new("PixelPaddingRangeLimit", "SS", limit)

    study = study_class(tmp_path, slices=1, change=change).write()
    return read_hounsfield(tmp_path, header_of(study))


def water() -> np.ndarray:
    """Noise around 0 HU up to the edges, as where a small field of view lies inside the body."""
    values = np.random.default_rng(0).integers(-20, 21, (64, 64))
    values[20:24, 0] = 0  # a few equal pixels at the edge
    values[0, 0] = 0
    return values


@pytest.mark.parametrize(("padding", "limit"), [(32767, None), (3100, None), (-900, None), (32767, 2000)])
def test_padding_value_that_no_tissue_has_is_padding_inside_the_image_too(
    tmp_path: Path, study_class: Any, padding: int, limit: int | None
) -> None:
    """A mask over the face or over metal."""
    values = water()
    values[20:40, 20:40] = padding
    values[50, 50] = padding
    read = read_padded(tmp_path, study_class, values, padding, limit)
    assert np.array_equal(read, np.where(values == padding, np.nan, values), equal_nan=True)


def test_padding_range_leaves_its_values_of_tissue_inside_the_image(tmp_path: Path, study_class: Any) -> None:
    values = water()
    values[20:40, 20:40], values[45:55, 45:55] = 2500, 32767
    read = read_padded(tmp_path, study_class, values, 32767, 2000)
    assert np.array_equal(read, np.where(values == 32767, np.nan, values), equal_nan=True)


def frame(width: int) -> np.ndarray:
    inside = np.zeros((64, 64), bool)
    inside[width:-width, width:-width] = True
    return ~inside


def outside(radius: float) -> np.ndarray:
    row, column = np.mgrid[:64, :64] - 31.5
    return np.hypot(row, column) > radius


STRIP = np.mgrid[:64, :64]
PLACES = {
    "frame of one pixel": frame(1),
    "frame of three pixels": frame(3),
    "first row": STRIP[0] == 0,
    "last two columns": STRIP[1] >= 62,
    "half of the last row": (STRIP[0] == 63) & (STRIP[1] < 32),
    "corners of three pixels": outside(43.5),
    "corners": outside(35.0),
    "one wide corner": (STRIP[0] + STRIP[1]) < 12,
}


@pytest.mark.parametrize("place", PLACES)
def test_narrow_padding_along_the_edge_is_padding_though_tissue_may_have_its_value(
    tmp_path: Path, study_class: Any, place: str
) -> None:
    values = np.where(PLACES[place], 976, water())
    read = read_padded(tmp_path, study_class, values, 976)
    assert np.array_equal(read, np.where(PLACES[place], np.nan, values), equal_nan=True)


def test_few_pixels_of_the_padding_value_at_the_edge_of_tissue_are_tissue(tmp_path: Path, study_class: Any) -> None:
    values = water()
    assert np.array_equal(read_padded(tmp_path, study_class, values, 0), values)
