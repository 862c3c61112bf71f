"""Scores answers of visual Turing tests, and asserts that readers cannot tell.

Generated is what a reader is to find: sensitivity is the share of generated images called generated, specificity the
share of real images called real. Half of all answers right is what guessing gives.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np

from pytest_medgan.errors import DataError
from pytest_medgan.turing.answers import NO_KEYS, Answer, Keys, key_of, read_answers
from pytest_medgan.turing.statistics import (
    clopper_pearson,
    cohen_kappa,
    effective_count,
    fleiss_kappa,
    rating_area,
    wilson,
)


@dataclass(frozen=True)
class ReaderScore:
    """One reader, or all of them together."""

    reader: str
    right: int
    answered: int
    accuracy: float
    interval: tuple[float, float]  # 95%
    sensitivity: float  # generated called generated; nan where none was shown
    specificity: float  # real called real
    area: float  # under the curve of the confidence ratings
    seconds: float  # median an image


@dataclass(frozen=True)
class TuringScore:
    """A study."""

    readers: tuple[ReaderScore, ...]
    pooled: ReaderScore  # its interval respects that answers to one image go together
    fleiss: float  # agreement of all readers on images all answered; nan with one reader
    cohen: Mapping[tuple[str, str], float]  # agreement of each pair


def turing_accuracy(answers: Iterable[str | Path], *, keys: Keys = NO_KEYS) -> TuringScore:
    """Scores answer files. `keys` gives the key of pages that were made with the key kept apart.

    Raises DataError (the file in `file`) where a file is no answer file, has no key, answers an image twice, or where
    one reader has two files for one page.
    """
    files = [(path, read_answers(path)) for path in map(Path, answers)]
    if not files or not any(file.answers for _, file in files):
        raise DataError("there is no answer to score; save the answers from the page and name their files")
    marked: dict[tuple[str, str], dict[tuple[str, int], tuple[bool, Answer]]] = {}
    for path, file in files:
        if (file.reader, file.page) in marked:
            raise DataError(f"two answer files of reader {file.reader!r} for one page; keep one", file=path.name)
        key = key_of(file, keys, path)
        marked[file.reader, file.page] = {(file.page, a.image): (key[a.image], a) for a in file.answers}
    by_reader: dict[str, dict[tuple[str, int], tuple[bool, Answer]]] = {}
    for (reader, _), given in marked.items():
        by_reader.setdefault(reader, {}).update(given)
    by_reader = {reader: given for reader, given in by_reader.items() if given}
    readers = tuple(_score(name, list(given.values())) for name, given in by_reader.items())
    return TuringScore(readers, _pooled(by_reader), *_agreement(by_reader))


def assert_turing_accuracy_below(
    answers: Iterable[str | Path] | TuringScore, limit: float = 0.6, *, keys: Keys = NO_KEYS
) -> TuringScore:
    """Asserts that readers cannot tell real from generated: the 95% interval of their accuracy lies within
    1 - limit .. limit. Too few answers make a wide interval, and that fails too; so do readers who tell the two apart
    and only name them the wrong way round.

    `answers` are files the page saved, or a score. Returns the score; raises AssertionError with the way out.
    """
    __tracebackhide__ = True
    score = answers if isinstance(answers, TuringScore) else turing_accuracy(answers, keys=keys)
    if not 0.5 < limit <= 1:
        raise DataError(
            f"the limit of an accuracy must lie above 0.5, which is guessing, and not above 1, not {limit:g}"
        )
    pooled = score.pooled
    low, high = pooled.interval
    if low >= 1 - limit and high <= limit:
        return score
    found = f"readers were right in {pooled.right} of {pooled.answered} answers, {pooled.accuracy:.3f}"
    if low > limit or high < 1 - limit:
        reason = "they can tell real from generated"
    else:
        reason = f"the interval does not lie within {1 - limit:.3f} to {limit:.3f}: more answers, or a better generator"
    raise AssertionError(f"visual Turing test: {found} (95% interval {low:.3f} to {high:.3f}); {reason}")


def _score(reader: str, given: Sequence[tuple[bool, Answer]]) -> ReaderScore:
    real = np.array([is_real for is_real, _ in given])
    called_real = np.array([a.answer == "real" for _, a in given])
    right = int((real == called_real).sum())
    ratings = [a.confidence * (-1 if a.answer == "real" else 1) for _, a in given]
    return ReaderScore(
        reader=reader,
        right=right,
        answered=len(given),
        accuracy=right / len(given),
        interval=clopper_pearson(right, len(given)),
        sensitivity=float((~called_real[~real]).mean()) if (~real).any() else math.nan,
        specificity=float(called_real[real].mean()) if real.any() else math.nan,
        area=rating_area(ratings, ~real),
        seconds=float(np.median([a.seconds for _, a in given])),
    )


def _pooled(by_reader: Mapping[str, Mapping[tuple[str, int], tuple[bool, Answer]]]) -> ReaderScore:
    everything = [item for given in by_reader.values() for item in given.values()]
    score = _score("all readers", everything)
    if len(by_reader) == 1:
        return score
    images = sorted({image for given in by_reader.values() for image in given})
    place = {image: i for i, image in enumerate(images)}
    right, answers = np.zeros(len(images)), np.zeros(len(images), np.int64)
    for given in by_reader.values():
        for image, (is_real, answer) in given.items():
            answers[place[image]] += 1
            right[place[image]] += is_real == (answer.answer == "real")
    interval = wilson(score.accuracy, effective_count(right, answers))
    return ReaderScore(**{**vars(score), "interval": interval})


def _agreement(
    by_reader: Mapping[str, Mapping[tuple[str, int], tuple[bool, Answer]]],
) -> tuple[float, Mapping[tuple[str, str], float]]:
    """Fleiss' kappa over images that all readers answered, and Cohen's for each pair over those both answered."""

    def calls(reader: str, images: Sequence[tuple[str, int]]) -> list[bool]:
        return [by_reader[reader][image][1].answer == "real" for image in images]

    pairs = {}
    for first, second in itertools.combinations(by_reader, 2):
        both = sorted(by_reader[first].keys() & by_reader[second].keys())
        if both:
            pairs[first, second] = cohen_kappa(np.array(calls(first, both)), np.array(calls(second, both)))
    common = sorted(set.intersection(*(set(given) for given in by_reader.values())))
    if len(by_reader) < 2 or not common:
        return math.nan, MappingProxyType(pairs)
    called = np.array([calls(reader, common) for reader in by_reader]).sum(0)
    votes = np.stack([called, len(by_reader) - called], 1)
    return fleiss_kappa(votes), MappingProxyType(pairs)
