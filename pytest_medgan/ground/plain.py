"""Convert frozen dataclasses to plain data and back, and describe that data by a JSON Schema.

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

from pytest_medgan.errors import SettingsError

T = TypeVar("T")

_INFINITIES = ("inf", "-inf")
_WAY_OUT = "the run folder was not written by this version; run the tests again"


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


def from_plain(kind: type[T], data: object, where: str = "run") -> T:
    """Return the frozen dataclass `kind` that plain data describe.

    Args:
        kind: The dataclass.
        data: What `to_plain` returned, perhaps through JSON.
        where: What the data are, as messages call it.

    Raises:
        SettingsError: A key is absent or its value is of another type; the message names the key.
    """
    if not isinstance(data, Mapping):
        raise SettingsError(
            f"{where} must be a table, not {_name(data)}; the run folder was not written by this version"
        )
    hints = typing.get_type_hints(kind)
    given: dict[str, Any] = {}
    for field in dataclasses.fields(typing.cast(Any, kind)):
        if field.name in data:
            given[field.name] = _read(hints[field.name], data[field.name], f"{where}.{field.name}")
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise SettingsError(f"{where}.{field.name} is absent; {_WAY_OUT}")
    return kind(**given)


def json_schema(kind: type, title: str) -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of what `to_plain` makes of the dataclass."""
    definitions: dict[str, Any] = {}
    root = _schema(kind, definitions)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": title, **root, "$defs": definitions}


def _read(hint: Any, value: Any, where: str) -> Any:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return _read_union(arguments, value, where)
    if origin is tuple:
        if not isinstance(value, (list, tuple)):
            raise SettingsError(f"{where} must be a list, not {_name(value)}; {_WAY_OUT}")
        return tuple(_read(arguments[0], item, f"{where}[{i}]") for i, item in enumerate(value))
    if origin is not None and issubclass(origin, Mapping):
        if not isinstance(value, Mapping):
            raise SettingsError(f"{where} must be a table, not {_name(value)}; {_WAY_OUT}")
        key = arguments[0]
        return types.MappingProxyType({key(k): _read(arguments[1], v, f"{where}.{k}") for k, v in value.items()})
    if dataclasses.is_dataclass(hint):
        return (
            value if isinstance(value, typing.cast(type, hint)) else from_plain(typing.cast(type, hint), value, where)
        )
    return _read_scalar(hint, value, where)


def _read_union(arguments: tuple[Any, ...], value: Any, where: str) -> Any:
    if value is None and types.NoneType in arguments:
        return None
    members = [a for a in arguments if a is not types.NoneType]
    if len(members) == 1:
        return _read(members[0], value, where)
    if isinstance(value, (str, bool, int, float)):  # the only wider union in use is records.Scalar
        return value
    raise SettingsError(f"{where} must be a single value, not {_name(value)}; {_WAY_OUT}")


def _read_scalar(hint: Any, value: Any, where: str) -> Any:
    if hint is float:
        if value is None:
            return math.nan
        if value in _INFINITIES or (isinstance(value, (int, float)) and not isinstance(value, bool)):
            return float(value)
    elif hint is int:
        if isinstance(value, int) and not isinstance(value, bool):
            return value
    elif issubclass(hint, enum.Enum):
        if value in [member.value for member in hint]:
            return hint(value)
    elif isinstance(value, hint):
        return value
    raise SettingsError(f"{where} must be a {hint.__name__}, not {_name(value)}; {_WAY_OUT}")


def _schema(hint: Any, definitions: dict[str, Any]) -> dict[str, Any]:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return {"anyOf": [_schema(a, definitions) for a in arguments]}
    if origin is tuple:
        return {"type": "array", "items": _schema(arguments[0], definitions)}
    if origin is not None and issubclass(origin, Mapping):
        return {"type": "object", "additionalProperties": _schema(arguments[1], definitions)}
    if dataclasses.is_dataclass(hint):
        name = typing.cast(type, hint).__name__
        if name not in definitions:
            definitions[name] = {}  # claimed before the fields are walked
            definitions[name].update(_table(typing.cast(type, hint), definitions))
        return {"$ref": f"#/$defs/{name}"}
    return _scalar_schema(hint)


def _scalar_schema(hint: Any) -> dict[str, Any]:
    """Return the schema of a scalar type."""
    if issubclass(hint, enum.Enum):
        return {"type": "string", "enum": [member.value for member in hint]}
    names = {str: "string", int: "integer", bool: "boolean", types.NoneType: "null"}
    return {"type": ["number", "null", "string"] if hint is float else names[hint]}


def _table(kind: type, definitions: dict[str, Any]) -> dict[str, Any]:
    hints = typing.get_type_hints(kind)
    names = [f.name for f in dataclasses.fields(kind)]
    return {
        "type": "object",
        "required": names,
        "properties": {name: _schema(hints[name], definitions) for name in names},
    }


def _name(value: object) -> str:
    return "nothing" if value is None else type(value).__name__
