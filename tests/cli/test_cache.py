"""medgan cache."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pytest_medgan.cli import cache
from pytest_medgan.embedding import housekeeping
from pytest_medgan.embedding.cache import Cache
from pytest_medgan.errors import SettingsError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A cache directory with six stored images."""
    space = Cache(tmp_path / "features").space("a feature space", "float32")
    names = [f"{i:032x}" for i in range(6)]
    space.gather(names, lambda rows, done: (np.ones((len(rows), 4), np.float32), None), 4)
    return tmp_path


def run(*arguments: str) -> int:
    parser = argparse.ArgumentParser()
    cache.add_parser(parser.add_subparsers())
    return cache.run(parser.parse_args(["cache", *arguments]))


def test_cache_look_lists_one_line_per_space(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--cache-dir", str(folder), "look") == 0
    shown = capsys.readouterr().out
    assert "6 images" in shown
    assert "a feature space" in shown
    assert str(folder) not in shown


def test_cache_prune_removes_features(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--cache-dir", str(folder), "prune", "--limit", "1G", "--older-than", "3", "--check") == 0
    assert capsys.readouterr().out.startswith("0 files removed")
    assert run("--cache-dir", str(folder), "prune", "--all") == 0
    assert capsys.readouterr().out.startswith("2 files removed")


def test_exported_features_are_imported(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--cache-dir", str(folder), "export", str(tmp_path / "f.tar")) == 0
    assert run("--cache-dir", str(tmp_path / "other"), "import", str(tmp_path / "f.tar")) == 0
    assert capsys.readouterr().out == "2 blocks exported\n2 blocks imported\n"


@pytest.mark.parametrize(("text", "size"), [("500", 500), ("500M", 5 * 10**8), ("2 GB", 2 * 10**9), ("1.5k", 1500)])
def test_size_is_read_with_its_unit(text: str, size: int) -> None:
    assert housekeeping.parse_size(text) == size


@pytest.mark.parametrize("text", ["", "much", "-1G", "5 miles"])
def test_unreadable_size_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="--limit takes a size such as 500M"):
        housekeeping.parse_size(text, "--limit")


def test_cache_look_loads_no_torch(folder: Path) -> None:
    code = (
        "import argparse, sys; from pytest_medgan.cli import cache; p = argparse.ArgumentParser();"
        "cache.add_parser(p.add_subparsers()); cache.run(p.parse_args(['cache', '--cache-dir', sys.argv[1], 'look']));"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code, str(folder)], check=False, capture_output=True).returncode == 0
