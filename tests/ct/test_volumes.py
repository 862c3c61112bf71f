"""NIfTI and NRRD volumes come out as the same slices as DICOM."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pytest_medgan.ct import load_real
from pytest_medgan.ct.load import prepare
from pytest_medgan.ct.volumes import read_volume_file
from pytest_medgan.errors import DataError
from pytest_medgan.records import DataSettings

Small = Callable[..., DataSettings]


def body(seed: int = 0) -> np.ndarray:
    """float64 [head,back,left]: each voxel tells where it is, and some are air."""
    head, back, left = np.mgrid[:5, :40, :44]
    return np.where(back < 5, -1000.0, head * 50.0 + back * 4.0 - left * 3.0 - seed * 7.0)


def write_nifti(path: Path, volume: np.ndarray, *, axes: str = "LPS") -> None:
    """`axes` are the directions in which the array's axes run."""
    nibabel = pytest.importorskip("nibabel")
    array, directions = arranged(volume, axes)
    affine = np.eye(4)
    affine[:3, :3] = np.diag([-1, -1, 1]) @ directions  # NIfTI counts to the right and to the front
    nibabel.save(nibabel.Nifti1Image(array.astype(np.int16), affine), path)


def write_nrrd(path: Path, volume: np.ndarray, *, axes: str = "LPS") -> None:
    nrrd = pytest.importorskip("nrrd")
    array, directions = arranged(volume, axes)
    header = {"space": "left-posterior-superior", "space directions": directions.T, "space origin": [0.0, 0.0, 0.0]}
    nrrd.write(str(path), array.astype(np.int16), header)


def arranged(volume: np.ndarray, axes: str) -> tuple[np.ndarray, np.ndarray]:
    """The volume with its axes running as named, and their directions (columns) in left, back, head."""
    places = {"L": (0, 1), "R": (0, -1), "P": (1, 1), "A": (1, -1), "S": (2, 1), "I": (2, -1)}
    array = volume.transpose(2, 1, 0)  # left, back, head
    chosen = [places[letter] for letter in axes]
    directions = np.zeros((3, 3))
    for at, (place, sign) in enumerate(chosen):
        directions[place, at] = sign
        if sign < 0:
            array = np.flip(array, place)
    return array.transpose([place for place, _ in chosen]), directions


@pytest.mark.parametrize("axes", ["LPS", "RAS", "LAI", "PLS", "SRP"])
@pytest.mark.parametrize("kind", ["nifti", "nrrd"])
def test_any_orientation_becomes_an_axial_slice(tmp_path: Path, axes: str, kind: str) -> None:
    path = tmp_path / {"nifti": f"{axes}.nii.gz", "nrrd": f"{axes}.nrrd"}[kind]
    (write_nifti if kind == "nifti" else write_nrrd)(path, body(), axes=axes)
    assert np.array_equal(read_volume_file(str(path), kind, path.name), np.trunc(body()))


def test_a_folder_of_volumes(small: Small, tmp_path: Path) -> None:
    root = tmp_path / "data"
    (root / "p3").mkdir(parents=True)
    for number in range(3):
        write_nifti(root / f"p{number}.nii.gz", body(number))
    write_nrrd(root / "p3" / "ct.nrrd", body(3))
    write_nifti(root / "p3" / "ct_gtv.nii.gz", body(3) > 0)  # a drawing, left out
    prepared = prepare(small(root, slices=3), cache_dir=tmp_path / "cache")
    assert prepared.pixels.shape == (12, 1, 16, 16)
    assert prepared.window == (-1000.0, 400.0)
    assert prepared.counts["volumes"] == 4
    assert prepared.counts["skipped: drawing"] == 1
    real = load_real(small(root), cache_dir=tmp_path / "cache")
    assert [len(side) for side in (real.training, real.reference, real.held_out)] == [10, 5, 5]


def mask(path: Path) -> None:
    write_nifti(path, (body() > 0).astype(float))


def oblique(path: Path) -> None:
    nibabel = pytest.importorskip("nibabel")
    affine = np.eye(4)
    affine[:3, :3] = [[1, 1, 0], [1, -1, 0], [0.9, 0.9, 0.1]]
    nibabel.save(nibabel.Nifti1Image(body().astype(np.int16), affine), path)


def four(path: Path) -> None:
    nibabel = pytest.importorskip("nibabel")
    nibabel.save(nibabel.Nifti1Image(np.zeros((4, 4, 4, 2), np.int16), np.eye(4)), path)


def broken(path: Path) -> None:
    write_nifti(path, body())
    path.write_bytes(path.read_bytes()[:500])


@pytest.mark.parametrize(
    ("make", "message"),
    [(mask, "holds no air"), (oblique, "oblique"), (four, "not one volume"), (broken, "no sound volume")],
)
def test_refused_volumes(small: Small, tmp_path: Path, make: Callable[[Path], None], message: str) -> None:
    root = tmp_path / "data"
    root.mkdir()
    make(root / "doe.nii")
    with pytest.raises(DataError, match=message) as caught:
        load_real(small(root), cache_dir=tmp_path / "cache")
    assert caught.value.file == "doe.nii"
    assert "doe" not in str(caught.value)


def test_two_volumes_of_one_patient(small: Small, tmp_path: Path) -> None:
    (tmp_path / "data" / "a").mkdir(parents=True)
    for name in ("x.nii", "y.nii"):
        write_nifti(tmp_path / "data" / "a" / name, body())
    with pytest.raises(DataError, match="second volume of one patient"):
        load_real(small(tmp_path / "data"), cache_dir=tmp_path / "cache")


def test_without_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import builtins

    honest = builtins.__import__

    def without(name: str, *rest: Any, **more: Any) -> Any:
        if name == "nibabel":
            raise ImportError(name)
        return honest(name, *rest, **more)

    write_nifti(tmp_path / "x.nii", body())
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(DataError, match=r"install pytest-medgan\[volumes\]"):
        read_volume_file(str(tmp_path / "x.nii"), "nifti", "x.nii")
