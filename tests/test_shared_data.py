"""The function by which all tests find real data."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.shared_data import find_shared_data, shared_data


def test_find_shared_data_by_variable_returns_its_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "studies").mkdir()
    monkeypatch.setenv("MEDGAN_SHARED_DATA", str(tmp_path))
    assert find_shared_data("studies") == tmp_path / "studies"
    assert find_shared_data("absent") is None


def test_shared_data_absent_skips_and_names_the_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDGAN_SHARED_DATA", str(tmp_path))
    with pytest.raises(pytest.skip.Exception, match=r"needs weights: set MEDGAN_SHARED_DATA"):
        shared_data("weights")


def test_no_other_file_reads_the_variable_of_shared_data() -> None:
    tests = Path(__file__).parent
    readers = [
        path.relative_to(tests).as_posix()
        for path in sorted(tests.rglob("*.py"))
        if path.name not in ("shared_data.py", "test_shared_data.py")
        and 'environ.get("MEDGAN_SHARED_DATA"' in path.read_text()
    ]
    assert readers == []
