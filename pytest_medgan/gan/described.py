"""Fields of configurations and settings that carry the help text of their command line option."""

from __future__ import annotations

from dataclasses import asdict, field, fields
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeVar

from pytest_medgan.errors import SettingsError

if TYPE_CHECKING:
    from pytest_medgan.gan.augmentation import Augmentation

T = TypeVar("T")
PRECISIONS = ("float32", "bfloat16")


class Described(Protocol):
    """A dataclass whose fields may be made by `described`."""

    __dataclass_fields__: ClassVar[dict[str, Any]]


class AugmentationSettings:
    """Base of settings with the four fields of an augmentation."""

    shift: int
    brightness: float
    contrast: float
    cutout: float

    @property
    def augmentation(self) -> Augmentation:
        """How the images are changed that the discriminator sees; raises SettingsError for a value out of range."""
        from pytest_medgan.gan.augmentation import Augmentation

        return Augmentation(self.shift, self.brightness, self.contrast, self.cutout)


def described(default: T, text: str, *, choices: tuple[str, ...] = (), added: bool = False) -> T:
    """Declare a dataclass field with what the command line says of it.

    Args:
        default: The field's default; a number, text, None, or pairs `((resolution, number), ...)`.
        text: Help text of the option, without the default.
        choices: The accepted words, for text.
        added: Whether checkpoints exist that were written before this field. It is then read as its default where it
            is missing, and a run that keeps the default keeps its key.
    """
    made: T = field(default=default, metadata={"help": text, "choices": choices, "added": added})
    return made


def added_fields(kind: Any) -> dict[str, Any]:
    """Return name -> plain default of the fields that older checkpoints lack, of a dataclass."""
    return {one.name: _plain(one.default) for one in fields(kind) if one.metadata.get("added")}


def plain_values(described_by: Described) -> dict[str, Any]:
    """Return the fields of a dataclass as JSON gives them back: lists for tuples."""
    return {name: _plain(value) for name, value in asdict(described_by).items()}


def _plain(value: Any) -> Any:
    """Return pairs as a list of lists, anything else unchanged."""
    return [list(pair) for pair in value] if isinstance(value, tuple) else value


def check_size(size: int, largest: int = 1024) -> None:
    """Raise SettingsError where an image side is not a power of two from 8 to `largest`."""
    if not 8 <= size <= largest or size & (size - 1):
        raise SettingsError(f"size {size} is not possible. Choose a power of two from 8 to {largest}.")


def check_between(low: float, high: float, **values: float) -> None:
    """Raise SettingsError where a value lies outside of `low` to `high`, both included."""
    for name, value in values.items():
        if not low <= value <= high:
            raise SettingsError(f"{name} {value:g} is out of range. Choose {low:g} to {high:g}.")


def check_choice(choices: tuple[str, ...], **values: str) -> None:
    """Raise SettingsError where a value is none of the choices."""
    for name, value in values.items():
        if value not in choices:
            raise SettingsError(f"{name} {value!r} is unknown. Choose {' or '.join(choices)}.")
