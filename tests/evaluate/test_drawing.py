"""Whether a generator gives equal images for equal requests."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from pytest_medgan.errors import CheckpointError
from pytest_medgan.evaluate.drawing import DrawnImages
from pytest_medgan.gan.contract import resolve_generator
from pytest_medgan.records import UInt8


def noise(count: int, *key: int) -> UInt8:
    return np.random.default_rng(key or None).integers(0, 256, (count, 1, 8, 8), dtype=np.uint8)


def unseeded(count: int, seed: int) -> UInt8:
    return noise(count)


def seeded(count: int, seed: int) -> UInt8:
    return noise(count, seed)


def legacy(count: int, seed: int) -> UInt8:
    return np.random.randint(0, 256, (count, 1, 8, 8), dtype=np.uint8)


def rounded(count: int, seed: int) -> UInt8:
    """As a graphics card may add up: now and then another grey level."""
    flips = np.random.default_rng().random((count, 1, 8, 8)) < 0.2
    return np.where(flips, noise(count, seed) ^ 1, noise(count, seed))


def full_only(count: int, seed: int) -> UInt8:
    if count != 64:
        raise ValueError("This program draws 64 images.")
    return noise(count)


def partly(count: int, seed: int) -> UInt8:
    """The first image alone does not follow from the seed."""
    return np.concatenate([noise(1), noise(count, seed)[1:]])


class Stateful:
    """Seeded once, and then another image at each call."""

    def __init__(self) -> None:
        self._rng = np.random.default_rng(0)

    def __call__(self, count: int, seed: int) -> UInt8:
        return self.sample_range(0, count, seed)

    def sample_range(self, start: int, stop: int, seed: int) -> UInt8:
        return self._rng.integers(0, 256, (stop - start, 1, 8, 8), dtype=np.uint8)


def images_of(generator: Callable[[int, int], UInt8]) -> DrawnImages:
    return DrawnImages(resolve_generator(generator), full=64, shape=(1, 8, 8), key="key", name="mine")


@pytest.mark.parametrize("generator", [unseeded, partly, Stateful()])
def test_images_that_do_not_follow_from_the_seed_are_an_error(generator: Callable[[int, int], UInt8]) -> None:
    with pytest.raises(CheckpointError, match="Model 'mine': The generator draws other images when asked again"):
        images_of(generator).check(0, 64)
    images = images_of(generator)
    for _ in range(2):  # a second test of the session is as red as the first
        with pytest.raises(CheckpointError, match="asked again"):
            images.take(0, 64)


@pytest.mark.parametrize("generator", [seeded, legacy, rounded, full_only])
def test_images_that_follow_from_the_seed_are_taken(generator: Callable[[int, int], UInt8]) -> None:
    assert images_of(generator).take(0, 64).shape == (64, 1, 8, 8)


def test_nearly_equal_images_of_a_collapsed_generator_are_no_error() -> None:
    """Its images differ by noise alone, which another finding names."""

    def collapsed(count: int, seed: int) -> UInt8:
        return noise(1, 7).repeat(count, 0) ^ (noise(count) & 1)

    assert len(images_of(collapsed).take(0, 64)) == 64


def test_generator_is_asked_twice_once_for_all_seeds() -> None:
    asked = []

    def counted(count: int, seed: int) -> UInt8:
        asked.append((count, seed))
        return noise(count, seed)

    images = images_of(counted)
    for seed in range(3):
        images.take(seed, 64)
    assert asked == [(4, 0), (4, 0), (64, 0), (64, 1), (64, 2)]


@pytest.mark.parametrize("given", [noise, seeded], ids=["unseeded", "seeded"])
def test_generator_that_returns_one_array_again_and_again_is_read_at_once(given: Callable[..., UInt8]) -> None:
    buffer = np.empty((64, 1, 8, 8), np.uint8)

    def draw(count: int, seed: int) -> UInt8:
        buffer[:count] = noise(count) if given is noise else seeded(count, seed)
        return buffer[:count]

    drawn = images_of(draw)
    if given is noise:
        with pytest.raises(CheckpointError, match="other images when asked again"):
            drawn.sequence(0, 64)
        return
    first = drawn.sequence(0, 64).copy()
    assert (drawn.sequence(1, 64) != first).any()
    np.testing.assert_array_equal(drawn.sequence(0, 64), first)
