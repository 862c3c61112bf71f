"""Score the answers of visual Turing tests, and assert that readers cannot tell real from generated.

Sensitivity is the share of generated images called generated, specificity the share of real images called real.
A reader who guesses is right in half of all answers.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

import numpy as np
from scipy import stats

from pytest_medgan.errors import DataError, SettingsError
from pytest_medgan.turing.answers import Answer, AnswerFile, read_answers
from pytest_medgan.turing.keys import KEY_SUFFIX, Keys, keys_in_folders_of, read_keys
from pytest_medgan.turing.statistics import (
    cohen_kappa,
    effective_count,
    fleiss_kappa,
    rating_area,
    sensitivity_and_specificity,
    wilson,
)

Image = tuple[str, int]  # page and place on it
Marked = Mapping[Image, tuple[bool, Answer]]  # one reader's answers, each with whether the image is real


@dataclass(frozen=True)
class ReaderScore:
    """Scores of one reader, or of all readers together."""

    reader: str
    right: int  # right answers
    answered: int  # answers
    accuracy: float  # right / answered
    interval: tuple[float, float]  # 95% interval of the accuracy
    sensitivity: float  # nan where no generated image was answered
    specificity: float  # nan where no real image was answered
    area: float  # under the curve of the confidence ratings; nan where one kind was not answered
    seconds: float  # median per image


@dataclass(frozen=True)
class TuringScore:
    """Scores of a reader study."""

    readers: tuple[ReaderScore, ...]
    pooled: ReaderScore  # all readers; its interval allows for the correlation of answers to one image
    fleiss: float  # agreement of all readers on images that all answered; nan with one reader
    cohen: Mapping[tuple[str, str], float]  # agreement of each pair of readers


def turing_accuracy(
    answers: str | Path | Iterable[str | Path], *, keys: str | Path | Iterable[str | Path] | None = None
) -> TuringScore:
    """Score answer files.

    Args:
        answers: A file that a page saved, or several.
        keys: Key files of the pages, or one. None takes every `*.key.json` in the folders of the answer files.

    Returns:
        The scores of each reader and of all.

    Raises:
        DataError: A file is not an answer file, its key is missing or of another page, or one reader has two files of
            one page.
    """
    files = [(path, read_answers(path)) for path in _paths(answers)]
    if not any(file.answers for _, file in files):
        raise DataError("There is no answer to score. Save the answers from the page and name their files.")
    known = keys_in_folders_of(path for path, _ in files) if keys is None else read_keys(_paths(keys))
    by_reader: dict[str, dict[Image, tuple[bool, Answer]]] = {}
    scored: set[tuple[str, str]] = set()
    for path, file in files:
        if (file.reader, file.page) in scored:
            raise DataError(
                f"Reader {file.reader!r} has two answer files of one page. Name one of them.", file=path.name
            )
        scored.add((file.reader, file.page))
        is_real = _key_of(file, known, path)
        given = by_reader.setdefault(file.reader, {})
        given.update({(file.page, a.image): (is_real[a.image], a) for a in file.answers})
    answered = {reader: given for reader, given in by_reader.items() if given}
    readers = tuple(_score(reader, list(given.values())) for reader, given in answered.items())
    return TuringScore(readers, _pooled(answered), *_agreement(answered))


def assert_turing_accuracy_below(
    answers: str | Path | Iterable[str | Path] | TuringScore,
    limit: float = 0.6,
    *,
    keys: str | Path | Iterable[str | Path] | None = None,
) -> TuringScore:
    """Assert that readers cannot tell real from generated images.

    The 95% interval of their accuracy must lie within 1 - limit to limit. Too few answers give a wide interval and
    fail. Readers who tell the two apart but swap the labels fail as well.

    Args:
        answers: Files that pages saved, or a score.
        limit: Highest accuracy that still counts as guessing, above 0.5 and at most 1.
        keys: As in `turing_accuracy`.

    Returns:
        The score.

    Raises:
        AssertionError: The interval does not lie within the limits.
        SettingsError: The limit is not above 0.5 and at most 1.
        DataError: As `turing_accuracy`.
    """
    __tracebackhide__ = True
    if not 0.5 < limit <= 1:
        raise SettingsError(
            f"The limit is {limit:g} and must lie above 0.5, the accuracy of guessing, and not above 1. "
            "Give a limit such as 0.6."
        )
    score = answers if isinstance(answers, TuringScore) else turing_accuracy(answers, keys=keys)
    pooled = score.pooled
    low, high = pooled.interval
    if low >= 1 - limit and high <= limit:
        return score
    found = f"readers were right in {pooled.right} of {pooled.answered} answers, {pooled.accuracy:.3f}"
    allowed = f"{1 - limit:.3f} to {limit:.3f}"
    if low > limit or high < 1 - limit:
        reason = f"Readers can tell real from generated: the interval lies outside {allowed}. Improve the generator."
    else:
        reason = (
            f"The interval does not lie within {allowed}, so the test shows nothing. Collect more answers or improve "
            "the generator."
        )
    raise AssertionError(f"Visual Turing test: {found} (95% interval {low:.3f} to {high:.3f}). {reason}")


def _paths(given: str | Path | Iterable[str | Path]) -> list[Path]:
    """Return one path or several as a list; a text is one path and not its characters."""
    return [Path(given)] if isinstance(given, str | Path) else [Path(path) for path in given]


def _key_of(file: AnswerFile, keys: Keys, path: Path) -> tuple[bool, ...]:
    """Return for each place of a file's page whether the image is real."""
    if file.page not in keys:
        raise DataError(
            f"The key of the answers' page was not found. Name its {KEY_SUFFIX} file or put it into the folder of "
            "the answers.",
            file=path.name,
        )
    key = keys[file.page]
    if key.commitment != file.commitment or len(key.images) != file.count:
        raise DataError(
            "The key is not the one that the page was made with. Name the key file that was written with the page.",
            file=path.name,
        )
    return key.is_real


def _score(reader: str, given: Sequence[tuple[bool, Answer]]) -> ReaderScore:
    """Return the score of one reader's answers, taken as independent."""
    is_generated = np.array([not is_real for is_real, _ in given])
    called_generated = np.array([a.answer == "generated" for _, a in given])
    right = int((is_generated == called_generated).sum())
    ratings = np.array([a.confidence if a.answer == "generated" else -a.confidence for _, a in given], np.float64)
    exact = stats.binomtest(right, len(given)).proportion_ci(confidence_level=0.95, method="exact")
    sensitivity, specificity = sensitivity_and_specificity(is_generated, called_generated)
    return ReaderScore(
        reader=reader,
        right=right,
        answered=len(given),
        accuracy=right / len(given),
        interval=(float(exact.low), float(exact.high)),
        sensitivity=sensitivity,
        specificity=specificity,
        area=rating_area(ratings, is_generated),
        seconds=float(np.median([a.seconds for _, a in given])),
    )


def _pooled(by_reader: Mapping[str, Marked]) -> ReaderScore:
    """Return the score of all answers, with an interval that takes images and not answers as independent."""
    score = _score("all readers", [item for given in by_reader.values() for item in given.values()])
    if len(by_reader) == 1:
        return score
    images = sorted({image for given in by_reader.values() for image in given})
    place = {image: i for i, image in enumerate(images)}
    right, answers = np.zeros(len(images)), np.zeros(len(images), np.int64)
    for given in by_reader.values():
        for image, (is_real, answer) in given.items():
            answers[place[image]] += 1
            right[place[image]] += is_real == (answer.answer == "real")
    return replace(score, interval=wilson(score.accuracy, effective_count(right, answers)))


def _agreement(by_reader: Mapping[str, Marked]) -> tuple[float, Mapping[tuple[str, str], float]]:
    """Return Fleiss' kappa over images that all readers answered, and Cohen's kappa of each pair of readers."""

    def called_real(reader: str, images: Sequence[Image]) -> list[bool]:
        return [by_reader[reader][image][1].answer == "real" for image in images]

    pairs = {}
    for first, second in itertools.combinations(by_reader, 2):
        both = sorted(by_reader[first].keys() & by_reader[second].keys())
        if both:
            pairs[first, second] = cohen_kappa(np.array(called_real(first, both)), np.array(called_real(second, both)))
    common = sorted(set.intersection(*(set(given) for given in by_reader.values())))
    if len(by_reader) < 2 or not common:
        return math.nan, MappingProxyType(pairs)
    votes_real = np.array([called_real(reader, common) for reader in by_reader]).sum(0)
    votes = np.stack([votes_real, len(by_reader) - votes_real], 1)
    return fleiss_kappa(votes), MappingProxyType(pairs)
