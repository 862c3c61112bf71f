"""Convert frozen dataclasses to plain data and back.

This one form crosses between processes and stands in files. It is strict JSON: nan is written as null, infinities as
"inf" and "-inf", and all are read back where a float is declared. Keys that a reader does not know are ignored, so a
newer writer of the same schema version may add some.
"""

from __future__ import annotations

import dataclasses
import enum
import math
import types
import typing
from collections.abc import Mapping
from typing import Any, TypeVar

from pytest_medgan.errors import MedganError, SettingsError

T = TypeVar("T")

_INFINITIES = ("inf", "-inf")
_ACTION = "Run the tests again with this version."
_NAMES = {str: "text", int: "a whole number", float: "a number", bool: "true or false", list: "a list", dict: "a table"}


def to_plain(value: object) -> Any:
    """Return a dataclass, mapping, tuple or scalar as built-in types that strict JSON can hold."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: to_plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        return [to_plain(item) for item in value]
    return _plain_scalar(value)


def _plain_scalar(value: object) -> str | int | float | bool | None:
    """Return a scalar as a built-in type; subclasses such as numpy's are converted."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return str(value.value) if isinstance(value, enum.Enum) else str(value)
    if isinstance(value, int):
        return int(value)
    number = float(typing.cast(float, value))
    if math.isnan(number):
        return None
    return number if math.isfinite(number) else str(number)


def from_plain(
    kind: type[T], data: object, where: str = "run", *, action: str = _ACTION, error: type[MedganError] = SettingsError
) -> T:
    """Return the frozen dataclass `kind` that plain data describe.

    Args:
        kind: The dataclass.
        data: What `to_plain` returned, perhaps through JSON.
        where: What the data are, as messages call it.
        action: What to do about data that do not fit, one sentence.
        error: What to raise.

    Returns:
        The record. Keys that it does not have are ignored.

    Raises:
        MedganError: A key is absent or its value is of another type; the message names the key. Its class is `error`.
    """
    try:
        return _read_record(kind, data, where)
    except _MismatchError as mismatch:
        raise error(f"{mismatch}. {action}") from None


class _MismatchError(Exception):
    """A value that does not fit; its text names the key and the problem."""


def _read_record(kind: type[T], data: object, where: str) -> T:
    """Return a dataclass."""
    if not isinstance(data, Mapping):
        raise _MismatchError(f"{where} must be a table and is {_name(data)}")
    hints = typing.get_type_hints(kind)
    given: dict[str, Any] = {}
    for field in dataclasses.fields(typing.cast(Any, kind)):
        if field.name in data:
            given[field.name] = _read(hints[field.name], data[field.name], f"{where}.{field.name}")
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise _MismatchError(f"{where}.{field.name} is absent")
    return kind(**given)


def _read(hint: Any, value: Any, where: str) -> Any:
    """Return a value of the type that a hint names."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return _read_union(arguments, value, where)
    if origin is tuple:
        if not isinstance(value, (list, tuple)):
            raise _MismatchError(f"{where} must be a list and is {_name(value)}")
        return tuple(_read(arguments[0], item, f"{where}[{i}]") for i, item in enumerate(value))
    if origin is not None and issubclass(origin, Mapping):
        if not isinstance(value, Mapping):
            raise _MismatchError(f"{where} must be a table and is {_name(value)}")
        key = arguments[0]
        return types.MappingProxyType(
            {_read_key(key, k, where): _read(arguments[1], v, f"{where}.{k}") for k, v in value.items()}
        )
    if dataclasses.is_dataclass(hint):
        kind = typing.cast(type, hint)
        return value if isinstance(value, kind) else _read_record(kind, value, where)
    return _read_scalar(hint, value, where)


def _read_key(kind: Any, key: str, where: str) -> Any:
    """Return a table's key, which JSON writes as text, as the type that a hint names."""
    try:
        return kind(key)
    except ValueError:
        raise _MismatchError(f"{where} must have {_NAMES[kind]} as each key") from None


def _read_union(arguments: tuple[Any, ...], value: Any, where: str) -> Any:
    """Return a value of an optional type, or of a union of scalars."""
    if value is None and types.NoneType in arguments:
        return None
    members = [a for a in arguments if a is not types.NoneType]
    if len(members) == 1:
        return _read(members[0], value, where)
    if isinstance(value, (str, bool, int, float)):  # the only wider union in use is records.Scalar
        return value
    raise _MismatchError(f"{where} must be a single value and is {_name(value)}")


def _read_scalar(hint: Any, value: Any, where: str) -> Any:
    """Return a scalar or an enum member."""
    if hint is float:
        if value is None:
            return math.nan
        if value in _INFINITIES or (isinstance(value, (int, float)) and not isinstance(value, bool)):
            return float(value)
    elif hint is int:
        if isinstance(value, int) and not isinstance(value, bool):
            return value
    elif issubclass(hint, enum.Enum):
        members = [member.value for member in hint]
        if value in members:
            return hint(value)
        raise _MismatchError(f"{where} must be one of {', '.join(map(str, members))}")
    elif isinstance(value, hint):
        return value
    raise _MismatchError(f"{where} must be {_NAMES[hint]} and is {_name(value)}")


def _name(value: object) -> str:
    """Return what a value is, in words."""
    return "nothing" if value is None else _NAMES.get(type(value), "something else")
