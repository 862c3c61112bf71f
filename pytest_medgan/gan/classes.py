"""The classes of a network that draws one of them at a time."""

from __future__ import annotations


def no_such_class(subject: str, label: int, classes: int, option: str = "class=") -> str:
    """Return the message of an error for a class that a network does not have.

    Args:
        subject: What has the classes, as the sentence begins.
        label: The class that was asked for.
        classes: How many there are.
        option: What names a class, as it is written before the number.
    """
    return f"{subject} has no class {label}. {choose_a_class(classes, option)}"


def choose_a_class(classes: int, option: str = "class=") -> str:
    """Return the sentence that says which classes there are; see `no_such_class`."""
    return f"Choose {option}0 to {option}{classes - 1}."
