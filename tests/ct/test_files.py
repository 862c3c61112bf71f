"""Files are told apart by content."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pytest_medgan.ct.files import content_digest, list_files
from pytest_medgan.errors import DataError


@pytest.mark.parametrize(
    ("head", "name", "kind"),
    [
        (b"\0" * 128 + b"DICM", "slice", "dicom"),
        (b"\x08\0\x05\0CS\x0a\0ISO_IR 100", "bare", "dicom"),
        (b"\x08\0\x08\0\x0a\0\0\0ORIGINAL", "bare.ima", "dicom"),
        (b"\x89PNG\r\n\x1a\n", "picture.dat", "png"),
        (b"II*\0", "a.tif", "tiff"),
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
def test_kinds(tmp_path: Path, head: bytes, name: str, kind: str) -> None:
    (tmp_path / name).write_bytes(head)
    (found,) = list_files(tmp_path)
    assert (found.name, found.kind, found.size) == (name, kind, len(head))


def test_listing_is_ordered_and_leaves_hidden_files_out(tmp_path: Path) -> None:
    for name in ("b/2", "a/1", "a/.hidden", ".git/x", "c"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    assert [file.name for file in list_files(tmp_path)] == ["a/1", "b/2", "c"]
    assert [file.name for file in list_files(tmp_path / "c")] == ["c"]


def test_links_are_followed_once_and_pipes_not_at_all(tmp_path: Path) -> None:
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


def test_no_such_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such folder or file") as caught:
        list_files(tmp_path / "absent")
    assert str(tmp_path) not in str(caught.value)


def test_the_digest_is_of_content(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"one" * 200_000)
    (tmp_path / "b").write_bytes(b"two" + b"one" * 200_000)
    assert content_digest(tmp_path / "a") == content_digest(tmp_path / "b", skip=3)
    assert content_digest(tmp_path / "a") != content_digest(tmp_path / "b")
