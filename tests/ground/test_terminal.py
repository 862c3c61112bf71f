"""Text on a terminal."""

from __future__ import annotations

import pytest

from pytest_medgan.errors import DataError
from pytest_medgan.ground.terminal import printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain, ümläut, 肺", "plain, ümläut, 肺"),
        ("\x1b]0;owned\x07", r"\x1b]0;owned\x07"),
        ("a\rb\nc\td", r"a\rb\nc\td"),
        ("\x9b31m", r"\x9b31m"),
        ("gnp.\u202etxt", r"gnp.\u202etxt"),
        ("a\u2028b", r"a\u2028b"),
        ("\ud800", r"\ud800"),
        ("\U000e0041", r"\U000e0041"),
    ],
)
def test_printable_escapes_control_characters(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_printable_keeps_the_given_characters() -> None:
    assert printable("a\nb\x1b", keep="\n") == "a\nb\\x1b"


def test_error_for_terminal_escapes_file_and_message() -> None:
    error = DataError("row 'x\x1b[2J' is unknown", file="a\x1b]0;b\x07/c\nd.dcm")
    assert error.for_terminal() == r"a\x1b]0;b\x07/c\nd.dcm: row 'x\x1b[2J' is unknown"
