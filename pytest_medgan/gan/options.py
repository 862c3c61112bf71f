"""The command line options of all architectures, read from the fields of their configurations and settings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import Field, dataclass, fields
from types import UnionType
from typing import Any, get_args, get_type_hints

from pytest_medgan.errors import SettingsError
from pytest_medgan.gan.architectures import ARCHITECTURES


@dataclass(frozen=True)
class Offered:
    """One option, for each architecture that takes it."""

    name: str  # of the field
    architectures: tuple[str, ...]  # that take it
    read: Callable[[str], Any]  # raises ValueError for a value it cannot use
    takes: str  # the accepted values in words
    help: str  # with the defaults
    choices: tuple[str, ...]  # the accepted words, for text
    metavar: str | None

    @property
    def option(self) -> str:
        """As typed on the command line."""
        return f"--{self.name.replace('_', '-')}"


def offered_options() -> tuple[tuple[Offered, ...], tuple[Offered, ...]]:
    """Return the options of networks (configurations) and of training (settings)."""
    networks = _merged({name: row.config for name, row in ARCHITECTURES.items()})
    training = _merged({name: row.settings for name, row in ARCHITECTURES.items()})
    if double := {one.name for one in networks} & {one.name for one in training}:
        raise SettingsError(f"{', '.join(double)} is a field of networks and of training. Rename one of them.")
    return networks, training


def _merged(kinds: dict[str, Any]) -> tuple[Offered, ...]:
    """Return one option for each name among the described fields of some dataclasses."""
    found: dict[str, dict[str, Field[Any]]] = {}
    types: dict[str, Any] = {}
    for architecture, kind in kinds.items():
        for field in fields(kind):
            if "help" in field.metadata:
                found.setdefault(field.name, {})[architecture] = field
                types.setdefault(field.name, get_type_hints(kind)[field.name])
    return tuple(_offered(name, by, types[name], len(kinds)) for name, by in found.items())


def _offered(name: str, by: dict[str, Field[Any]], hint: Any, architectures: int) -> Offered:
    """Return the option of one name."""
    metadata = [field.metadata for field in by.values()]
    read, takes, metavar = _read(hint)
    return Offered(
        name,
        tuple(by),
        read,
        takes,
        f"{metadata[0]['help']} ({_defaults(by, architectures)})".replace("%", "%%"),
        tuple(dict.fromkeys(word for one in metadata for word in one["choices"])),
        metavar,
    )


def _defaults(by: dict[str, Field[Any]], architectures: int) -> str:
    """Return the defaults in words, by architecture where they differ or where some do not take the option."""
    shown = {name: "none" if field.default in (None, ()) else str(field.default) for name, field in by.items()}
    if len(by) == architectures and len(set(shown.values())) == 1:
        return f"default {next(iter(shown.values()))}"
    return f"default {', '.join(f'{name} {value}' for name, value in shown.items())}"


def _read(hint: Any) -> tuple[Callable[[str], Any], str, str | None]:
    """Return how a field's text is read, what it takes in words, and its placeholder in the help."""
    kinds = [one for one in get_args(hint) if one is not type(None)] if isinstance(hint, UnionType) else [hint]
    if kinds == [int]:
        return int, "a whole number", None
    if kinds == [float]:
        return float, "a number", None
    if kinds == [str]:
        return str, "a word", None
    return _pairs, "RESOLUTION:NUMBER pairs, as 4:128,8:128", "R:N,..."


def _pairs(text: str) -> tuple[tuple[int, int], ...]:
    """Return a number for each resolution."""
    pairs = [part.split(":") for part in text.split(",")]
    return tuple((int(resolution), int(number)) for resolution, number in pairs)
