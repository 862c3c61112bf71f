"""Memorised rate: the share of generated images that repeat a training image, also when it was altered.

This project's own metric. A pixel-by-pixel comparison misses a copy that was shifted by a pixel.

Conventions: an image counts where it is more similar to a training image (see `registration`: shifts up to 12 percent
of the side, turns up to 10 degrees, mirror images, gain and window) than 99.9 percent of the reference images are,
whose patients the generator has not seen, or nearer to one in the feature space than 99.9 percent of them. So about
0.2 percent of the images of new patients count, and more where the reference images are few. A rate near that share
does not show that samples are safe to publish: it says that this search found no copies.

References:
    Dar et al. 2024, "Unconditional Latent Diffusion Models Memorize Patient Imaging Data" (arXiv 2402.01054).
    Yao et al. 2025, "The DCR Delusion: Measuring the Privacy Risk of Synthetic Data" (arXiv 2505.01524).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pytest_medgan.metrics import inputs
from pytest_medgan.metrics.authenticity import nearest_training
from pytest_medgan.metrics.causes import need
from pytest_medgan.metrics.look import Look
from pytest_medgan.metrics.memory import Memory, prepare_memory
from pytest_medgan.metrics.registration import most_similar
from pytest_medgan.metrics.uncertainty import combine_se, hits_se, mean_se
from pytest_medgan.records import Cause, Contribution, Estimate, Float64, Int64


def memorised_rate(*, fake: Any, train: Any, real: Any) -> float:
    """Return the share of generated images that repeat a training image, by their pixels alone.

    Args:
        fake: Generated images, uint8 [M,C,H,W].
        train: The generator's training images, uint8 [T,C,H,W].
        real: Real images of other patients, uint8 [N,C,H,W], which set the threshold.

    Returns:
        The share, in [0,1].

    Raises:
        MetricInputError: An argument is no such array.

    Examples:
        >>> import numpy as np
        >>> images = np.random.default_rng(0).integers(0, 256, (60, 1, 32, 32), dtype=np.uint8)
        >>> images = images.repeat(4, 2).repeat(4, 3)
        >>> copies = np.roll(images[:10], 6, 3)[..., ::-1] // 2
        >>> memorised_rate(fake=np.concatenate([copies, images[20:40]]), train=images[:20], real=images[40:])
        0.3333333333333333
    """
    fake = inputs.pixels(fake, "fake")
    train, real = (inputs.pixels(each, name, like=fake.shape[1:]) for each, name in ((train, "train"), (real, "real")))
    memory = prepare_memory(train, real)
    return float((most_similar(fake, memory.train)[0] > memory.similarity).mean())


def memorised_estimate(look: Look) -> Estimate:
    """Return the rate with its errors: that of a rate, and that of the share of real images that count."""
    hits = memorised_contribution(look).units
    se = hits_se(hits, look.fake_group)
    memory = _memory(look)
    return Estimate(float(hits.mean()), se, combine_se(se, mean_se(memory.null, memory.group)))


def memorised_contribution(look: Look) -> Contribution:
    """Return for each generated image 1 if it repeats a training image, otherwise 0."""
    memory = _memory(look)
    counts = look.keep(similarities)[0] > memory.similarity
    if memory.distance is not None:
        counts = counts | (look.keep(nearest_training).squared.cpu().numpy() < memory.distance)
    return Contribution(counts.astype(np.float64))


def similarities(look: Look) -> tuple[Float64, Int64]:
    """Return each generated image's largest similarity to a training image, and that image."""
    memory = _memory(look)
    return most_similar(need(look.pixels, Cause.NO_PIXELS), memory.train)


def memorised(look: Look) -> Int64:
    """Return (generated, training) pairs of images that count, int64 [P,2]."""
    rows = np.flatnonzero(memorised_contribution(look).units)
    memory = _memory(look)
    found, index = look.keep(similarities)
    if memory.distance is not None:
        by_features = look.keep(nearest_training).index[:, 0].cpu().numpy()
        index = np.where(found > memory.similarity, index, by_features)
    return np.stack([rows, index[rows]], 1).astype(np.int64)


def copied_patients(look: Look) -> Float64:
    """Return how many training patients are copied, how many there are, and how many chance would name, float64 [3].

    A patient is copied where a generated image is more similar to one of the patient's images than any reference image
    is to any training image. Of N reference images and M generated ones of new patients, M / (N + 1) would be.
    """
    group = need(look.reference.train_group, Cause.NO_TRAINING_IMAGES)
    memory, (found, index) = _memory(look), look.keep(similarities)
    copied = np.unique(group[index[found > memory.certain]])
    return np.array([len(copied), len(np.unique(group)), len(found) / (len(memory.null) + 1)])


def _memory(look: Look) -> Memory:
    """Return the training images ready to be searched."""
    need(look.reference.train_pixels, Cause.NO_TRAINING_IMAGES)
    return need(look.reference.memory, Cause.NO_NEW_PATIENTS)
