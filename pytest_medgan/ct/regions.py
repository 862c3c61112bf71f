"""Regions of interest, whatever file drew them, and the rule by which one of them is the tumour.

Names are compared without case and punctuation. GTV-1 comes before GTV-2, a numbered GTV before an unnumbered one,
then comes what is called a neoplasm or a tumour, and nodes ("GTVn") count only where nothing else is there. Equal
claims are settled by the larger volume, then by the lower number.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from pytest_medgan.ct.dicom import Series
from pytest_medgan.errors import DataError
from pytest_medgan.records import Bool


class Region(Protocol):
    """One region of interest."""

    @property
    def number(self) -> int:
        """ROINumber or SegmentNumber."""

    @property
    def name(self) -> str:
        """As the file spells it."""

    def masks(self, series: Series, file: str) -> dict[int, Bool]:
        """Slice index -> bool [H,W]; raises DataError for a region that does not lie in the series."""


@dataclass(frozen=True)
class StructureFile:
    """An RTSTRUCT or SEG: which series it was drawn on, and those of its regions that may be a tumour."""

    file: str
    digest: str
    kind: str  # "RTSTRUCT" or "SEG"
    patient: str
    series: frozenset[str]  # SeriesInstanceUIDs it refers to
    frames: frozenset[str]  # FrameOfReferenceUIDs
    images: frozenset[str]  # SOPInstanceUIDs its regions lie on
    regions: Sequence[Region]

    def drawn_on(self, series: Series) -> bool:
        """By SeriesInstanceUID; where the file names no series, by its images, then by frame of reference."""
        if self.series:
            return series.uid in self.series
        if self.images:
            return any(header.instance in self.images for header in series.slices)
        return series.slices[0].frame_of_reference in self.frames


def rank(name: str) -> tuple[int, int] | None:
    """The claim of a region's name to be the tumour, lowest first; None for an organ."""
    plain = re.sub(r"[^a-z0-9]", "", name.casefold())
    if plain.startswith("gtv"):
        rest = plain[3:]
        if rest.isdigit():
            return 0, int(rest)
        return (3, 0) if rest.startswith(("n", "ln")) else (1, 0)
    if plain.startswith(("neoplasm", "tumor", "tumour", "lesion")):
        return (3, 0) if "secondary" in plain or "node" in plain else (2, 0)
    return None


def choose_region(structures: StructureFile, series: Series) -> tuple[str, dict[int, Bool]] | None:
    """Name and masks of the tumour; None where no region may be one. Raises DataError as the masks do."""
    ranks = {region.number: rank(region.name) for region in structures.regions}
    claims = [claim for claim in ranks.values() if claim is not None]
    if not claims:
        return None
    masks = {
        region.number: (region.name, region.masks(series, structures.file))
        for region in structures.regions
        if ranks[region.number] == min(claims)
    }
    number = max(masks, key=lambda at: (sum(int(mask.sum()) for mask in masks[at][1].values()), -at))
    name, chosen = masks[number]
    if not any(mask.any() for mask in chosen.values()):
        raise DataError(
            "has a GTV that covers no pixel of its series; use crop=image, or leave it out", file=structures.file
        )
    return name, chosen


def choose_file(files: Sequence[StructureFile], series: Series) -> StructureFile | None:
    """The structure set drawn on `series`; with a tumour before without, RTSTRUCT before SEG, then by digest."""
    drawn = [file for file in files if file.drawn_on(series)]
    return min(drawn, key=lambda file: (not file.regions, file.kind, file.digest)) if drawn else None
