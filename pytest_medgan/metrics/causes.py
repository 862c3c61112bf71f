"""The error that a metric raises if it cannot be measured."""

from __future__ import annotations

from typing import TypeVar

from pytest_medgan.records import Cause

T = TypeVar("T")


class NotMeasuredError(Exception):
    """A metric cannot be measured with these inputs; the battery records the cause."""

    def __init__(self, cause: Cause) -> None:
        super().__init__(cause.words)
        self.cause = cause


def need(value: T | None, cause: Cause) -> T:
    """Return a value that a metric requires.

    Raises:
        NotMeasuredError: The value is None; the error carries the cause.
    """
    if value is None:
        raise NotMeasuredError(cause)
    return value
