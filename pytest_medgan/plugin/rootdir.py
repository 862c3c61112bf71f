"""Refuse `--option PATH`, written with a space, where it moves pytest's rootdir.

pytest looks for its ini file before plugins have declared their options, so it takes an existing path that follows a
plugin's option for a test path, and silently misses the ini file next to the tests. With `--option=PATH` it does not.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from pytest_medgan.errors import SettingsError

# (file name, text that makes it an ini file of pytest), in pytest's order of precedence
INI_FILES = (
    ("pytest.toml", ""),
    (".pytest.toml", ""),
    ("pytest.ini", ""),
    (".pytest.ini", ""),
    ("pyproject.toml", "[tool.pytest"),
    ("tox.ini", "[pytest]"),
    ("setup.cfg", "[tool:pytest]"),
)


def check_rootdir(config: pytest.Config) -> None:
    """Check that pytest did not take the value of a plugin option for a test path.

    Raises:
        SettingsError: It did, and missed an ini file.
    """
    if config.getoption("inifilename", None) or config.getoption("rootdir", None):
        return
    arguments = [str(argument) for argument in config.invocation_params.args]
    here = config.invocation_params.dir
    for option, value in pairwise(arguments):
        is_separate = option.startswith("--medgan-") and "=" not in option and not value.startswith("-")
        if is_separate and (here / value).exists() and (expected := ini_file(here)) not in (None, config.inipath):
            raise SettingsError(
                f"pytest took the value of {option} for a test path and missed {expected.name if expected else ''}. "
                f"Write {option}={value}."
            )


def ini_file(folder: Path) -> Path | None:
    """Return the ini file that pytest finds from `folder` upwards."""
    for base in (folder, *folder.parents):
        for name, heading in INI_FILES:
            path = base / name
            if path.is_file() and heading in path.read_text(encoding="utf-8", errors="replace"):
                return path
    return None
