"""What is to be prepared: the chosen slices in their final order, before any pixel is read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from pytest_medgan.records import UInt8


class Job(Protocol):
    """One finished image, to be made by any worker."""

    @property
    def file(self) -> str:
        """The file it reads, relative to the data root."""

    def render(self, root: Path) -> UInt8:
        """Return the image, uint8 [size,size].

        Raises:
            DataError: The file cannot be read as a slice or picture.
        """


@dataclass(frozen=True)
class Plan:
    """The images of a data set, ordered by patient and then by position."""

    patients: tuple[str, ...]  # PatientIDs in order; they never leave this room
    labels: tuple[int, ...]  # one a patient: 1 deceased, 0 alive, -1 unknown
    owners: tuple[int, ...]  # one an image: its patient's row
    jobs: tuple[Job, ...]  # one an image
    inputs: tuple[str, ...]  # digests of the files that the images depend on
    instances: tuple[str, ...]  # what the key of the pseudonyms is made of
    window: tuple[float, float] | None  # HU of grey 0 and 255; None for pictures that were grey already
    crop: str  # "tumour" or "image", as used
    compressed: bool = False  # some pixels need a decoder, which is kept apart
    warnings: tuple[str, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)
    named: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # files and names, for the terminal alone
