"""The nearest training images of generated ones, for authenticity and its evidence."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from pytest_medgan.metrics.neighbours import Neighbours
from pytest_medgan.metrics.pairwise import Points, exact_distances, products, to_distances_
from pytest_medgan.records import Bool, Float64

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


def authentic_without(found: NearestTraining, own: Neighbours, block: torch.Tensor, count: int) -> Float64:
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
