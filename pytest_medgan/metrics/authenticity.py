"""Authenticity: the share of generated images that are not near-copies of a training image.

Paper: Alaa et al. 2022, "How Faithful is your Synthetic Data?", section 4. An image is authentic if it is further from
its nearest training image than that training image is from its own nearest neighbour in the training set.

Conventions: both distances are exact (float64 where float32 cannot decide); equal distances are not authentic; of
several training images that are equally near the first one counts.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from pytest_medgan.metrics import inputs
from pytest_medgan.metrics.causes import need
from pytest_medgan.metrics.look import Look
from pytest_medgan.metrics.nearest_training import NearestTraining, authentic_without, find_nearest_training
from pytest_medgan.metrics.neighbours import find_neighbours
from pytest_medgan.metrics.pairwise import mean_of, points
from pytest_medgan.metrics.uncertainty import combine_se, hits_se, jackknife_se
from pytest_medgan.records import Cause, Contribution, Estimate


def authenticity(*, fake: Any, train: Any) -> float:
    """Return the share of generated images that are authentic.

    Args:
        fake: Generated features [M,D], array or tensor of numbers.
        train: Features of the generator's training images [T,D], T at least 2.

    Returns:
        The share, in [0,1].

    Raises:
        MetricInputError: An argument has another shape or values that are not finite.

    References:
        Alaa et al. 2022, "How Faithful is your Synthetic Data?".

    Examples:
        >>> authenticity(train=[[0.0], [1.0], [5.0]], fake=[[0.1], [3.0], [9.0]])
        0.3333333333333333
    """
    train = inputs.features(train, "train", least=2)
    fake = inputs.features(fake, "fake", width=train.shape[1]).to(train.device)
    centre = mean_of(train)
    ready = points(train, centre)
    return float(find_nearest_training(points(fake, centre), ready, find_neighbours(ready, (1,))).authentic.mean())


def authenticity_estimate(look: Look) -> Estimate:
    """Return authenticity with its standard errors.

    `se` is the error of a rate, with the training set fixed. `se_total` adds the error of the training set, by a
    jackknife over blocks of its patients.
    """
    found, own = look.keep(nearest_training), need(look.reference.train_near, Cause.NO_TRAINING_IMAGES)
    hits, trials = int(found.authentic.sum()), len(found.index)
    se = hits_se(found.authentic.astype(np.float64), look.fake_group)
    block = need(look.reference.train_block, Cause.NO_TRAINING_IMAGES)
    sizes = np.bincount(block)
    without = authentic_without(found, own, torch.as_tensor(block, device=found.index.device), len(sizes)) / trials
    return Estimate(hits / trials, se, combine_se(se, jackknife_se(hits / trials, without, sizes)))


def authenticity_contribution(look: Look) -> Contribution:
    """Return for each generated image 1 if it is authentic, otherwise 0."""
    return Contribution(np.asarray(look.keep(nearest_training).authentic, np.float64))


def nearest_training(look: Look) -> NearestTraining:
    """Return the nearest training images of a look's generated images."""
    train, near = look.reference.train, look.reference.train_near
    return find_nearest_training(
        look.fake_ball_points, need(train, Cause.NO_TRAINING_IMAGES), need(near, Cause.NO_TRAINING_IMAGES)
    )
