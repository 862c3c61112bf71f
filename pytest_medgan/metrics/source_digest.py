"""A digest of a function's source and of what it uses from its own project, so that a changed metric is noticed."""

from __future__ import annotations

import ast
import functools
import hashlib
import inspect
import sysconfig
import textwrap
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

LIBRARIES = tuple({str(Path(sysconfig.get_path(name)).resolve()) for name in ("stdlib", "platlib", "purelib")})
DIGITS = 24


def source_digest(function: Callable[..., Any]) -> str:
    """Return a digest that changes when the function's code or that of its project's helpers changes.

    It covers the source without comments, docstrings and layout, the values of defaults, closures, partial arguments,
    attributes and module-level constants, and, in the same way, the functions and classes of the same project that
    the source names. Installed libraries are covered by name only, a function without source by its bytecode.

    Args:
        function: A function, method, partial, class or callable object.

    Returns:
        24 hexadecimal digits.

    Examples:
        >>> def gap(*, real, fake):
        ...     return float(abs(real.mean() - fake.mean()))
        >>> len(source_digest(gap))
        24
    """
    text = _Reader(_top_level(function)).read(function)
    return hashlib.sha256(text.encode()).hexdigest()[:DIGITS]


class _Reader:
    """Turns values into text; a function or class of the project becomes its source, once."""

    def __init__(self, project: str) -> None:
        self.project = project  # the package of the function that is read first
        self._met: set[int] = set()

    def read(self, value: Any) -> str:
        """Return a text that is equal for equal values, in every process."""
        if value is None or isinstance(value, str | bytes | int | float | complex):
            text = repr(value)
        elif isinstance(value, np.ndarray | np.generic):
            array = np.asarray(value)
            text = f"array({array.dtype}, {array.shape}, {hashlib.sha256(array.tobytes()).hexdigest()})"
        elif isinstance(value, types.ModuleType):
            text = value.__name__
        elif isinstance(value, list | tuple | set | frozenset | dict):
            text = self._read_container(value)
        elif id(value) in self._met or not self._is_own(value):
            text = _name(value)
        else:
            self._met.add(id(value))
            text = "\n".join(self._read_code(value))
        return text

    def _read_container(self, value: Any) -> str:
        """Return the text of a container's items, of a set's in alphabetical order."""
        if id(value) in self._met:  # it contains itself
            return type(value).__name__
        self._met.add(id(value))
        items = value.items() if isinstance(value, dict) else value
        texts = [self.read(item) for item in items]
        self._met.remove(id(value))
        return f"{type(value).__name__}({', '.join(sorted(texts) if isinstance(value, set | frozenset) else texts)})"

    def _read_code(self, value: Any) -> Iterator[str]:
        """Yield the name of a function, class or object and the texts of what it consists of."""
        yield _name(value)
        if isinstance(value, functools.partial):
            yield from map(self.read, (value.func, value.args, value.keywords))
        elif isinstance(value, types.MethodType):
            yield from map(self.read, (value.__func__, value.__self__))
        elif isinstance(value, types.FunctionType):
            yield _source(value)
            yield from (f"{name} = {self.read(each)}" for name, each in _uses(value))
        elif isinstance(value, type):
            yield _source(value)
            yield from map(self.read, value.__bases__)
            yield from (self.read(each) for each in vars(value).values() if isinstance(each, types.FunctionType))
        else:
            yield from map(self.read, (type(value), getattr(value, "__dict__", {})))

    def _is_own(self, value: Any) -> bool:
        """Return whether code belongs to the project: not installed, or in the package that is read first."""
        if not isinstance(value, types.FunctionType | type | types.BuiltinFunctionType):
            return True
        if _top_level(value) == self.project:
            return True
        try:
            return not _is_library(inspect.getsourcefile(value))
        except TypeError:  # built in
            return False


def _uses(function: types.FunctionType) -> Iterator[tuple[str, Any]]:
    """Yield the values that a function uses, by name: defaults, closure, and module-level names of its project."""
    yield "defaults", function.__defaults__
    yield "keyword defaults", function.__kwdefaults__
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            yield name, cell.cell_contents
        except ValueError:  # not assigned yet
            continue
    names = sorted(set(_global_names(function.__code__)))
    for name in names:
        if name not in function.__globals__:
            continue
        value = function.__globals__[name]
        if isinstance(value, types.ModuleType) and not _is_library(getattr(value, "__file__", None)):
            yield from ((f"{name}.{each}", vars(value)[each]) for each in names if each in vars(value))
        else:
            yield name, value


def _global_names(code: types.CodeType) -> Iterator[str]:
    """Yield the names that code, and the code inside it, looks up outside its own variables."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _global_names(constant)


def _source(value: Any) -> str:
    """Return the source without comments, docstrings and layout; the bytecode of a function that has none."""
    try:
        source = textwrap.dedent(inspect.getsource(value))
    except (OSError, TypeError):
        code = getattr(value, "__code__", None)
        return "" if code is None else _bytecode(code)
    try:
        tree = ast.parse(source)
    except SyntaxError:  # part of a statement, such as a lambda within a call
        return source
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and ast.get_docstring(node) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    return ast.unparse(tree)


def _bytecode(code: types.CodeType) -> str:
    """Return the bytecode with its names and constants."""
    constants = [_bytecode(each) if isinstance(each, types.CodeType) else repr(each) for each in code.co_consts]
    return f"{code.co_code.hex()} {code.co_names} {constants}"


def _is_library(file: str | None) -> bool:
    """Return whether a file belongs to Python or to an installed package."""
    return file is None or str(Path(file).resolve()).startswith(LIBRARIES)


def _top_level(value: Any) -> str:
    """Return the name of the package that defines the value or its type."""
    return str(getattr(value, "__module__", None) or type(value).__module__).split(".", 1)[0]


def _name(value: Any) -> str:
    """Return the full name of a function, class or type of a value."""
    named = value if hasattr(value, "__qualname__") else type(value)
    return f"{named.__module__}.{named.__qualname__}"
