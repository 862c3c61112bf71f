"""The plan of a data set: which images to prepare, in their final order, before any pixel is read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from pytest_medgan.records import UInt8


class Job(Protocol):
    """The task of making one finished image; any worker can do it."""

    @property
    def file(self) -> str:
        """The file that the task reads, relative to the data root."""

    def render(self, root: Path) -> UInt8:
        """Return the image, uint8 [size,size], or several of a patient: [N,size,size], [N,3,size,size] or [1,1,D,H,W].

        Raises:
            DataError: The file cannot be read as a slice or picture.
        """


@dataclass(frozen=True)
class Plan:
    """The images of a data set, ordered by patient and then by position."""

    patients: tuple[str, ...]  # PatientIDs in order; never passed on outside `ct`
    labels: tuple[int, ...]  # one per patient: 1 deceased, 0 alive, -1 unknown
    owners: tuple[int, ...]  # one per job: index of its patient in `patients`
    jobs: tuple[Job, ...]  # one per image, or per cube of a patient
    inputs: tuple[str, ...]  # digests of the files that the images depend on, pictures and volumes by patient
    instances: tuple[str, ...]  # SOPInstanceUIDs or file digests, from which the key of the pseudonyms is computed
    window: tuple[float, float] | None  # HU of grey 0 and 255; None for pictures stored as grey levels
    crop: str  # the crop in effect: "tumour" or "image"
    compressed: bool = False  # whether pixels need a decoder, which then runs in a process of its own
    warnings: tuple[str, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)
    named: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # reason -> files; only for the terminal
