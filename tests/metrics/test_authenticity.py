"""Authenticity."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pytest_medgan.errors import MetricInputError
from pytest_medgan.metrics import authenticity, measure, prepare_reference
from pytest_medgan.metrics.inputs import features
from pytest_medgan.metrics.nearest_training import authentic_without, find_nearest_training
from pytest_medgan.metrics.neighbours import find_neighbours
from pytest_medgan.metrics.pairwise import mean_of, points


def oracle(*, fake, train):
    train, fake = train.astype(np.float64), fake.astype(np.float64)
    found = 0
    for row in fake:
        distance = ((row - train) ** 2).sum(1)
        nearest = int(distance.argmin())
        own = np.delete(((train[nearest] - train) ** 2).sum(1), nearest)
        found += distance[nearest] > own.min()
    return found / len(fake)


@pytest.mark.parametrize("shift", [0, 1e3])
def test_authenticity_equals_oracle(two_sets, shift):
    train, fake = (side + np.float32(shift) for side in two_sets)
    assert authenticity(fake=fake, train=train) == oracle(fake=fake, train=train)


def test_authenticity_of_hard_cases_equals_oracle(hard):
    """Duplicates and lattices are full of equal distances, which are not authentic."""
    train, fake = (np.asarray(side, np.float32) for side in hard)
    assert authenticity(fake=fake, train=train) == oracle(fake=fake, train=train)


def test_authentic_images_of_a_lattice_stay_without_a_block_that_is_not_near():
    """Ties are judged by exact distances where the nearest images and their own neighbours stay."""
    rng = np.random.default_rng(0)
    train, fake = (rng.integers(0, 4, (rows, 8)).astype(np.float32) for rows in (120, 40))
    block = np.arange(120) % 60
    reference = prepare_reference(fake, train=train, train_groups=block, metrics=["authenticity"])
    found = find_nearest_training(
        points(features(fake, "fake"), reference.centre), reference.train, reference.train_near
    )
    without = authentic_without(found, reference.train_near, torch.from_numpy(block), 60)
    near = found.index[:, 0]
    involved = np.concatenate([block[near.numpy()], block[reference.train_near.index[near, 0].numpy()]])
    others = np.setdiff1d(np.arange(60), involved)
    assert len(others) >= 5
    assert (without[others] == found.authentic.sum()).all()


def test_copies_of_training_images_lower_authenticity(two_sets):
    train, fake = two_sets
    clean = authenticity(fake=fake, train=train)
    fake = fake.copy()
    fake[:150] = train[:150]
    assert authenticity(fake=fake, train=train) < clean - 0.2
    assert authenticity(fake=train, train=train) == 0


def test_training_set_of_another_width_is_named():
    with pytest.raises(MetricInputError, match=r"fake has shape \[5, 3\] but the real features are 4 wide"):
        authenticity(fake=np.zeros((5, 3)), train=np.zeros((6, 4)))


def test_authentic_images_without_a_block_equal_a_new_measurement(two_sets):
    train, fake = two_sets
    tensor = features(train, "train")
    ready = points(tensor, mean_of(tensor))
    own = find_neighbours(ready, (1,))
    found = find_nearest_training(points(features(fake, "fake"), mean_of(tensor)), ready, own)
    block = torch.arange(len(train)) % 40
    without = authentic_without(found, own, block, 40)
    for name in (0, 7, 39):
        assert without[name] == len(fake) * oracle(fake=fake, train=train[block.numpy() != name])


def test_nearest_training_images_are_evidence(two_sets):
    train, fake = two_sets
    reference = prepare_reference(train, train=train, metrics=["authenticity"])
    found = measure(reference, fake=fake, metrics=["authenticity"], evidence=True).evidence
    distance = ((fake[:, None].astype(np.float64) - train) ** 2).sum(2)
    assert (found.nearest_train == distance.argmin(1)).all()
    assert found.nearest_train_distance == pytest.approx(np.sqrt(distance.min(1)), rel=1e-6)


@pytest.mark.parametrize("seed", range(5))
def test_nearest_of_more_equally_near_images_than_are_kept_is_exact(seed):
    """Sixty training images on a sphere, whose distances from its centre differ by rounding alone."""
    train = np.random.default_rng(seed).standard_normal((60, 6))
    train = (1000 * train / np.linalg.norm(train, axis=1, keepdims=True)).astype(np.float32)
    fake = np.zeros((2, 6), np.float32)
    reference = prepare_reference(train, train=train, metrics=["authenticity"])
    found = find_nearest_training(
        points(features(fake, "fake"), reference.centre), reference.train, reference.train_near
    )
    distance = np.square(train.astype(np.float64)).sum(1)
    assert found.index[:, 0].tolist() == [distance.argmin()] * 2
