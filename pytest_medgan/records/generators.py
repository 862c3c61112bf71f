"""What a generator is to the rest of the package."""

from __future__ import annotations

from typing import Protocol

from pytest_medgan.records.arrays import UInt8


class Generator(Protocol):
    """Draw images: `(count, seed) -> uint8 [N,1,H,W]`; the same call returns the same images.

    A generator may also have
      identity: str            digest of its weights, configuration and code; without it nothing is cached
      training_recipe: str     the recipe of the ImageSet it was trained on
      sample_range(start, stop, seed) -> uint8 [stop-start,1,H,W]
                               rows start..stop of the endless sequence that `seed` names, so that early looks
                               draw only what they need; without it the full count is drawn at once
    """

    def __call__(self, count: int, seed: int) -> UInt8: ...
