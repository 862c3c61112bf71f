"""Folders of PNG and TIFF."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pytest_medgan.ct import load_real
from pytest_medgan.ct.load import prepare
from pytest_medgan.ct.rasters import read_raster
from pytest_medgan.errors import DataError
from pytest_medgan.records import DataSettings

Small = Callable[..., DataSettings]


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


def test_a_folder_a_patient(folder: Path, small: Small, tmp_path: Path) -> None:
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


def test_larger_pictures_are_cropped_and_resized_like_slices(small: Small, tmp_path: Path) -> None:
    (tmp_path / "p" / "a").mkdir(parents=True)
    flat = np.full((40, 40), 77, np.uint8)
    flat[:4] = flat[-4:] = 0  # outside the crop of 32
    Image.fromarray(flat).save(tmp_path / "p" / "a" / "x.tif")
    prepared = prepare(small(tmp_path / "p", split="slice"), cache_dir=tmp_path / "cache")
    assert (prepared.pixels == 77).all()


def test_a_table_of_files(folder: Path, small: Small, tmp_path: Path) -> None:
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.png"))
    rows = [f"{name},doe-{at % 3}\n" for at, name in enumerate(names)]
    (folder / "files.csv").write_text("file,patient\n" + "".join(rows))
    prepared = prepare(small(folder), cache_dir=tmp_path / "cache")
    assert sorted(np.unique(prepared.groups, return_counts=True)[1]) == [2, 3, 3]
    (folder / "files.csv").write_text("file,patient\n" + "".join(rows[1:]))
    with pytest.raises(DataError, match="1 pictures are not in the table"):
        prepare(small(folder), cache_dir=tmp_path / "cache")


def test_a_clinical_table_labels_folders(folder: Path, small: Small, tmp_path: Path) -> None:
    (folder / "clinical.csv").write_text("patient,event\ncase-0,1\ncase-1,0\ncase-2,1\n")
    prepared = prepare(small(folder), cache_dir=tmp_path / "cache")
    assert prepared.labels.tolist() == [1, 1, 0, 0, 1, 1, -1, -1]


@pytest.mark.parametrize(("suffix", "kind"), [("png", np.uint16), ("tif", np.uint16)])
def test_sixteen_bits_are_grey_of_full_scale(small: Small, tmp_path: Path, suffix: str, kind: type) -> None:
    """Never stretched: a dim picture stays dim."""
    (tmp_path / "p" / "a").mkdir(parents=True)
    values = np.full((16, 16), 257 * 9, kind)
    values[0, 0] = 257 * 10
    Image.fromarray(values).save(tmp_path / "p" / "a" / f"x.{suffix}")
    prepared = prepare(small(tmp_path / "p", split="slice"), cache_dir=tmp_path / "cache")
    assert prepared.pixels[0, 0, 0, 0] == 10
    assert (prepared.pixels[0, 0, 1:] == 9).all()
    assert "16-bit pictures were taken as grey of full scale" in prepared.warnings[0]


def test_sixteen_bits_that_a_table_calls_hounsfield(small: Small, tmp_path: Path) -> None:
    (tmp_path / "p").mkdir()
    Image.fromarray(np.full((16, 16), 32768 - 300, np.uint16)).save(tmp_path / "p" / "x.png")
    (tmp_path / "p" / "t.csv").write_text("file,patient,slope,intercept\nx.png,a,1,-32768\n")
    prepared = prepare(small(tmp_path / "p", split="slice"), cache_dir=tmp_path / "cache")
    assert (prepared.pixels == 128).all()
    assert prepared.window == (-1000.0, 400.0)
    assert prepared.warnings == ()


@pytest.mark.parametrize("kind", [np.int32, np.float32])
def test_signed_and_floating_tiffs_are_hounsfield(small: Small, tmp_path: Path, kind: type) -> None:
    (tmp_path / "p").mkdir()
    Image.fromarray(np.full((16, 16), -300, kind)).save(tmp_path / "p" / "x.tif")
    prepared = prepare(small(tmp_path / "p", split="slice"), cache_dir=tmp_path / "cache")
    assert (prepared.pixels == 128).all()
    assert prepared.window == (-1000.0, 400.0)


def test_pictures_in_one_folder_name_no_patients(small: Small, tmp_path: Path) -> None:
    (tmp_path / "p").mkdir()
    for index in range(6):
        Image.fromarray(picture(index)).save(tmp_path / "p" / f"{index}.png")
    with pytest.raises(DataError, match="name no patients, which split=patient needs"):
        load_real(small(tmp_path / "p"), cache_dir=tmp_path / "cache")
    assert len(load_real(small(tmp_path / "p", split="slice"), cache_dir=tmp_path / "cache").training) == 6


def colour(path: Path) -> None:
    Image.fromarray(np.zeros((16, 16, 3), np.uint8)).save(path)


def palette(path: Path) -> None:
    Image.fromarray(picture(1)).convert("P").save(path)


def tiny(path: Path) -> None:
    Image.fromarray(picture(1, side=20)).save(path)


def broken(path: Path) -> None:
    Image.fromarray(picture(1, side=64)).save(path)
    path.write_bytes(path.read_bytes()[:-40])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def sixteen(path: Path) -> None:
    Image.fromarray(picture(1, np.uint16)).save(path)


def nan(path: Path) -> None:
    values = picture(1, np.float32)
    values[3, 3] = np.nan
    Image.fromarray(values).save(path, format="TIFF")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (colour, "in colour"),
        (palette, "palette"),
        (tiny, "20x20, smaller than crop_size 32"),
        (broken, "no sound picture"),
        (empty, "named like a picture"),
    ],
)
def test_refused_pictures(
    folder: Path, small: Small, tmp_path: Path, make: Callable[[Path], None], message: str
) -> None:
    make(folder / "case-1" / "slice-9.png")
    with pytest.raises(DataError, match=message) as caught:
        load_real(small(folder), cache_dir=tmp_path / "cache")
    assert caught.value.file == "case-1/slice-9.png"


def test_grey_and_hounsfield_do_not_mix(folder: Path, small: Small, tmp_path: Path) -> None:
    sixteen(folder / "case-1" / "slice-9.png")
    with pytest.raises(DataError, match="some pictures hold"):
        load_real(small(folder), cache_dir=tmp_path / "cache")


def test_nan(tmp_path: Path) -> None:
    nan(tmp_path / "x.tif")
    with pytest.raises(DataError, match="not finite"):
        read_raster(tmp_path, "x.tif", None)


@pytest.mark.parametrize(
    ("row", "message"),
    [("x.png,", "line 2 names no file"), ("x.png,a,z,1", "no number"), ("x.png,a,-1,1", "out of range")],
)
def test_refused_tables(small: Small, tmp_path: Path, row: str, message: str) -> None:
    (tmp_path / "p").mkdir()
    Image.fromarray(picture(1)).save(tmp_path / "p" / "x.png")
    (tmp_path / "p" / "t.csv").write_text(f"file,patient,slope,intercept\n{row}\n")
    with pytest.raises(DataError, match=message) as caught:
        load_real(small(tmp_path / "p", split="slice"), cache_dir=tmp_path / "cache")
    assert caught.value.file == "t.csv"
