"""The house's import rules, read from the code's own imports."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "pytest_medgan"
ROOMS = ("ct", "phantom", "gan", "embedding", "metrics", "gate", "report", "turing")
GROUND = {"catalogue", "records", "errors", "ground"}
SOURCES = sorted(PACKAGE.rglob("*.py"))


def imports(path: Path) -> set[str]:
    """Every module the file imports, absolute, function bodies included."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}: relative imports hide which room they reach into"
            module = node.module or ""
            found |= {f"{module}.{alias.name}" for alias in node.names} if module == "pytest_medgan" else {module}
    return found


def room(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def reaches(path: Path) -> set[str]:
    """The rooms of our own package that a file imports."""
    return {name.split(".")[1] for name in imports(path) if name.startswith("pytest_medgan.")}


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_run_downwards_only(path: Path) -> None:
    own = room(path)
    allowed = {own, *GROUND}
    if own == "evaluate":
        allowed |= set(ROOMS)
    elif own == "session":
        allowed |= {"evaluate", *ROOMS}
    elif own in ("plugin", "cli"):
        allowed |= {"session", "evaluate", *ROOMS}
    elif own == "__main__":
        allowed |= {"cli"}
    elif own in GROUND:
        allowed = GROUND
    assert reaches(path) <= allowed, f"{path.name} in {own} may not import {sorted(reaches(path) - allowed)}"


@pytest.mark.parametrize(
    ("library", "homes"),
    [
        ("pydicom", ("ct", "phantom")),
        ("yaml", ("gate/baseline.py",)),
        ("matplotlib", ("report",)),
        ("jinja2", ("ground/pages.py",)),
        ("pytest", ("plugin",)),
    ],
)
def test_a_library_stays_in_its_room(library: str, homes: tuple[str, ...]) -> None:
    strangers = [
        str(path.relative_to(PACKAGE))
        for path in SOURCES
        if any(name.split(".")[0] == library for name in imports(path))
        and not str(path.relative_to(PACKAGE)).startswith(homes)
    ]
    assert strangers == []


def test_every_room_has_sources() -> None:
    assert {room(path) for path in SOURCES} >= {*ROOMS, *GROUND}


def test_assert_statements_are_not_used_in_the_package() -> None:
    """python -O drops them, and pytest rewrites them."""
    users = [
        f"{path.relative_to(PACKAGE)}:{node.lineno}"
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Assert)
    ]
    assert users == []
