"""What the command line prints where code that the user wrote fails."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from pytest_medgan import cli
from pytest_medgan.cli import main


def test_error_of_a_users_function_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine.py").write_text("def draw(count, seed):\n    raise ValueError('check\\x1bpoint\\nsecond line')\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "mine", raising=False)
    assert main(["sample", "mine:draw", "--out", str(tmp_path / "out.npz")]) == 2
    found = capsys.readouterr().err.strip().splitlines()
    assert len(found) == 1
    assert found[0].startswith("medgan: Your code raises ValueError in mine.py, line 2 (check")
    assert "\x1b" not in found[0]


def test_error_of_the_package_itself_keeps_its_traceback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import pytest_medgan.gan.run_folder as room

    monkeypatch.setattr(room, "write_png", None)  # a call of it fails inside the package
    monkeypatch.chdir(tmp_path)
    Path("pool.py").write_text("import numpy as np\ndef draw(n, seed):\n    return np.zeros((n, 1, 8, 8), np.uint8)\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(TypeError):
        cli.main(["sample", "pool:draw", "--out", str(tmp_path / "sheet.png"), "--count=2"])
    del sys.modules["pool"]
