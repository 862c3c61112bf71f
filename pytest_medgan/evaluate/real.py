"""The Real row: held-out images scored as if a generator had drawn them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from pytest_medgan.errors import DataError
from pytest_medgan.evaluate.evaluation import ModelEvaluation, row_of
from pytest_medgan.evaluate.fingerprint import make_fingerprint
from pytest_medgan.evaluate.subject import Subject, full_count
from pytest_medgan.ground.digests import digest_values
from pytest_medgan.records import Evidence, ImageSet, Row, Scores, UInt8


class HeldOutGenerator:
    """The held-out real images in a seeded order, played as a generator: the score an ideal generator could reach."""

    shares_images = False  # each process holds them already, and no copy of a patient's image lies about for another

    def __init__(self, held_out: ImageSet, seed: int) -> None:
        self._held_out = held_out
        self._order = np.random.Generator(np.random.PCG64(seed)).permutation(len(held_out))
        self.identity = digest_values("held out", held_out.recipe, seed)

    def __call__(self, count: int, seed: int) -> UInt8:
        return self.sample_range(0, count, seed)

    def sample_range(self, start: int, stop: int, seed: int) -> UInt8:
        """Rows start..stop; there is one sequence, whatever the seed. Raises DataError past its end."""
        if stop > len(self._order):
            raise DataError(
                f"{stop} held-out real images were asked for and there are {len(self._order)}; "
                "lower --medgan-samples or give more studies"
            )
        pixels: UInt8 = self._held_out.pixels[self._order[start:stop]]
        return pixels


def real_evaluation(subject: Subject) -> ModelEvaluation:
    """The held-out images scored as if they had been generated, in one sample group, kept on the bench."""
    settings = replace(subject.settings, seeds=(0,), generator=None, paired_with=None, baseline=None)

    def make() -> ModelEvaluation:
        generator = HeldOutGenerator(subject.real.held_out, settings.data.seed)
        return ModelEvaluation("Real", generator, replace(subject, settings=settings))

    key = ("Real", subject.real.digest, subject.extractor.identity, settings.metrics, full_count(subject))
    return subject.bench.keep(key, make)


def with_real_sweep(evidence: Evidence, subject: Subject, n: int) -> Evidence:
    """The evidence with the Real row's k-sweep at `n` images beside it, where a sweep is asked for and `n` held out."""
    if not subject.bench.sweep or n > len(subject.real.held_out):
        return evidence
    real = real_evaluation(subject).evidence(n)
    return replace(evidence, sweep={**evidence.sweep, **{f"real:{name}": curve for name, curve in real.sweep.items()}})


def real_scores(subject: Subject, counts: Iterable[int]) -> dict[int, Scores]:
    """The Real row at those counts it has images for."""
    evaluation = real_evaluation(subject)
    available = len(subject.real.held_out)
    return {n: evaluation.at(n) for n in counts if n <= available}


def real_row(subject: Subject) -> Row:
    """The Real row of this session as Limits without margins, at every count it has images for."""
    evaluation = real_evaluation(subject)
    scores = real_scores(subject, evaluation.counts)
    if not scores:
        raise DataError(
            f"the Real row needs {evaluation.counts[0]} held-out images and there are {len(subject.real.held_out)}; "
            "give more studies or lower --medgan-samples"
        )
    return row_of("Real", list(scores.values()), make_fingerprint(subject), "the Real row of this session")
