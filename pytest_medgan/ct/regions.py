"""Regions of interest from RTSTRUCT or SEG, and the rule that chooses the tumour among them.

Names are compared without case and punctuation. GTV-1 comes before GTV-2, a numbered GTV before any other (iGTV, GTVp),
then come names such as tumour, neoplasm, lesion, nodule or mass; lymph nodes ("GTVn") come last. Among equal ranks the
region of the larger volume is taken, then the one of the lower number. A region that covers no pixel of its series, or
lies outside of it, is passed over.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Protocol

from pytest_medgan.ct.series import Series
from pytest_medgan.errors import DataError
from pytest_medgan.records import Bool

# "Lung-GTV" is the lung without its tumour, so a name with another word before GTV is not the tumour
_GTV = re.compile(r"(?:i|it|p|t|l|r|lt|rt|primary)?gtv(?P<rest>.*)")
_TUMOUR = re.compile(r"(?:primary|main|lung|left|right|l|r)*(?:neoplasm|tumou?r|lesion|nodule|mass|cancer|carcinoma)")
_NODES, _OTHER = 3, 2


class Region(Protocol):
    """One region of interest."""

    @property
    def number(self) -> int:
        """ROINumber or SegmentNumber."""

    @property
    def name(self) -> str:
        """The name as it is written in the file."""

    def masks(self, series: Series, file: str) -> dict[int, Bool]:
        """Return the region on each slice, slice index -> bool [H,W].

        Raises:
            DataError: The region does not lie in the series.
        """


@dataclass(frozen=True)
class StructureFile:
    """An RTSTRUCT or SEG: which series it was drawn on, and those of its regions that may be a tumour."""

    file: str
    digest: str
    kind: str  # "RTSTRUCT" or "SEG"
    patient: str
    series: frozenset[str]  # SeriesInstanceUIDs it refers to
    frames: frozenset[str]  # FrameOfReferenceUIDs
    images: frozenset[str]  # SOPInstanceUIDs its regions lie on, with /frame for one frame of an enhanced CT
    regions: Sequence[Region]
    names: tuple[str, ...] = ()  # of all its regions, as written in the file
    faults: tuple[DataError, ...] = ()  # regions that may be a tumour and could not be read

    def drawn_on(self, series: Series) -> bool:
        """Whether it was drawn on a series: by series or images, else by frame of reference, else by position."""
        if self.series or self.images:
            return series.uid in self.series or any(
                not header.references.isdisjoint(self.images) for header in series.slices
            )
        if self.frames and any(header.frame_of_reference in self.frames for header in series.slices):
            return True
        return self.patient == series.patient and any(_fits(region, series, self.file) for region in self.regions)


@dataclass(frozen=True)
class Choice:
    """The region chosen as the tumour among the regions of a file."""

    name: str  # of the chosen region; "" if none was chosen
    masks: dict[int, Bool]  # slice index -> bool [H,W]
    faults: tuple[DataError, ...]  # regions passed over because they do not fit


def _fits(region: Region, series: Series, file: str) -> bool:
    """Return whether a region lies in a series."""
    try:
        return any(mask.any() for mask in region.masks(series, file).values())
    except DataError:
        return False


def rank(name: str, wanted: str | None = None) -> tuple[int, int] | None:
    """Return the rank of a region's name as that of the tumour, the lowest is best; None for another region.

    Args:
        name: The name as it is written in the file.
        wanted: The only accepted name, if the user gave one.

    Examples:
        >>> rank("GTV-1"), rank("gtv"), rank("Primary tumor"), rank("Lung-GTV")
        ((0, 1), (1, 0), (2, 0), None)
    """
    plain = _plain(name)
    if wanted is not None:
        return (0, 0) if plain == _plain(wanted) else None
    if match := _GTV.fullmatch(plain):
        rest = match["rest"]
        if rest.startswith(("n", "ln")):
            return _NODES, 0
        return (0, int(rest)) if plain.startswith("gtv") and rest.isascii() and rest.isdigit() else (1, 0)
    if _TUMOUR.match(plain) or plain == "primary":
        return (_NODES if "secondary" in plain or "node" in plain else _OTHER), 0
    return None


def _plain(name: str) -> str:
    """Return a name without case and punctuation."""
    return re.sub(r"[^a-z0-9]", "", name.casefold())


def choose_region(structures: StructureFile, series: Series, wanted: str | None = None) -> Choice:
    """Return the tumour among the regions of a file, and the errors of regions that were passed over."""
    faults = [*structures.faults]
    ranked = [(found, region) for region in structures.regions if (found := rank(region.name, wanted)) is not None]
    for _, group in groupby(sorted(ranked, key=lambda item: (item[0], item[1].number)), key=lambda item: item[0]):
        best: tuple[int, str, dict[int, Bool]] = (0, "", {})
        for _, region in group:
            try:
                masks = region.masks(series, structures.file)
            except DataError as error:
                faults.append(error)
                continue
            volume = sum(int(mask.sum()) for mask in masks.values())
            if not volume:
                faults.append(
                    DataError(
                        "A GTV covers no pixel of its series. Draw it again, or use crop=image.", file=structures.file
                    )
                )
            if volume > best[0]:
                best = volume, region.name, masks
        if best[0]:
            return Choice(best[1], best[2], tuple(faults))
    return Choice("", {}, tuple(faults))


def choose_file(files: Sequence[StructureFile], series: Series) -> StructureFile | None:
    """Return the structure set drawn on a series: one with a tumour first, then RTSTRUCT before SEG, then by digest.

    One of another patient is none of them, even where files of several patients have the same UIDs.
    """
    own = (file for file in files if not file.patient or not series.patient or file.patient == series.patient)
    drawn = [file for file in own if file.drawn_on(series)]
    return min(drawn, key=lambda file: (not file.regions, file.kind, file.digest)) if drawn else None
