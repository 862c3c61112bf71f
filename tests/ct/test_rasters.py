"""Folders of PNG and TIFF."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pytest_medgan.ct import load_real
from pytest_medgan.ct.load import prepare
from pytest_medgan.ct.store import ImageSettings
from pytest_medgan.errors import DataError, SettingsError
from pytest_medgan.records import DataSettings

Small = Callable[..., DataSettings]


@pytest.fixture
def small() -> Small:
    """Settings for pictures of 16 x 16 pixels, which are taken whole."""

    def settings(source: Path | str, **changes: Any) -> DataSettings:
        return DataSettings(**{"source": str(source), "size": 16, "slices": None} | changes)

    return settings


def picture(seed: int, kind: type = np.uint8, side: int = 16) -> np.ndarray:
    row, column = np.mgrid[:side, :side]
    return ((row * 37 + column * 101 + seed * 53) % 251).astype(kind)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four patients with two finished pictures each, a folder a patient."""
    root = tmp_path / "pictures"
    for patient in range(4):
        (root / f"case-{patient}").mkdir(parents=True)
        for index in (9, 10):
            Image.fromarray(picture(patient * 20 + index)).save(root / f"case-{patient}" / f"slice-{index}.png")
    return root


def test_prepare_takes_each_folder_as_a_patient(folder: Path, small: Small, tmp_path: Path) -> None:
    prepared = prepare(small(folder), cache_dir=tmp_path / "cache")
    assert prepared.pixels.shape == (8, 1, 16, 16)
    assert prepared.window is None
    # pictures of the finished size are taken as they are, slice-9 before slice-10
    for row, (patient, index) in enumerate((patient, index) for patient in range(4) for index in (9, 10)):
        assert np.array_equal(prepared.pixels[row, 0], picture(patient * 20 + index))
    assert len(set(prepared.groups.tolist())) == 4
    assert not any("case" in group for group in prepared.groups)
    real = load_real(small(folder), cache_dir=tmp_path / "cache")
    assert [len(side) for side in (real.training, real.reference, real.held_out)] == [4, 2, 2]


def test_prepare_crops_and_resizes_larger_pictures_like_slices(small: Small, tmp_path: Path) -> None:
    (tmp_path / "p" / "a").mkdir(parents=True)
    flat = np.full((40, 40), 77, np.uint8)
    flat[:4] = flat[-4:] = 0  # outside the crop of 16
    Image.fromarray(flat).save(tmp_path / "p" / "a" / "x.tif")
    prepared = prepare(small(tmp_path / "p", split="slice", crop_size=16), cache_dir=tmp_path / "cache")
    assert (prepared.pixels == 77).all()


def test_prepare_reads_folders_whose_names_are_not_utf_8(folder: Path, small: Small, tmp_path: Path) -> None:
    try:
        for at, patient in enumerate(sorted(folder.iterdir())):
            patient.rename(folder / os.fsdecode(b"Mu\xeb ller\n%d" % at))
    except OSError:
        pytest.skip("the file system takes UTF-8 names alone")
    prepared = prepare(small(folder), cache_dir=tmp_path / "cache")
    assert len(set(prepared.groups.tolist())) == 4
    assert all(group.isascii() for group in prepared.groups.tolist())


def test_prepare_takes_patients_from_a_table_of_files(folder: Path, small: Small, tmp_path: Path) -> None:
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.png"))
    rows = [f"{name},doe-{at % 3}\n" for at, name in enumerate(names)]
    (folder / "files.csv").write_text("file,patient\n" + "".join(rows))
    prepared = prepare(small(folder), cache_dir=tmp_path / "cache")
    assert sorted(np.unique(prepared.groups, return_counts=True)[1]) == [2, 3, 3]
    (folder / "files.csv").write_text("file,patient\n" + "".join(rows[1:]))
    with pytest.raises(DataError, match="1 pictures are not in the table"):
        prepare(small(folder), cache_dir=tmp_path / "cache")


OWNERS = ("a,1,0", "a,1,0", "b,1,0", "b,1,0")  # a table's patient, slope and intercept of each picture


@pytest.mark.parametrize(
    ("seeds", "changed"),
    [
        ((0, 0, 0, 0), ("a,1,0", "b,1,0", "b,1,0", "b,1,0")),
        ((0, 1, 2, 3), ("a,1,0", "b,1,0", "a,1,0", "b,1,0")),
        ((0, 1, 2, 3), ("a,1,0", "a,1,0", "b,1,0", "b,1,9")),
        ((0, 1, 2, 3), ("a,1,0", "a,1,0", "b,1,0", "b,2,0")),
    ],
)
def test_prepare_table_that_changes_patients_or_values_makes_another_data_set(
    small: Small, tmp_path: Path, seeds: tuple[int, ...], changed: tuple[str, ...]
) -> None:
    (tmp_path / "p").mkdir()
    for index, seed in enumerate(seeds):
        Image.fromarray(picture(seed)).save(tmp_path / "p" / f"{index}.png")
    found = []
    for rows in (OWNERS, changed):
        lines = [f"{index}.png,{row}\n" for index, row in enumerate(rows)]
        (tmp_path / "p" / "t.csv").write_text("file,patient,slope,intercept\n" + "".join(lines))
        found.append(prepare(small(tmp_path / "p", split="slice"), cache_dir=tmp_path / "cache"))
    one, other = found
    assert one.digest != other.digest
    assert not np.array_equal(one.pixels, other.pixels) or one.groups.tolist() != other.groups.tolist()


def test_prepare_folders_that_exchange_pictures_make_another_data_set(
    folder: Path, small: Small, tmp_path: Path
) -> None:
    one = prepare(small(folder), cache_dir=tmp_path / "cache")
    first, second = folder / "case-0" / "slice-9.png", folder / "case-1" / "slice-9.png"
    first.rename(tmp_path / "kept.png")
    second.rename(first)
    (tmp_path / "kept.png").rename(second)
    other = prepare(small(folder), cache_dir=tmp_path / "cache")
    assert other.digest != one.digest
    assert np.array_equal(other.pixels[0], one.pixels[2])


def test_prepare_labels_folders_by_a_clinical_table(folder: Path, small: Small, tmp_path: Path) -> None:
    (folder / "clinical.csv").write_text("patient,event\ncase-0,1\ncase-1,0\ncase-2,1\n")
    prepared = prepare(small(folder), cache_dir=tmp_path / "cache")
    assert prepared.labels.tolist() == [1, 1, 0, 0, 1, 1, -1, -1]


@pytest.mark.parametrize(("suffix", "kind"), [("png", np.uint16), ("tif", np.uint16)])
def test_prepare_sixteen_bits_are_grey_of_full_scale(small: Small, tmp_path: Path, suffix: str, kind: type) -> None:
    """Never stretched: a dim picture stays dim."""
    (tmp_path / "p" / "a").mkdir(parents=True)
    greys = np.arange(256).reshape(16, 16) * 150 // 255
    Image.fromarray((257 * greys).astype(kind)).save(tmp_path / "p" / "a" / f"x.{suffix}")
    prepared = prepare(small(tmp_path / "p", split="slice"), cache_dir=tmp_path / "cache")
    assert np.array_equal(prepared.pixels[0, 0], greys)
    assert "16-bit pictures are taken as grey of full scale" in prepared.warnings[0]


def test_prepare_sixteen_bits_with_slope_and_intercept_are_hounsfield(small: Small, tmp_path: Path) -> None:
    (tmp_path / "p").mkdir()
    Image.fromarray(np.full((16, 16), 32768 - 300, np.uint16)).save(tmp_path / "p" / "x.png")
    (tmp_path / "p" / "t.csv").write_text("file,patient,slope,intercept\nx.png,a,1,-32768\n")
    prepared = prepare(small(tmp_path / "p", split="slice"), cache_dir=tmp_path / "cache")
    assert (prepared.pixels == 128).all()
    assert prepared.window == (-1000.0, 400.0)
    assert prepared.warnings == ()


def test_prepare_of_three_channels_refuses_a_table_that_gives_hounsfield(
    folder: Path, small: Small, tmp_path: Path
) -> None:
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.png"))
    table = folder / "files.csv"
    table.write_text("file,patient,slope,intercept\n" + "".join(f"{name},a,10,-1000\n" for name in names))
    with pytest.raises(DataError, match="gives slope and intercept to HU, and channels=3 reads colours"):
        prepare(small(folder, split="slice", channels=3), cache_dir=tmp_path / "cache")


@pytest.mark.parametrize("kind", [np.int32, np.float32])
def test_prepare_signed_and_floating_values_with_air_are_hounsfield(small: Small, tmp_path: Path, kind: type) -> None:
    (tmp_path / "p").mkdir()
    Image.fromarray(np.full((16, 16), -300, kind)).save(tmp_path / "p" / "x.tif")
    prepared = prepare(small(tmp_path / "p", split="slice"), cache_dir=tmp_path / "cache")
    assert (prepared.pixels == 128).all()
    assert prepared.window == (-1000.0, 400.0)


def test_load_real_pictures_in_one_folder_have_no_patients(small: Small, tmp_path: Path) -> None:
    (tmp_path / "p").mkdir()
    for index in range(6):
        Image.fromarray(picture(index)).save(tmp_path / "p" / f"{index}.png")
    with pytest.raises(DataError, match="have no patients, which split=patient needs"):
        load_real(small(tmp_path / "p"), cache_dir=tmp_path / "cache")
    assert len(load_real(small(tmp_path / "p", split="slice"), cache_dir=tmp_path / "cache").training) == 6


def colour(path: Path) -> None:
    Image.fromarray(np.stack([picture(1), picture(1), picture(2)], axis=2)).save(path)


def tiny(path: Path) -> None:
    Image.fromarray(picture(1, side=20)).save(path)


def broken(path: Path) -> None:
    Image.fromarray(picture(1, side=64)).save(path)
    path.write_bytes(path.read_bytes()[:-40])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def nan(path: Path) -> None:
    values = picture(1, np.float32)
    values[3, 3] = np.nan
    Image.fromarray(values).save(path, format="TIFF")


@pytest.mark.parametrize(
    ("make", "message", "reason"),
    [
        (colour, "in colour: its channels differ", "picture that cannot be read"),
        (broken, "picture is damaged", "picture that cannot be read"),
        (empty, "named like a picture is not a picture", "empty file"),
        (nan, "not finite", "picture that cannot be read"),
    ],
)
def test_prepare_unreadable_picture_is_passed_over_or_refused_if_strict(
    *, folder: Path, small: Small, tmp_path: Path, make: Callable[[Path], None], message: str, reason: str
) -> None:
    make(folder / "case-1" / "slice-9.png")
    prepared = prepare(small(folder), cache_dir=tmp_path / "cache")
    assert len(prepared.pixels) == 7
    assert prepared.warnings == (f"passed over: 1 {reason}",)
    assert prepared.counts[f"skipped: {reason}"] == 1
    assert prepared.named[reason] == ("case-1/slice-9.png",)
    with pytest.raises(DataError, match=message) as caught:
        prepare(small(folder, strict=True), cache_dir=tmp_path / "cache")
    assert caught.value.file == "case-1/slice-9.png"


def test_prepare_only_unreadable_pictures_is_an_error(small: Small, tmp_path: Path) -> None:
    (tmp_path / "p").mkdir()
    colour(tmp_path / "p" / "x.png")
    with pytest.raises(DataError, match="in colour"):
        prepare(small(tmp_path / "p", split="slice"), cache_dir=tmp_path / "cache")


def test_prepare_picture_smaller_than_the_crop_is_refused(folder: Path, small: Small, tmp_path: Path) -> None:
    tiny(folder / "case-1" / "slice-9.png")
    with pytest.raises(DataError, match="20x20, smaller than crop_size=32") as caught:
        prepare(small(folder, crop_size=32), cache_dir=tmp_path / "cache")
    assert caught.value.file == "case-1/slice-9.png"


def test_prepare_grey_and_hounsfield_together_are_refused(folder: Path, small: Small, tmp_path: Path) -> None:
    Image.fromarray(picture(1, np.int32) - 1000).save(folder / "case-1" / "slice-9.tif")
    with pytest.raises(DataError, match="Some pictures hold"):
        load_real(small(folder), cache_dir=tmp_path / "cache")


def test_prepare_jpeg_among_png_is_used(folder: Path, small: Small, tmp_path: Path) -> None:
    """One folder, both kinds, and neither is dropped in silence."""
    for patient in range(3):
        Image.fromarray(picture(patient)).save(folder / f"case-{patient}" / "slice-11.jpg", quality=100)
    prepared = prepare(small(folder), cache_dir=tmp_path / "cache")
    assert prepared.counts["pictures"] == len(prepared.pixels) == 11
    assert prepared.warnings == ("3 pictures were compressed with loss",)
    assert np.abs(prepared.pixels[2, 0].astype(int) - picture(0)).max() <= 3


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "LA"])
def test_prepare_equal_colour_channels_give_the_same_grey(
    folder: Path, small: Small, tmp_path: Path, mode: str
) -> None:
    expected = prepare(small(folder), cache_dir=tmp_path / "one").pixels
    for path in folder.rglob("*.png"):
        Image.open(path).convert(mode).save(path)
    assert np.array_equal(prepare(small(folder), cache_dir=tmp_path / "two").pixels, expected)


def test_prepare_files_of_other_kinds_are_counted_and_named(folder: Path, small: Small, tmp_path: Path) -> None:
    (folder / "readme.txt").write_text("x")
    (folder / "case-1" / "slice-9.gif").write_bytes(b"GIF89a")
    (folder / ".ipynb_checkpoints").mkdir()
    shutil.copy(folder / "case-1" / "slice-9.png", folder / ".ipynb_checkpoints" / "slice-9.png")
    prepared = prepare(small(folder), cache_dir=tmp_path / "cache")
    assert len(prepared.pixels) == 8
    assert prepared.counts["skipped: file of another kind"] == 2
    assert prepared.named["file of another kind"] == ("case-1/slice-9.gif", "readme.txt")


FLOATS = [
    (np.float32, 0.0, 1.0, "from 0 to 1, which are not HU of a chest.*range=0:1"),
    (np.float32, -1.0, 1.0, "from -1 to 1"),
    (np.int32, 0.0, 4095.0, "from 0 to 4095"),
    (np.uint16, 0.0, 4095.0, "values of at most 4095, so 65535 may not be their white.*range=0:4095"),
]


@pytest.mark.parametrize(("kind", "low", "high", "message"), FLOATS)
def test_prepare_values_of_unknown_meaning_are_refused_without_range(
    *, small: Small, tmp_path: Path, kind: type, low: float, high: float, message: str
) -> None:
    (tmp_path / "p").mkdir()
    values = np.linspace(low, high, 256).reshape(16, 16)
    Image.fromarray(values.astype(kind)).save(tmp_path / "p" / "x.tif")
    with pytest.raises(DataError, match=message) as caught:
        prepare(small(tmp_path / "p", split="slice"), cache_dir=tmp_path / "cache")
    assert caught.value.file == "x.tif"
    settings = small(tmp_path / "p", split="slice", range=(low, high))
    prepared = prepare(settings, cache_dir=tmp_path / "cache")
    assert prepared.window is None
    assert np.abs(prepared.pixels.ravel().astype(int) - np.arange(256)).max() <= 1
    with pytest.raises(DataError, match="beyond the range"):
        prepare(small(tmp_path / "p", split="slice", range=(low, high / 2)), cache_dir=tmp_path / "cache")


def test_prepare_folders_that_look_like_classes_are_warned_of(small: Small, tmp_path: Path) -> None:
    for kind in ("sick", "well"):
        for patient in range(3):
            (tmp_path / "p" / kind / f"P{patient}").mkdir(parents=True)
            for index in range(15):
                seed = patient * 100 + index + 7 * (kind == "sick")
                Image.fromarray(picture(seed)).save(tmp_path / "p" / kind / f"P{patient}" / f"P{patient}_{index}.png")
    settings = small(tmp_path / "p", split="patient")
    prepared = prepare(settings, cache_dir=tmp_path / "cache")
    assert prepared.counts["patients"] == 2
    (warning,) = prepared.warnings
    assert warning.startswith("2 groups of 45 to 45 images are taken as patients, by the topmost folder of each file")
    for rule, patients in (("folder", 6), ("file", 3)):
        prepared = prepare(small(tmp_path / "p", patient=rule), cache_dir=tmp_path / "cache")
        assert prepared.counts["patients"] == patients


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("x.png,", "Line 2 .* has no file"),
        ("x.png,a,z,1", "no usable slope"),
        ("x.png,a,-1,1", "no usable slope"),
        ("x.png,a\nx.png,a\nx.png,b", "Line 4 .* says something else of a file than another line"),
    ],
)
def test_prepare_table_of_files_that_cannot_be_used_is_refused(
    small: Small, tmp_path: Path, row: str, message: str
) -> None:
    (tmp_path / "p").mkdir()
    Image.fromarray(picture(1)).save(tmp_path / "p" / "x.png")
    (tmp_path / "p" / "t.csv").write_text(f"file,patient,slope,intercept\n{row}\n")
    with pytest.raises(DataError, match=message) as caught:
        load_real(small(tmp_path / "p", split="slice"), cache_dir=tmp_path / "cache")
    assert caught.value.file == "t.csv"


def coloured_picture(seed: int, side: int = 16) -> np.ndarray:
    return np.stack([picture(seed, side=side), picture(seed + 7, side=side), picture(seed + 31, side=side)], axis=2)


def test_prepare_of_three_channels_takes_colours_as_they_are_and_repeats_grey(
    folder: Path, small: Small, tmp_path: Path
) -> None:
    Image.fromarray(coloured_picture(3)).save(folder / "case-0" / "slice-9.png")
    prepared = prepare(small(folder, channels=3), cache_dir=tmp_path / "cache")
    assert prepared.pixels.shape == (8, 3, 16, 16)
    assert np.array_equal(prepared.pixels[0], coloured_picture(3).transpose(2, 0, 1))
    assert np.array_equal(prepared.pixels[1], np.stack([picture(10)] * 3))
    again = prepare(small(folder, channels=3), cache_dir=tmp_path / "cache")
    assert np.array_equal(again.pixels, prepared.pixels)
    assert again.settings.channels == 3


def test_prepare_of_three_channels_crops_and_resizes_each_as_grey(small: Small, tmp_path: Path) -> None:
    (tmp_path / "p").mkdir()
    whole = coloured_picture(5, side=50)
    Image.fromarray(whole).save(tmp_path / "p" / "x.png")
    settings = small(tmp_path / "p", split="slice", crop_size=16)
    colour = prepare(replace(settings, channels=3), cache_dir=tmp_path / "cache").pixels[0]
    for channel in range(3):
        Image.fromarray(whole[..., channel]).save(tmp_path / "p" / "x.png")
        grey = prepare(settings, cache_dir=tmp_path / f"cache{channel}").pixels[0, 0]
        assert np.array_equal(colour[channel], grey)


def test_digest_of_grey_images_does_not_name_the_channels(folder: Path, small: Small, tmp_path: Path) -> None:
    grey = load_real(small(folder), cache_dir=tmp_path / "cache")
    three = load_real(small(folder, channels=3), cache_dir=tmp_path / "cache")
    assert grey.digest != three.digest
    assert "channels" not in ImageSettings.of(small(folder), "image").as_identity()
    assert three.settings.channels == 3


def test_prepare_coloured_picture_names_the_option_for_colours(small: Small, tmp_path: Path) -> None:
    (tmp_path / "p").mkdir()
    colour(tmp_path / "p" / "x.png")
    with pytest.raises(DataError, match=r"Save it in grey, or add channels=3 to the data"):
        prepare(small(tmp_path / "p", split="slice"), cache_dir=tmp_path / "cache")


def test_prepare_of_two_channels_is_refused(folder: Path, small: Small, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"channels is 2\. Give 1 for grey or 3 for colour"):
        prepare(small(folder, channels=2), cache_dir=tmp_path / "cache")


@pytest.mark.parametrize(("bright", "refused"), [(0, True), (2, True), (5, False), (8, False)])
def test_prepare_twelve_bits_are_noticed_where_a_few_pictures_hold_a_bright_mark(
    small: Small, tmp_path: Path, bright: int, refused: bool
) -> None:
    (tmp_path / "p").mkdir()
    for at in range(8):
        values = np.random.default_rng(at).integers(0, 4096, (16, 16)).astype(np.uint16)
        values[0, 0] = 65535 if at < bright else 4095
        Image.fromarray(values).save(tmp_path / "p" / f"{at}.png")
    settings = small(tmp_path / "p", split="slice")
    if not refused:
        assert prepare(settings, cache_dir=tmp_path / "cache").pixels.shape == (8, 1, 16, 16)
        return
    some = "The" if not bright else f"{8 - bright} of 8"
    with pytest.raises(
        DataError, match=f"{some} 16-bit pictures hold values of at most 4095, so 65535 may not be"
    ) as caught:
        prepare(settings, cache_dir=tmp_path / "cache")
    assert caught.value.file == f"{bright}.png"


def test_prepare_sixteen_bits_of_full_scale_that_are_mostly_dark_are_read_with_the_range_that_the_error_names(
    small: Small, tmp_path: Path
) -> None:
    (tmp_path / "p").mkdir()
    pixels = [np.random.default_rng(at).integers(0, 4000 if at < 7 else 65536, (16, 16)) for at in range(12)]
    for at, values in enumerate(pixels):
        values[0, 0] = 0
        Image.fromarray(values.astype(np.uint16)).save(tmp_path / "p" / f"{at:02}.png")
    with pytest.raises(DataError, match=r"7 of 12 16-bit pictures hold .* range=0:65535 for full scale"):
        prepare(small(tmp_path / "p", split="slice"), cache_dir=tmp_path / "cache")
    settings = small(tmp_path / "p", split="slice", range=(0.0, 65535.0))
    prepared = prepare(settings, cache_dir=tmp_path / "cache")
    assert prepared.warnings == ()
    assert np.abs(prepared.pixels[:, 0] - np.stack(pixels) / 257).max() <= 0.5
