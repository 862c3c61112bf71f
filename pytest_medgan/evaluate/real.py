"""The Real row: held-out images scored as if a generator had drawn them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from pytest_medgan.errors import DataError
from pytest_medgan.evaluate.combining import row_of
from pytest_medgan.evaluate.evaluation import ModelEvaluation
from pytest_medgan.evaluate.fingerprint import make_fingerprint
from pytest_medgan.evaluate.looks import full_count
from pytest_medgan.evaluate.subject import Subject
from pytest_medgan.ground.digests import digest_values
from pytest_medgan.records import Evidence, ImageSet, ImageSource, Row, Scores, UInt8
from pytest_medgan.report.accepted import REAL_SWEEP


def held_out_source(held_out: ImageSet, seed: int) -> ImageSource:
    """Return the held-out real images, in a seeded order, as a generator: what an ideal generator would draw.

    There is one sequence, whatever the latent seed. Its images are not shared through a folder, since each process
    holds them already and no copy of a patient's image may lie about.
    """
    order = np.random.Generator(np.random.PCG64(seed)).permutation(len(held_out))

    def draw_range(start: int, stop: int, _: int) -> UInt8:
        if stop > len(order):
            raise DataError(
                f"{stop} held-out real images were asked for and there are {len(order)}. "
                "Lower --medgan-samples or give more studies."
            )
        pixels: UInt8 = held_out.pixels[order[start:stop]]
        return pixels

    return ImageSource(
        draw=lambda count, latent_seed: draw_range(0, count, latent_seed),
        draw_range=draw_range,
        identity=digest_values("held out", held_out.recipe, seed),
        groups=lambda count, _: held_out.groups[order[:count]],  # a patient's slices are not independent
        shares_images=False,
        volume_shape=_volume_shape(held_out),
    )


def _volume_shape(images: ImageSet) -> tuple[int, int, int] | None:
    """Return [D,H,W] of volumes; None of images."""
    shape = images.pixels.shape[2:]
    return (shape[0], shape[1], shape[2]) if len(shape) == 3 else None


def real_evaluation(subject: Subject) -> ModelEvaluation:
    """Return the evaluation of the held-out images in one sample group, kept on the bench."""
    settings = replace(subject.settings, seeds=(0,), generator=None, paired_with=None, baseline=None)

    def make() -> ModelEvaluation:
        source = held_out_source(subject.real.held_out, settings.data.seed)
        return ModelEvaluation("Real", source, replace(subject, settings=settings), generated=False)

    key = ("Real", subject.real.digest, subject.extractor.identity, settings.metrics, full_count(subject))
    return subject.bench.keep(key, make)


def with_real_sweep(evidence: Evidence, subject: Subject, n: int) -> Evidence:
    """Return evidence with the Real row's k-sweep at `n` images, where sweeps are wanted and enough are held out."""
    if not subject.bench.sweep or n > len(subject.real.held_out):
        return evidence
    real = real_evaluation(subject).evidence(n)
    sweep = {**evidence.sweep, **{f"{REAL_SWEEP}{name}": curve for name, curve in real.sweep.items()}}
    return replace(evidence, sweep=sweep, prd_curve_real=real.prd_curve)


def real_scores(subject: Subject, counts: Iterable[int]) -> dict[int, Scores]:
    """Return the Real row at those counts for which there are enough held-out images."""
    evaluation = real_evaluation(subject)
    available = len(subject.real.held_out)
    return {n: evaluation.at(n) for n in counts if n <= available}


def real_row(subject: Subject) -> Row:
    """Return the Real row of this session as Limits without margins, at every count it has images for.

    Raises:
        DataError: Too few images are held out for the first look.
    """
    evaluation = real_evaluation(subject)
    scores = real_scores(subject, evaluation.counts)
    if not scores:
        raise DataError(
            f"The Real row needs {evaluation.counts[0]} held-out images and there are {len(subject.real.held_out)}. "
            "Give more studies or lower --medgan-samples."
        )
    return row_of("Real", list(scores.values()), make_fingerprint(subject), "the Real row of this session")
