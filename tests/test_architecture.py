"""The import rules of the package, read from its own source."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "pytest_medgan"
SOURCES = sorted(PACKAGE.rglob("*.py"))
BOTTOM = {"catalogue", "records", "errors", "ground"}
MIDDLE = {"ct", "phantom", "gan", "embedding", "metrics", "gate", "report", "turing"}  # never import one another
BELOW = {  # room -> the rooms it may import beside itself
    **dict.fromkeys(BOTTOM, BOTTOM),
    **dict.fromkeys(MIDDLE, BOTTOM),
    "evaluate": BOTTOM | MIDDLE,
    "session": BOTTOM | MIDDLE | {"evaluate"},
    "plugin": BOTTOM | MIDDLE | {"evaluate", "session"},
    "cli": BOTTOM | MIDDLE | {"evaluate", "session"},
    "__main__": {"cli"},
    "__init__": set(),  # public names are imported when first used
}
HOMES = {  # library -> the only places that import it
    "pydicom": ("ct/", "phantom/"),
    "yaml": ("gate/baseline.py",),
    "matplotlib": ("report/", "turing/", "ground/"),
    "jinja2": ("report/", "turing/", "ground/"),
    "pytest": ("plugin/",),
}
LONGEST = 320  # lines of a source file


def name_of(path: Path) -> str:
    """Return a file as module: ct/dicom.py -> "ct.dicom"."""
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__") or "__init__"


MODULES = {name_of(path): path for path in SOURCES}


@cache
def imports(path: Path) -> frozenset[str]:
    """Return every module a file imports, absolute; imports inside functions count, those for type checking too."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name} has a relative import, which hides the room it reaches into"
            module = node.module or ""
            found |= {f"{module}.{alias.name}" if inside(f"{module}.{alias.name}") else module for alias in node.names}
    return frozenset(found)


def inside(name: str) -> bool:
    """Whether a dotted name is a module of the package."""
    return name.removeprefix("pytest_medgan.") in MODULES and name.startswith("pytest_medgan.")


def own_imports(path: Path) -> set[str]:
    """Return the modules of the package that a file imports, without the prefix."""
    names = {name.removeprefix("pytest_medgan.") for name in imports(path) if name.startswith("pytest_medgan.")}
    return {name for name in names if name in MODULES}


def room(name: str) -> str:
    """Return the room of a module."""
    return name.partition(".")[0]


def circles(modules: dict[str, set[str]]) -> list[list[str]]:
    """Return the groups of modules that import one another in a circle (Tarjan's strongly connected components)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(name: str) -> None:
        index[name] = low[name] = len(index)
        stack.append(name)
        for target in sorted(modules[name]):
            if target not in index:
                visit(target)
                low[name] = min(low[name], low[target])
            elif target in stack:
                low[name] = min(low[name], index[target])
        if low[name] == index[name]:
            group = stack[stack.index(name) :]
            del stack[stack.index(name) :]
            if len(group) > 1 or name in modules[name]:
                found.append(sorted(group))

    for name in sorted(modules):
        if name not in index:
            visit(name)
    return found


@pytest.mark.parametrize("name", sorted(MODULES))
def test_imports_run_downwards_only(name: str) -> None:
    allowed = BELOW[room(name)] | {room(name)}
    reached = {room(target) for target in own_imports(MODULES[name])}
    assert reached <= allowed, f"{name} may not import {sorted(reached - allowed)}"


@pytest.mark.parametrize("own", sorted(BELOW))
def test_room_has_no_import_circle(own: str) -> None:
    modules = {name: own_imports(path) for name, path in MODULES.items() if room(name) == own}
    inner = {name: {target for target in targets if target in modules} for name, targets in modules.items()}
    assert circles(inner) == []


def test_circles_are_found() -> None:
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": {"d"}, "e": set()}) == [["b", "c"], ["d"]]


@pytest.mark.parametrize(("library", "homes"), HOMES.items(), ids=list(HOMES))
def test_library_stays_in_its_room(library: str, homes: tuple[str, ...]) -> None:
    users = {str(path.relative_to(PACKAGE)) for path in SOURCES if library in {n.split(".")[0] for n in imports(path)}}
    assert {user for user in users if not user.startswith(homes)} == set()
    assert users, f"nothing imports {library}; drop it"


def test_every_room_is_known() -> None:
    assert {room(name) for name in MODULES} == set(BELOW)


@pytest.mark.parametrize("name", sorted(MODULES))
def test_file_is_short(name: str) -> None:
    assert len(MODULES[name].read_text(encoding="utf-8").splitlines()) <= LONGEST


def test_package_has_no_assert_statement() -> None:
    """`python -O` drops them, and pytest rewrites them."""
    users = [
        f"{name}:{node.lineno}"
        for name, path in MODULES.items()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Assert)
    ]
    assert users == []


def test_records_hold_no_behaviour() -> None:
    """Records have access and arithmetic alone: no input, output, randomness or heavy library."""
    allowed = {"__future__", "collections", "dataclasses", "enum", "numpy", "types", "typing", "pytest_medgan", "math"}
    for name, path in MODULES.items():
        if room(name) == "records":
            assert {one.split(".")[0] for one in imports(path)} <= allowed, name
