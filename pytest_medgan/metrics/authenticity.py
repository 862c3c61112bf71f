"""Authenticity: the share of generated images that are no near-copies of a training image.

Alaa et al. 2022, "How Faithful is your Synthetic Data?", section 4: an image is authentic if it lies further from its
nearest training image than that training image lies from its own nearest neighbour in the training set. Both
distances are exact (float64 where float32 cannot tell); equal distances are not authentic.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from pytest_medgan.metrics import inputs
from pytest_medgan.metrics.gram import Points, centre_of, distances_, exact, points, products
from pytest_medgan.metrics.neighbours import Neighbours, neighbours
from pytest_medgan.metrics.uncertainty import blocks_of, both, jackknife_se, rate_se
from pytest_medgan.records import Bool, Estimate, Float64, Int64

if TYPE_CHECKING:
    from pytest_medgan.metrics.look import Look

KEPT = 8  # nearest training images kept of each generated one


@dataclass(frozen=True, eq=False)
class Nearest:
    """Nearest training images of every generated one."""

    index: torch.Tensor  # int64 [M,C], ascending by distance
    near: torch.Tensor  # float32 [M,C], squared distances as the products give them
    squared: torch.Tensor  # float64 [M], to the first, exact
    own: torch.Tensor  # float64 [M], from the first to its own nearest in the training set, exact

    @property
    def authentic(self) -> Bool:
        """bool [M]"""
        return (self.squared > self.own).cpu().numpy()


def authenticity(*, fake: Any, train: Any) -> float:
    """Share of generated features [M,D] that are authentic with respect to the training features [T,D], T at least 2.

    MetricInputError for other shapes or values.
    """
    train = inputs.features(train, "train", least=2)
    fake = inputs.features(fake, "fake", width=train.shape[1]).to(train.device)
    centre = centre_of(train)
    ready = points(train, centre)
    return float(nearest_training(points(fake, centre), ready, neighbours(ready, (1,))).authentic.mean())


def nearest_training(fake: Points, train: Points, own: Neighbours) -> Nearest:
    """The nearest training images of every generated one, the first of them exactly."""
    count = min(KEPT, len(train))
    index = torch.empty(len(fake), count, dtype=torch.int64, device=fake.rows.device)
    near = torch.empty(len(fake), count, dtype=torch.float32, device=fake.rows.device)
    for part, block in products(fake, train):
        near[part], index[part] = torch.topk(distances_(block, fake.norms[part], train.norms), count, largest=False)
    doubt = 2 * fake.slack * (3 * fake.norms + 2 * near[:, 0])
    row, slot = (near <= (near[:, 0] + doubt)[:, None]).nonzero(as_tuple=True)
    values = torch.full(near.shape, torch.inf, dtype=torch.float64, device=near.device)
    values[row, slot] = exact(fake, row, train, index[row, slot])
    squared, first = values.min(1)
    swapped = index.gather(1, first[:, None])[:, 0]
    index.scatter_(1, first[:, None], index[:, :1].clone())
    index[:, 0] = swapped
    return Nearest(index, near, squared, own.exactly(train, swapped, torch.zeros_like(swapped)))


def authenticity_estimate(look: Look) -> Estimate:
    """A rate for a fixed training set; deleting blocks of its patients shows what another would do."""
    found, own, group = look.nearest_training, look.reference.train_near, look.reference.train_group
    if own is None or group is None:
        raise LookupError("no training features were given")
    hits, trials = int(found.authentic.sum()), len(found.index)
    se = rate_se(hits, trials)
    block = blocks_of(group, look.seed)
    sizes = np.bincount(block)
    without = _without_blocks(found, own, torch.as_tensor(block, device=found.index.device), len(sizes)) / trials
    return Estimate(hits / trials, se, both(se, jackknife_se(hits / trials, without, sizes)))


def _without_blocks(found: Nearest, own: Neighbours, block: torch.Tensor, count: int) -> Float64:
    """Authentic images when each block of the training set is gone, float64 [G]; float32 distances, as kept."""
    near_block, own_block = block[found.index], block[own.index]
    result = np.empty(count)
    for name in range(count):
        there = near_block != name
        slot = there.int().argmax(1)
        first = found.index.gather(1, slot[:, None])[:, 0]
        squared = torch.where(slot == 0, found.squared, found.near.gather(1, slot[:, None])[:, 0].double())
        own_slot = (own_block[first] != name).int().argmax(1)
        radius = own.near[first].gather(1, own_slot[:, None])[:, 0].double()
        radius = torch.where(own_slot == 0, own.radii[first, 0], radius)
        result[name] = float((squared > radius).sum())
    return result


def suspects(found: Nearest) -> Int64:
    """Rows of the generated images that are not authentic, the nearest to its training image first."""
    rows = np.flatnonzero(~found.authentic)
    ratio = (found.squared / found.own.clamp_min(1e-300)).cpu().numpy()
    return rows[np.argsort(ratio[rows], kind="stable")]
