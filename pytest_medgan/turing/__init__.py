"""The visual Turing test: readers say of each image whether it is real, and their answers are scored."""

from __future__ import annotations

from pytest_medgan.turing.answers import SCHEMA, SCHEMA_VERSION, read_answers, read_key, write_key
from pytest_medgan.turing.images import read_pixels
from pytest_medgan.turing.page import TuringPage, make_page
from pytest_medgan.turing.score import ReaderScore, TuringScore, assert_turing_accuracy_below, turing_accuracy
from pytest_medgan.turing.summary import summary_lines

__all__ = [
    "SCHEMA",
    "SCHEMA_VERSION",
    "ReaderScore",
    "TuringPage",
    "TuringScore",
    "assert_turing_accuracy_below",
    "make_page",
    "read_answers",
    "read_key",
    "read_pixels",
    "summary_lines",
    "turing_accuracy",
    "write_key",
]
