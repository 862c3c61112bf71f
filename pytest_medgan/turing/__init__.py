"""The visual Turing test: readers say of each image whether it is real, and their answers are scored."""

from __future__ import annotations

from pytest_medgan.turing.answers import SCHEMA, SCHEMA_VERSION, Answer, AnswerFile, read_answers
from pytest_medgan.turing.cues import Cue, cue_warning, find_cues
from pytest_medgan.turing.images import read_pixels
from pytest_medgan.turing.keys import KEY_SUFFIX, PageKey, read_key, write_key
from pytest_medgan.turing.page import TuringPage, make_page
from pytest_medgan.turing.score import ReaderScore, TuringScore, assert_turing_accuracy_below, turing_accuracy
from pytest_medgan.turing.summary import summary_lines

__all__ = [
    "KEY_SUFFIX",
    "SCHEMA",
    "SCHEMA_VERSION",
    "Answer",
    "AnswerFile",
    "Cue",
    "PageKey",
    "ReaderScore",
    "TuringPage",
    "TuringScore",
    "assert_turing_accuracy_below",
    "cue_warning",
    "find_cues",
    "make_page",
    "read_answers",
    "read_key",
    "read_pixels",
    "summary_lines",
    "turing_accuracy",
    "write_key",
]
