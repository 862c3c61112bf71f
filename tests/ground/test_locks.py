"""Locks between processes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pytest_medgan.errors import OutputError
from pytest_medgan.ground.locks import locked

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
