"""Locks between processes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pytest_medgan.errors import OutputError
from pytest_medgan.ground.locks import locked, locked_folder

_HOLD = """
import sys
from pathlib import Path
from pytest_medgan.ground.locks import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.readline()
    Path(sys.argv[2]).write_text("done")
"""


def test_locked_waits_for_another_process(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    with subprocess.Popen(
        [sys.executable, "-c", _HOLD, str(tmp_path / "work"), str(mark)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as other:
        assert other.stdin is not None
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        other.stdin.write("\n")
        other.stdin.flush()
        with locked(tmp_path / "work"):
            assert mark.read_text() == "done"


def test_locked_twice_in_a_row_is_free_again(tmp_path: Path) -> None:
    for _ in range(2):
        with locked(tmp_path / "new" / "work"):
            pass


def test_locked_below_a_file_is_an_output_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"), locked(tmp_path / "file" / "work"):
        pass


def test_locked_folder_holds_others_off_and_leaves_no_file(tmp_path: Path) -> None:
    with locked_folder(tmp_path / "new", 1.0):
        with pytest.raises(TimeoutError), locked_folder(tmp_path / "new", 0.05):
            pass
        assert list((tmp_path / "new").iterdir()) == []
    with locked_folder(tmp_path / "new", 0.05):
        pass


def test_locked_folder_is_free_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(KeyError), locked_folder(tmp_path, 1.0):
        raise KeyError
    with locked_folder(tmp_path, 0.05):
        pass


def test_folder_that_has_no_lock_of_its_own_is_held_by_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fcntl = pytest.importorskip("fcntl")
    flock = fcntl.flock

    def refuse_folders(descriptor: int, operation: int) -> None:
        if Path(f"/proc/self/fd/{descriptor}").resolve() == tmp_path:
            raise OSError(9, "Bad file descriptor")
        flock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", refuse_folders)
    with locked_folder(tmp_path, 1.0), pytest.raises(TimeoutError), locked_folder(tmp_path, 0.05):
        pass


def test_locked_folder_below_a_file_is_an_output_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"), locked_folder(tmp_path / "file" / "work", 1.0):
        pass
