"""The files of a reader study: the answers that a page saves, and the key where it is kept apart from the page."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from pytest_medgan.errors import DataError, SettingsError
from pytest_medgan.ground.plain import from_plain
from pytest_medgan.turing.seal import unseal

SCHEMA = "medgan-turing"
SCHEMA_VERSION = 1

Keys = Mapping[str, tuple[bool, ...]]  # page -> for each place whether the image is real
NO_KEYS: Keys = MappingProxyType({})


@dataclass(frozen=True)
class Answer:
    """One reader on one image."""

    image: int  # place on the page
    answer: str  # "real" or "generated"
    confidence: int  # 1 guessing to 5 sure
    seconds: float  # from showing to confirming, time in another window left out


@dataclass(frozen=True)
class AnswerFile:
    """What the page saves."""

    schema: str
    schema_version: int
    page: str
    count: int  # images on the page
    reader: str
    answers: tuple[Answer, ...]
    check: str = ""  # the sealed key; empty where it was kept apart


def read_answers(path: Path) -> AnswerFile:
    """One answer file. Raises DataError where it is none."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise DataError("the answers cannot be read; save them from the page again", file=path.name) from None
    if not isinstance(data, dict) or data.get("schema") != SCHEMA or data.get("schema_version") != SCHEMA_VERSION:
        raise DataError("this is no answer file of a visual Turing test of this version", file=path.name)
    try:
        file = from_plain(AnswerFile, data, "answers")
    except SettingsError as error:
        what = str(error).split(";")[0]
        raise DataError(f"{what}; save the answers from the page again", file=path.name) from None
    places = [a.image for a in file.answers]
    if len(set(places)) != len(places) or not all(0 <= place < file.count for place in places):
        raise DataError("the answers name an image twice, or one that is not on the page", file=path.name)
    if not all(a.answer in ("real", "generated") and 1 <= a.confidence <= 5 for a in file.answers):
        raise DataError("an answer is neither real nor generated, or its confidence is not 1 to 5", file=path.name)
    return file


def write_key(path: Path, page: str, key: tuple[bool, ...]) -> None:
    """Write the key of a page that was made without it."""
    images = ["real" if is_real else "generated" for is_real in key]
    path.write_text(json.dumps({"page": page, "images": images}) + "\n", encoding="utf-8")


def read_key(path: Path) -> Keys:
    """A key file as `medgan turing --key` writes it."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        return {str(data["page"]): tuple(kind == "real" for kind in data["images"])}
    except (OSError, ValueError, KeyError, TypeError):
        raise DataError("the key cannot be read; name the file that --key wrote", file=path.name) from None


def key_of(file: AnswerFile, keys: Keys, path: Path) -> tuple[bool, ...]:
    if file.page in keys:
        key = keys[file.page]
    elif file.check:
        key = unseal(file.check, file.count, file.page)
    else:
        raise DataError("the page was made without its key; score with --key and the file written then", file=path.name)
    if len(key) != file.count:
        raise DataError(f"the key names {len(key)} images and the page has {file.count}", file=path.name)
    return key
