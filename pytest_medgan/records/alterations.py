"""The kinds of wrong image that `anomaly_rate` looks for."""

from __future__ import annotations

import enum


class Alteration(enum.StrEnum):
    """What is wrong with an image. Evidence holds places in this order; `words` is for readers."""

    UPSIDE_DOWN = enum.auto()
    JOINED_HALVES = enum.auto()
    ERASED_CENTRE = enum.auto()
    LOCAL_WARP = enum.auto()
    CHECKERBOARD = enum.auto()
    STREAKS = enum.auto()
    MOTION = enum.auto()
    GHOST = enum.auto()
    MIRRORED_HALVES = enum.auto()
    REPEATED_TILE = enum.auto()
    NOISE = enum.auto()

    @property
    def words(self) -> str:
        """What an image is, to complete "the image ..."."""
        return _WORDS[self]


_WORDS = {
    Alteration.UPSIDE_DOWN: "is upside-down",
    Alteration.JOINED_HALVES: "joins halves of two images",
    Alteration.ERASED_CENTRE: "has an empty centre",
    Alteration.LOCAL_WARP: "is distorted in one region",
    Alteration.CHECKERBOARD: "shows a checkerboard pattern",
    Alteration.STREAKS: "shows streaks",
    Alteration.MOTION: "is smeared in one direction",
    Alteration.GHOST: "shows a second, shifted copy of itself",
    Alteration.MIRRORED_HALVES: "is mirrored at its middle",
    Alteration.REPEATED_TILE: "repeats a part of itself",
    Alteration.NOISE: "is noisier than real ones",
}
