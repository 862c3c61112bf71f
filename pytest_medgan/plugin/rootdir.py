"""A trap of pytest's own: `--option PATH` with a space, for an option of a plugin, can move the rootdir.

pytest looks for its ini file before plugins have declared their options, so it takes an existing path behind such an
option for a test path, and an ini file beside the tests is silently missed. With `--option=PATH` it does not.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from pytest_medgan.errors import SettingsError

# what makes a file an ini file of pytest's, in its order of precedence
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
    """Raises SettingsError where a value of ours was taken for a test path and an ini file was missed for it."""
    if config.getoption("inifilename", None) or config.getoption("rootdir", None):
        return
    arguments = [str(argument) for argument in config.invocation_params.args]
    here = config.invocation_params.dir
    for option, value in pairwise(arguments):
        apart = option.startswith("--medgan-") and "=" not in option and not value.startswith("-")
        if apart and (here / value).exists() and (expected := ini_file(here)) not in (None, config.inipath):
            raise SettingsError(
                f"pytest took the value of {option} for a test path and missed {expected.name if expected else ''}; "
                f"write {option}={value}"
            )


def ini_file(folder: Path) -> Path | None:
    """The ini file pytest would find from `folder` upwards."""
    for base in (folder, *folder.parents):
        for name, heading in INI_FILES:
            path = base / name
            if path.is_file() and heading in path.read_text(encoding="utf-8", errors="replace"):
                return path
    return None
