"""Spacing and direction of the voxels of a volume: what cubes are made of, and what two statements of one file mean."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pytest_medgan.ct.load import prepare
from pytest_medgan.errors import DataError
from pytest_medgan.records import DataSettings, UInt8

Small = Callable[..., DataSettings]
SPACING = (0.7, 0.7, 2.5)  # mm, left, back, head


def scan() -> np.ndarray:
    """Return int16 [left,back,head], 31 x 28 x 50 mm at SPACING; some voxels are air."""
    left, back, head = np.mgrid[:44, :40, :20]
    return np.where(back < 5, -1000, head * 20 + back * 4 - left * 3).astype(np.int16)


def affine(spacing: tuple[float, ...] = SPACING) -> np.ndarray:
    return np.diag([-spacing[0], -spacing[1], spacing[2], 1.0])  # NIfTI counts to the right and to the front


def save_nifti(path: Path, matrix: np.ndarray | None, change: Callable[[Any], None] = id) -> None:
    nibabel = pytest.importorskip("nibabel")
    image = nibabel.Nifti1Image(scan(), matrix)
    change(image)
    nibabel.save(image, path)


def save_nrrd(path: Path, **fields: Any) -> None:
    pytest.importorskip("nrrd").write(str(path), scan(), fields)


def save_metaimage(path: Path, *lines: str) -> None:
    head = ["ObjectType = Image", "NDims = 3", "BinaryData = True", *lines, "DimSize = 44 40 20"]
    head += ["ElementType = MET_SHORT", "ElementDataFile = LOCAL"]
    path.write_bytes("\n".join([*head, ""]).encode() + scan().astype("<i2").tobytes(order="F"))


def cut(small: Small, folder: Path, **options: Any) -> UInt8:
    options = {"crop_size": 32, "planes": "three", "slices": 3, "split": "slice"} | options
    return prepare(small(folder, **options), cache_dir=folder.parent / "cache").pixels


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "scans").mkdir()
    return tmp_path / "scans"


@pytest.fixture
def expected(small: Small, tmp_path: Path) -> UInt8:
    """Return the slices of a cube of the scan, read from a NIfTI file."""
    (tmp_path / "nifti").mkdir()
    save_nifti(tmp_path / "nifti" / "a.nii.gz", affine())
    return cut(small, tmp_path / "nifti")


@pytest.mark.parametrize("orientation", [["TransformMatrix = 1 0 0 0 1 0 0 0 1"], []], ids=["stated", "guessed"])
@pytest.mark.parametrize("key", ["ElementSpacing", "ElementSize"])
def test_cube_of_a_metaimage_keeps_the_spacing_of_its_voxels(
    small: Small, folder: Path, expected: UInt8, orientation: list[str], key: str
) -> None:
    save_metaimage(folder / "a.mha", *orientation, f"{key} = 0.7 0.7 2.5")
    assert np.array_equal(cut(small, folder), expected)


def test_cube_of_an_nrrd_without_directions_keeps_its_spacings(small: Small, folder: Path, expected: UInt8) -> None:
    save_nrrd(folder / "a.nrrd", spacings=list(SPACING))
    assert np.array_equal(cut(small, folder), expected)


def test_cube_of_an_nrrd_of_an_unnamed_space_keeps_its_spacing(small: Small, folder: Path, expected: UInt8) -> None:
    directions = {"space dimension": 3, "space directions": np.diag(SPACING), "space origin": [0.0, 0.0, 0.0]}
    save_nrrd(folder / "a.nrrd", **directions)
    assert np.array_equal(cut(small, folder), expected)


@pytest.mark.parametrize("spacing", ["0.7 0.7 0", "0.7 0.7", "0.7 0.7 nan"])
def test_metaimage_without_a_usable_spacing_is_damaged(small: Small, folder: Path, spacing: str) -> None:
    save_metaimage(folder / "a.mha", f"ElementSpacing = {spacing}")
    with pytest.raises(DataError, match="damaged"):
        cut(small, folder)


def test_metaimage_with_values_as_text_is_refused(small: Small, folder: Path) -> None:
    save_metaimage(folder / "a.mha")
    path = folder / "a.mha"
    path.write_bytes(path.read_bytes().replace(b"BinaryData = True", b"BinaryData = False"))
    with pytest.raises(DataError, match="values as text"):
        cut(small, folder)


def sheared() -> np.ndarray:
    """Return the affine of slices that step a millimetre to the front for each that they step to the head."""
    matrix = affine()
    matrix[1, 2] = 1.0
    return matrix


def test_cube_of_a_volume_of_a_tilted_gantry_is_refused_and_its_slices_are_read(small: Small, folder: Path) -> None:
    save_nifti(folder / "a.nii.gz", sheared())
    with pytest.raises(DataError, match="tilted gantry"):
        cut(small, folder)
    assert len(cut(small, folder, planes="axial")) == 3


def test_cube_of_a_volume_that_lies_askew_as_a_whole_is_cut(small: Small, folder: Path, expected: UInt8) -> None:
    turn = np.eye(4)
    turn[1:3, 1:3] = [[np.cos(0.1), -np.sin(0.1)], [np.sin(0.1), np.cos(0.1)]]  # the head is bowed, the grid is upright
    save_nifti(folder / "a.nii.gz", turn @ affine())
    assert np.array_equal(cut(small, folder), expected)


def test_pixels_that_are_not_square_are_warned_of_and_make_no_cube(small: Small, folder: Path) -> None:
    save_nifti(folder / "a.nii.gz", affine((0.7, 0.9, 2.5)))
    with pytest.raises(DataError, match=r"0\.9 mm high and 0\.7 mm wide"):
        cut(small, folder)
    warnings = prepare(small(folder, split="slice"), cache_dir=folder.parent / "cache").warnings
    assert "1 volumes have pixels that are not square: their images are stretched" in warnings


DISPUTED = "1 NIfTI volumes state two geometries that differ: the sform is taken, not the qform or pixdim"


def flip_qform(image: Any) -> None:
    image.set_qform(image.affine @ np.diag([1.0, -1.0, 1.0, 1.0]), 1)


def agree(image: Any) -> None:
    image.set_qform(image.affine, 1)
    image.set_sform(image.affine, 2)


def forget_pixdim(image: Any) -> None:
    image.set_sform(image.affine, 1)
    image.set_qform(None, 0)
    image.header.set_zooms((1.0, 1.0, 1.0))


def lengthen_quaternion(image: Any) -> None:
    agree(image)
    image.header["quatern_b"], image.header["quatern_c"], image.header["quatern_d"] = 0.9, 0.9, 0.0


def lose_quaternion(image: Any) -> None:
    agree(image)
    image.header["quatern_b"] = np.nan


QFORMS = [(flip_qform, True), (forget_pixdim, True), (lengthen_quaternion, True), (lose_quaternion, True)]


@pytest.mark.parametrize(("change", "warned"), [*QFORMS, (agree, False), (id, False)])
def test_two_geometries_of_one_nifti_file_are_warned_of(
    small: Small, folder: Path, change: Callable[[Any], None], warned: bool
) -> None:
    save_nifti(folder / "a.nii.gz", affine(), change)
    warnings = prepare(small(folder, split="slice"), cache_dir=folder.parent / "cache").warnings
    assert (DISPUTED in warnings) is warned
