"""The ways in which an image lies outside the range of real images, for `implausible_rate`."""

from __future__ import annotations

import enum


class Implausibility(enum.StrEnum):
    """What no real image shows. Evidence holds places in this order; `words` is for readers."""

    LITTLE_AIR = enum.auto()
    MUCH_AIR = enum.auto()
    LITTLE_LUNG = enum.auto()
    MUCH_LUNG = enum.auto()
    LITTLE_FAT = enum.auto()
    MUCH_FAT = enum.auto()
    LITTLE_SOFT_TISSUE = enum.auto()
    MUCH_SOFT_TISSUE = enum.auto()
    LITTLE_BONE = enum.auto()
    MUCH_BONE = enum.auto()
    LITTLE_AIR_AT_BORDER = enum.auto()
    MUCH_AIR_AT_BORDER = enum.auto()
    LITTLE_OUTSIDE = enum.auto()
    MUCH_OUTSIDE = enum.auto()
    MUCH_NOISE = enum.auto()
    FINE_NOISE = enum.auto()
    MIXTURE = enum.auto()

    @property
    def words(self) -> str:
        """What an image does, to complete "the image ..."."""
        return _WORDS[self]


_WORDS = {
    Implausibility.LITTLE_AIR: "holds less air than real images do",
    Implausibility.MUCH_AIR: "holds more air than real images do",
    Implausibility.LITTLE_LUNG: "holds less lung than real images do",
    Implausibility.MUCH_LUNG: "holds more lung than real images do",
    Implausibility.LITTLE_FAT: "holds less fat than real images do",
    Implausibility.MUCH_FAT: "holds more fat than real images do",
    Implausibility.LITTLE_SOFT_TISSUE: "holds less soft tissue than real images do",
    Implausibility.MUCH_SOFT_TISSUE: "holds more soft tissue than real images do",
    Implausibility.LITTLE_BONE: "holds less bone than real images do",
    Implausibility.MUCH_BONE: "holds more bone than real images do",
    Implausibility.LITTLE_AIR_AT_BORDER: "has less air along its border than real images do",
    Implausibility.MUCH_AIR_AT_BORDER: "has more air along its border than real images do",
    Implausibility.LITTLE_OUTSIDE: "has less air outside of the body than real images do",
    Implausibility.MUCH_OUTSIDE: "has an open body outline: more air is connected with the border than in real images",
    Implausibility.MUCH_NOISE: "is noisier than real images are",
    Implausibility.FINE_NOISE: "has noise of a finer grain than real images do",
    Implausibility.MIXTURE: "combines tissues as real images do not",
}
