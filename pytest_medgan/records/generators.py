"""What a generator is to the rest of the package."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from pytest_medgan.records.arrays import Names, UInt8


class Generator(Protocol):
    """Draw images: `(count, seed) -> uint8 [N,1,H,W]`, or in colour [N,3,H,W]; the same call returns the same images.

    A generator may offer more, by attributes of these names; `ImageSource` says what each means.
      identity: str | None
      training_recipe: str | None
      run_recipe: str | None
      training_seed: int | None
      window: tuple[float, float] | None
      condition: str | None
      sample_range: (start, stop, seed) -> uint8 [stop-start,1,H,W]
      shares_images: bool
      groups: (count, seed) -> [count]
      volume_shape: tuple[int, int, int]
    """

    def __call__(self, count: int, seed: int) -> UInt8:
        """Return `count` images of the sequence that `seed` names."""


@dataclass(frozen=True, eq=False)
class ImageSource:
    """A generator and what it offers, resolved once when it is loaded."""

    draw: Callable[[int, int], UInt8]  # (count, seed) -> [count,1,H,W], not yet checked
    draw_range: Callable[[int, int, int], UInt8] | None = None
    # (start, stop, seed) -> rows start..stop of the endless sequence that `seed` names, so that early looks draw only
    # what they need; None where only the full count can be drawn
    identity: str | None = None  # digest of weights, configuration and code; None: nothing may be cached
    training_recipe: str | None = None  # the recipe of the ImageSet it was trained on; None where unknown
    run_recipe: str | None = None  # digest of how it was trained: code version, settings, data, but not the seed
    training_seed: int | None = None  # the seed of its training run; None where unknown
    window: tuple[float, float] | None = None  # the HU that 0 and 255 stand for; None where unknown
    condition: str | None = None  # what it was told to draw, such as "class=3"; scores of another are not comparable
    shares_images: bool = True  # other processes may receive its images through a folder
    groups: Callable[[int, int], Names] | None = None
    # (count, seed) -> the group of each of the first `count` images of a seed, where images of one group are not
    # independent (slices of one patient or volume); None where all images are independent
    volume_shape: tuple[int, int, int] | None = None
    # [D,H,W], where it draws volumes, uint8 [count,1,D,H,W] from the feet up, which are measured slice by slice; None:
    # it draws images
