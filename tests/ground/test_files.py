"""Whole files and folders: what a reader sees after success, failure and a full or read-only disk."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
from pathlib import Path
from typing import BinaryIO

import pytest

from pytest_medgan.errors import OutputError
from pytest_medgan.ground import files


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_write_text_creates_folder_and_file(tmp_path: Path) -> None:
    files.write_text(tmp_path / "a" / "b.txt", "Grün\n")
    assert (tmp_path / "a" / "b.txt").read_bytes() == "Grün\n".encode()
    assert names(tmp_path / "a") == ["b.txt"]


def test_write_keeps_the_permissions_of_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "b.txt"
    path.write_text("old")
    path.chmod(0o640)
    files.write_text(path, "new")
    assert path.read_text() == "new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


@pytest.mark.parametrize("exists", [True, False])
def test_write_follows_a_link_and_keeps_it(tmp_path: Path, *, exists: bool) -> None:
    """A baseline that several projects share is often a link; a rename over it would leave the others behind."""
    shared, link = tmp_path / "shared" / "b.txt", tmp_path / "link.txt"
    if exists:
        files.write_text(shared, "old")
    link.symlink_to(Path("shared") / "b.txt")
    files.write_text(link, "new")
    assert link.is_symlink()
    assert shared.read_text() == "new"
    assert names(tmp_path / "shared") == ["b.txt"]
    assert names(tmp_path) == ["link.txt", "shared"]


def test_new_folder_follows_a_link_and_keeps_it(tmp_path: Path) -> None:
    whole, link = tmp_path / "disk" / "report", tmp_path / "report"
    whole.mkdir(parents=True)
    (whole / "old.txt").write_text("old")
    link.symlink_to(whole)
    with files.new_folder(link) as fresh:
        (fresh / "new.txt").write_text("new")
    assert link.is_symlink()
    assert names(whole) == ["new.txt"]
    assert names(tmp_path / "disk") == ["report"]


def test_new_file_follows_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        files.write_text(tmp_path / "b.txt", "new")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "b.txt").stat().st_mode) == 0o640


def test_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "b.txt"
    path.write_text("old")

    def fail(stream: BinaryIO) -> None:
        stream.write(b"half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/secret/patient")

    with pytest.raises(OutputError, match=r"^A file cannot be written \(no space left on device\)\. Free") as info:
        files.write_file(path, fail)
    assert "secret" not in str(info.value)
    assert info.value.file == "b.txt"
    assert path.read_text() == "old"
    assert names(tmp_path) == ["b.txt"]


def test_interrupted_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "b.txt"
    path.write_text("old")

    def interrupt(stream: BinaryIO) -> None:
        stream.write(b"half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        files.write_file(path, interrupt)
    assert path.read_text() == "old"
    assert names(tmp_path) == ["b.txt"]


def test_content_reaches_the_disk_before_the_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda handle: (order.append("fsync"), fsync(handle))[1])
    monkeypatch.setattr(os, "replace", lambda a, b: (order.append("replace"), replace(a, b))[1])
    files.write_text(tmp_path / "b.txt", "new")
    assert order[:2] == ["fsync", "replace"]


def test_file_in_place_of_a_folder_is_an_output_error(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a file")
    with pytest.raises(OutputError, match="cannot be written"):
        files.write_text(tmp_path / "a" / "b.txt", "new")


def test_new_folder_replaces_the_old_one_whole(tmp_path: Path) -> None:
    target = tmp_path / "run"
    target.mkdir()
    (target / "old.txt").write_text("old")
    with files.new_folder(target) as fresh:
        (fresh / "new.txt").write_text("new")
        assert names(target) == ["old.txt"]
    assert names(target) == ["new.txt"]
    assert names(tmp_path) == ["run"]


def test_new_folder_is_dropped_where_the_body_fails(tmp_path: Path) -> None:
    target = tmp_path / "run"
    target.mkdir()
    (target / "old.txt").write_text("old")

    def fail() -> None:
        with files.new_folder(target) as fresh:
            (fresh / "new.txt").write_text("new")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert names(target) == ["old.txt"]
    assert names(tmp_path) == ["run"]


def test_old_folder_returns_where_the_rename_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "run"
    target.mkdir()
    (target / "old.txt").write_text("old")
    rename = os.rename

    def refuse(source: Path, to: Path) -> None:
        if str(source).endswith(".part"):
            raise OSError(errno.EACCES, os.strerror(errno.EACCES))
        rename(source, to)

    monkeypatch.setattr(os, "rename", refuse)
    with pytest.raises(OutputError, match="permission denied"), files.new_folder(target) as fresh:
        (fresh / "new.txt").write_text("new")
    assert names(target) == ["old.txt"]
    assert names(tmp_path) == ["run"]


def test_remove_leftovers_removes_only_what_killed_writers_left(tmp_path: Path) -> None:
    target = tmp_path / "run"
    for name in (".run.abc.part", "run.other", ".run2.abc.part"):
        (tmp_path / name).mkdir()
    (tmp_path / ".run.def.part").write_text("half")
    files.remove_leftovers(target)
    assert names(tmp_path) == [".run2.abc.part", "run.other"]


def test_new_folder_flushes_files_only_where_durable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flushed: list[str] = []
    monkeypatch.setattr(files, "_sync_file", lambda path: flushed.append(path.name))
    for durable in (True, False):
        with files.new_folder(tmp_path / "run", durable=durable) as fresh:
            (fresh / f"{durable}.txt").write_text("new")
    assert "True.txt" in flushed
    assert "False.txt" not in flushed


def test_private_folder_is_ignored_by_version_control(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    for _ in range(2):
        files.make_private_folder(tmp_path / "deep" / ".medgan")
    (tmp_path / "deep" / ".medgan" / "pixels.npz").write_text("")
    subprocess.run(["git", "-C", str(tmp_path), "add", "-A"], check=True)
    staged = subprocess.run(["git", "-C", str(tmp_path), "ls-files"], check=True, capture_output=True, text=True)
    assert staged.stdout == ""


def test_private_folder_of_the_user_is_not_changed(tmp_path: Path) -> None:
    """A cache in the project's root must not hide the project."""
    files.make_private_folder(tmp_path)
    assert names(tmp_path) == []
    (tmp_path / ".medgan").mkdir()  # made by an older version
    files.make_private_folder(tmp_path / ".medgan")
    assert names(tmp_path / ".medgan") == [".gitignore"]


def test_private_folder_keeps_the_users_own_rules(tmp_path: Path) -> None:
    (tmp_path / ".medgan").mkdir()
    (tmp_path / ".medgan" / ".gitignore").write_text("!keep\n")
    files.make_private_folder(tmp_path / ".medgan")
    assert (tmp_path / ".medgan" / ".gitignore").read_text() == "!keep\n"


def test_private_folder_below_a_file_is_an_output_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        files.make_private_folder(tmp_path / "file" / ".medgan")
