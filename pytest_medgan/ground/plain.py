"""Frozen dataclasses to and from plain data, and the JSON Schema that describes it.

The run folder's `scores.json` is strict JSON: a float that is not finite is written as null, and null is read back as
nan where a float is declared. Keys that a reader does not know are ignored, so a newer writer of the same schema
version may add some.
"""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Mapping
from typing import Any, TypeVar

from pytest_medgan.errors import SettingsError

T = TypeVar("T")

_WAY_OUT = "the run folder was not written by this version; run the tests again"


def to_plain(value: object) -> Any:
    """A dataclass, mapping, tuple or scalar as what `json.dumps(..., allow_nan=False)` accepts."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: to_plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        return [to_plain(item) for item in value]
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, int):
        return int(value)
    number = float(typing.cast(float, value))
    return number if math.isfinite(number) else None


def from_plain(kind: type[T], data: object, where: str = "run") -> T:
    """The frozen dataclass `kind` out of plain data.

    Raises SettingsError, naming the key, where something is absent or of another type.
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
    """The JSON Schema (draft 2020-12) of what `to_plain` makes of the dataclass."""
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
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return float(value)
    elif hint is int:
        if isinstance(value, int) and not isinstance(value, bool):
            return value
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
    names = {str: "string", int: "integer", bool: "boolean", types.NoneType: "null"}
    return {"type": ["number", "null"]} if hint is float else {"type": names[hint]}


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
