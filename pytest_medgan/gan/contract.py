"""Resolve what a generator offers beyond drawing images, once, when it is loaded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pytest_medgan.errors import CheckpointError
from pytest_medgan.gan.seeding import seeded_drawing
from pytest_medgan.records import ImageSource, Names, UInt8

_TEXT = ("identity", "training_recipe", "run_recipe", "condition")


def resolve_generator(generator: Any) -> ImageSource:
    """Return a generator as an ImageSource.

    Args:
        generator: Any callable `(count, seed) -> uint8 [N,C,H,W]`; see `records.Generator` for what it may offer.

    Raises:
        CheckpointError: It is not callable, or an attribute it offers is of another type.
    """
    if isinstance(generator, ImageSource):
        return generator
    if not callable(generator):
        raise CheckpointError(
            f"The generator is a {type(generator).__name__}, which cannot be called. "
            "Give a function or object that is called as (count, seed) and returns uint8 [N,1,H,W] or [N,3,H,W]."
        )
    offered = {name: getattr(generator, name, None) for name in _TEXT}
    for name, value in offered.items():
        if value is not None and not isinstance(value, str):
            raise CheckpointError(f"The generator's {name} is a {type(value).__name__}. Make it text, or leave it out.")
    draw_range = getattr(generator, "sample_range", None)
    if draw_range is not None and not callable(draw_range):
        raise CheckpointError(
            "The generator's sample_range cannot be called. "
            "Make it a method (start, stop, seed) that returns uint8 [stop-start,C,H,W], or leave it out."
        )
    return ImageSource(
        draw=_Seeded(generator),
        draw_range=None if draw_range is None else _SeededRange(draw_range),
        identity=offered["identity"],
        training_recipe=offered["training_recipe"],
        run_recipe=offered["run_recipe"],
        condition=offered["condition"],
        training_seed=_seed(getattr(generator, "training_seed", None)),
        window=_window(getattr(generator, "window", None)),
        shares_images=bool(getattr(generator, "shares_images", True)),
        groups=_groups(getattr(generator, "groups", None)),
        volume_shape=read_volume_shape(getattr(generator, "volume_shape", None)),
    )


@dataclass(frozen=True)
class _Seeded:
    """A function of (count, seed) whose own random numbers follow from the seed."""

    draw: Callable[[int, int], UInt8]

    def __call__(self, count: int, seed: int) -> UInt8:
        with seeded_drawing(seed):
            return self.draw(count, seed)


@dataclass(frozen=True)
class _SeededRange:
    """A function of (start, stop, seed) whose own random numbers follow from start and seed."""

    draw: Callable[[int, int, int], UInt8]

    def __call__(self, start: int, stop: int, seed: int) -> UInt8:
        with seeded_drawing(seed, start):
            return self.draw(start, stop, seed)


def read_volume_shape(value: Any) -> tuple[int, int, int] | None:
    """Return the shape of the volumes that a generator draws; None where it draws images.

    Args:
        value: Its attribute `volume_shape`.

    Raises:
        CheckpointError: It is not three whole numbers of at least 1.
    """
    if value is None:
        return None
    try:
        depth, rows, columns = (int(side) for side in value)
    except (TypeError, ValueError):
        depth = rows = columns = 0
    if min(depth, rows, columns) < 1:
        raise CheckpointError(
            "The generator's volume_shape is not three whole numbers. Give the planes, rows and columns of the volumes "
            "that it draws, or leave it out where it draws images."
        )
    return depth, rows, columns


def _groups(value: Any) -> Callable[[int, int], Names] | None:
    """Return the function that names the group of each image, or None."""
    if value is not None and not callable(value):
        raise CheckpointError(
            "The generator's groups cannot be called. Make it a method (count, seed) that returns the group of each "
            "image, or leave it out where all images are independent."
        )
    found: Callable[[int, int], Names] | None = value
    return found


def _window(value: Any) -> tuple[float, float] | None:
    """Return the HU of 0 and 255, or None."""
    if value is None:
        return None
    try:
        low, high = (float(edge) for edge in value)
    except (TypeError, ValueError):
        raise CheckpointError(
            "The generator's window is not a pair of numbers. Give the HU of grey 0 and 255, or leave it out."
        ) from None
    return low, high


def _seed(value: Any) -> int | None:
    """Return the seed of the training run, or None."""
    if value is not None and (not isinstance(value, int) or isinstance(value, bool)):
        raise CheckpointError(
            f"The generator's training_seed is a {type(value).__name__}. Make it a whole number, or leave it out."
        )
    return value
