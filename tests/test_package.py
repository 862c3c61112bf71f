"""The package as a user meets it: public names, what importing costs, what the distribution says of itself."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from importlib import import_module, metadata
from pathlib import Path

import pytest

import pytest_medgan

ROOT = Path(__file__).resolve().parent.parent


def test_the_public_names_are_sorted_and_there() -> None:
    assert list(pytest_medgan.__all__) == sorted(pytest_medgan.__all__)
    rooms = [import_module(f"pytest_medgan.{room}") for room in ("gate.assertions", "gate.named", "turing.score")]
    helpers = {name: value for room in rooms for name, value in vars(room).items() if name.startswith("assert_")}
    assert set(helpers) == set(pytest_medgan.__all__)
    for name, helper in helpers.items():
        assert getattr(pytest_medgan, name) is helper


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="assert_everything"):
        _ = pytest_medgan.assert_everything


def test_importing_the_package_and_its_plugin_loads_nothing_heavy() -> None:
    code = (
        "import sys, pytest_medgan, pytest_medgan.plugin, pytest_medgan.cli, pytest_medgan.catalogue;"
        "heavy = {'torch', 'numpy', 'pydicom', 'scipy', 'sklearn', 'matplotlib', 'yaml', 'jinja2', 'rich'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_the_command_lists_its_commands() -> None:
    result = subprocess.run(
        [sys.executable, "-m", "pytest_medgan", "--help"], capture_output=True, text=True, check=True
    )
    for name in import_module("pytest_medgan.cli").COMMANDS:
        assert name in result.stdout


def test_the_distribution_says_what_it_is() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["name"] == "pytest-medgan"
    assert project["version"] == pytest_medgan.__version__ == metadata.version("pytest-medgan")
    assert project["entry-points"]["pytest11"] == {"medgan": "pytest_medgan.plugin"}
    assert "Framework :: Pytest" in project["classifiers"]
    assert (ROOT / "pytest_medgan" / "py.typed").exists()


def test_constraints_pin_every_runtime_dependency() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    pinned = {
        line.split("==")[0].lower() for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line
    }
    needed = {re.split("[>=]=", requirement)[0].lower() for requirement in project["dependencies"]}
    assert needed <= pinned
