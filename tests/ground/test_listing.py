"""The kind of a file is detected by its content."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pytest_medgan.errors import DataError
from pytest_medgan.ground.listing import list_files


@pytest.mark.parametrize(
    ("head", "name", "kind"),
    [
        (b"\0" * 128 + b"DICM", "slice", "dicom"),
        (b"\x08\0\x05\0CS\x0a\0ISO_IR 100", "bare", "dicom"),
        (b"\x08\0\x08\0\x0a\0\0\0ORIGINAL", "bare.ima", "dicom"),
        (b"\x89PNG\r\n\x1a\n", "picture.dat", "png"),
        (b"II*\0", "a.tif", "tiff"),
        (b"\xff\xd8\xff\xe0", "a.jpg", "jpeg"),
        (b"BM6\0", "a.bmp", "bmp"),
        (b"BMI and age of the cohort", "notes.txt", "other"),
        (b"ObjectType = Image\nNDims = 3\n", "scan.mhd", "metaimage"),
        (b"hello", "scan.mhd", "other"),
        (b"NRRD0004\n", "v", "nrrd"),
        (b"\x93NUMPY", "a.npy", "npy"),
        (b"PK\x03\x04", "a.npz", "npz"),
        (b"PK\x03\x04", "a.zip", "other"),
        (b"\x1f\x8b", "v.nii.gz", "nifti"),
        (b"\x5c\x01\0\0", "v.nii", "nifti"),
        (b"PatientID,x", "t.csv", "csv"),
        (b"hello", "note.dcm", "other"),
        (b"", "empty.dcm", "other"),
    ],
)
def test_list_files_detects_kinds_by_content(tmp_path: Path, head: bytes, name: str, kind: str) -> None:
    (tmp_path / name).write_bytes(head)
    (found,) = list_files(tmp_path)
    assert (found.name, found.kind, found.size) == (name, kind, len(head))


def test_list_files_is_ordered_and_leaves_hidden_files_out(tmp_path: Path) -> None:
    for name in ("b/2", "a/1", "a/.hidden", ".ipynb_checkpoints/1", ".git/x", "c"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    assert [file.name for file in list_files(tmp_path)] == ["a/1", "b/2", "c"]
    assert [file.name for file in list_files(tmp_path / "c")] == ["c"]


def test_list_files_follows_links_once_and_no_pipes(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "x").write_text("x")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "circle").symlink_to(tmp_path / "data")
    os.mkfifo(tmp_path / "data" / "pipe")
    assert [file.name for file in list_files(tmp_path / "data")] == ["link/x"]
    (tmp_path / "data" / "broken").symlink_to(tmp_path / "absent")
    with pytest.raises(DataError, match="cannot be opened") as caught:
        list_files(tmp_path / "data")
    assert caught.value.file == "broken"


def test_list_files_of_an_absent_folder_is_a_data_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is not a folder or file") as caught:
        list_files(tmp_path / "absent")
    assert str(tmp_path) not in str(caught.value)
