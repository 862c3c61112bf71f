"""Answer files: what a page of the visual Turing test saves for one reader."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from pytest_medgan.errors import DataError
from pytest_medgan.ground.plain import from_plain

SCHEMA = "medgan-turing"
SCHEMA_VERSION = 2
ANSWERS = ("real", "generated")
HIGHEST_CONFIDENCE = 5

_ACTION = "Save the answers from the page again."


@dataclass(frozen=True)
class Answer:
    """One reader's answer to one image."""

    image: int  # place on the page, from 0
    answer: str  # "real" or "generated"
    confidence: int  # 1 guessing to 5 certain
    seconds: float  # from showing to confirming, without the time in which the page was hidden


@dataclass(frozen=True)
class AnswerFile:
    """One reader's answers to one page."""

    schema: str
    schema_version: int
    page: str  # identity of the page, 16 hex digits
    count: int  # images on the page
    commitment: str  # digest of the page's key
    reader: str  # pseudonym
    answers: tuple[Answer, ...]


def read_answers(path: Path) -> AnswerFile:
    """Read an answer file.

    Args:
        path: A file that a page saved.

    Returns:
        The answers, each place at most once.

    Raises:
        DataError: The file is not an answer file of this version, or its content contradicts itself.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise _answer_file_error("The answer file cannot be read.", path) from None
    found = data if isinstance(data, dict) else {}
    if (found.get("schema"), found.get("schema_version")) != (SCHEMA, SCHEMA_VERSION):
        raise _answer_file_error("The file is not an answer file of this version.", path)
    try:
        file = from_plain(AnswerFile, found, "answers", action=_ACTION, error=DataError)
    except DataError as error:
        raise DataError(str(error), file=path.name) from None
    places = [answer.image for answer in file.answers]
    if len(set(places)) != len(places):
        raise _answer_file_error("The answer file answers one image twice.", path)
    if not all(0 <= place < file.count for place in places):
        raise _answer_file_error("The answer file answers an image that is not on the page.", path)
    if not all(a.answer in ANSWERS and 1 <= a.confidence <= HIGHEST_CONFIDENCE for a in file.answers):
        raise _answer_file_error('An answer is neither "real" nor "generated", or its confidence is not 1 to 5.', path)
    return file


def _answer_file_error(problem: str, path: Path) -> DataError:
    """Return the error for an answer file that cannot be scored."""
    return DataError(f"{problem} {_ACTION}", file=path.name)
