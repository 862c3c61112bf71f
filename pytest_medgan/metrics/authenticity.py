"""Authenticity: the share of generated images that are no near-copies of a training image.

Paper: Alaa et al. 2022, "How Faithful is your Synthetic Data?", section 4. An image is authentic if it is further from
its nearest training image than that training image is from its own nearest neighbour in the training set.

Conventions: both distances are exact (float64 where float32 cannot decide); equal distances are not authentic; of
several training images that are equally near the first one counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from pytest_medgan.metrics import inputs
from pytest_medgan.metrics.causes import need
from pytest_medgan.metrics.look import Look
from pytest_medgan.metrics.neighbours import Neighbours, find_neighbours
from pytest_medgan.metrics.pairwise import Points, exact_distances, mean_of, points, products, to_distances_
from pytest_medgan.metrics.uncertainty import combine_se, hits_se, jackknife_se
from pytest_medgan.records import Bool, Cause, Contribution, Estimate, Float64

KEPT = 8  # nearest training images kept of each generated one


@dataclass(frozen=True, eq=False)
class NearestTraining:
    """Nearest training images of every generated one."""

    index: torch.Tensor  # int64 [M,C], rows of the training set, ascending by distance
    near: torch.Tensor  # float32 [M,C], squared distances from the products
    squared: torch.Tensor  # float64 [M], squared distance to the first, exact
    own: torch.Tensor  # float64 [M], squared distance from the first to its own nearest in the training set, exact

    @property
    def authentic(self) -> Bool:
        """Whether each generated image is authentic, bool [M]."""
        return (self.squared > self.own).cpu().numpy()


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


def find_nearest_training(fake: Points, train: Points, own: Neighbours) -> NearestTraining:
    """Return the nearest training images of every generated one, of which the first is exact.

    `own` holds the nearest neighbour of every training image in its own set.
    """
    count = min(KEPT, len(train))
    index = torch.empty(len(fake), count, dtype=torch.int64, device=fake.rows.device)
    near = torch.empty(len(fake), count, dtype=torch.float32, device=fake.rows.device)
    for part, block in products(fake, train):
        near[part], index[part] = torch.topk(to_distances_(block, fake.norms[part], train.norms), count, largest=False)
    doubt = 2 * (fake.slack * (3 * fake.norms + 2 * near[:, 0]) + fake.floor)
    row, slot = (near <= (near[:, 0] + doubt)[:, None]).nonzero(as_tuple=True)
    values = torch.full(near.shape, torch.inf, dtype=torch.float64, device=near.device)
    values[row, slot] = exact_distances(fake, row, train, index[row, slot])
    squared = values.amin(1)
    first = torch.where(values == squared[:, None], index, len(train)).argmin(1)
    nearest = index.gather(1, first[:, None])[:, 0]
    index.scatter_(1, first[:, None], index[:, :1].clone())
    if count < len(train):
        for row in (near[:, -1] <= near[:, 0] + doubt).nonzero()[:, 0].tolist():  # others may be as near as those kept
            every = torch.arange(len(train), device=index.device)
            distances = exact_distances(fake, torch.full_like(every, row), train, every)
            squared[row], nearest[row] = distances.min(), distances.argmin()
    index[:, 0] = nearest
    return NearestTraining(index, near, squared, own.exact_radii(train, nearest, torch.zeros_like(nearest)))


def authenticity_estimate(look: Look) -> Estimate:
    """Return authenticity: a rate for a fixed training set; deleting blocks of its patients gives that set's error."""
    found, own = look.keep(nearest_training), need(look.reference.train_near, Cause.NO_TRAINING_IMAGES)
    hits, trials = int(found.authentic.sum()), len(found.index)
    se = hits_se(found.authentic.astype(np.float64), look.fake_group)
    block = need(look.reference.train_block, Cause.NO_TRAINING_IMAGES)
    sizes = np.bincount(block)
    without = _authentic_without(found, own, torch.as_tensor(block, device=found.index.device), len(sizes)) / trials
    return Estimate(hits / trials, se, combine_se(se, jackknife_se(hits / trials, without, sizes)))


def authenticity_contribution(look: Look) -> Contribution:
    """Return whether each generated image is authentic."""
    return Contribution(np.asarray(look.keep(nearest_training).authentic, np.float64))


def nearest_training(look: Look) -> NearestTraining:
    """Return the nearest training images of a look's generated images."""
    train, near = look.reference.train, look.reference.train_near
    return find_nearest_training(
        look.fake_ball_points, need(train, Cause.NO_TRAINING_IMAGES), need(near, Cause.NO_TRAINING_IMAGES)
    )


def _authentic_without(found: NearestTraining, own: Neighbours, block: torch.Tensor, count: int) -> Float64:
    """Return how many images are authentic without each block of training images, float64 [G].

    Distances other than the first are float32: only the standard error depends on them.
    """
    near_block, own_block = block[found.index], block[own.index]
    result = np.empty(count)
    for name in range(count):
        slot = (near_block != name).int().argmax(1)
        first = found.index.gather(1, slot[:, None])[:, 0]
        squared = torch.where(slot == 0, found.squared, found.near.gather(1, slot[:, None])[:, 0].double())
        own_slot = (own_block[first] != name).int().argmax(1)
        radius = own.near[first].gather(1, own_slot[:, None])[:, 0].double()
        radius = torch.where(own_slot == 0, own.radii[first, 0], radius)
        radius = torch.where((slot == 0) & (own_slot == 0), found.own, radius)
        result[name] = float((squared > radius).sum())
    return result
