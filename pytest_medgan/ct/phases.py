"""Several volumes under one SeriesInstanceUID, such as the phases of a breath or of a contrast agent: one is taken."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence, Set
from itertools import combinations

import numpy as np

from pytest_medgan.ct.regions import StructureFile
from pytest_medgan.ct.slices import MARKS, Header

_LEAST = 3  # slices of a volume
_COVERED = 0.6  # least share of the positions of a series at which the volume that is taken must have a slice
_SHARED = 0.5  # least share of the positions of the smaller of two volumes of one place that lie at those of the other
_NEAR = 0.45  # of the distance between slices: within this a slice lies at the position of another volume's slice
_ROUNDING = 0.02  # mm


def main_volume(headers: Sequence[Header], structures: Sequence[StructureFile]) -> list[Header]:
    """Return the slices of one volume of a series that has several at the same positions; all where there is one.

    Volumes are told apart by one of MARKS, or by two of them, and lie at one place: parts of a series that follow one
    another, such as the acquisitions of one volume, stay together. Taken is the volume on whose slices contours were
    drawn, else one that was measured rather than computed, else the one with the most slices, else the first by its
    mark.

    Args:
        headers: The slices of one SeriesInstanceUID, in any order.
        structures: RTSTRUCT and SEG.
    """
    places = _places(headers)
    if max(Counter(places.values()).values()) == 1:
        return list(headers)
    several = [at for at in range(len(MARKS)) if len({header.marks[at : at + 1] for header in headers}) > 1]
    for marks in (*((at,) for at in several), *combinations(several, 2)):
        parts: dict[tuple[str, ...], list[Header]] = defaultdict(list)
        for header in headers:
            parts[tuple(header.marks[at] for at in marks)].append(header)
        taken = min(parts, key=lambda key: _rank(parts[key], key, structures))
        found = {key: {header.instance: places[header.instance] for header in part} for key, part in parts.items()}
        own = set(found[taken].values())
        enough = max(_LEAST, _COVERED * len(set(places.values())))
        if len(own) == len(found[taken]) >= enough and all(overlap(own, set(at.values())) for at in found.values()):
            return parts[taken]
    return list(headers)


def overlap(one: Set[float], other: Set[float]) -> bool:
    """Return whether two sets of slices are scans of one place, by their positions along the normal, mm.

    The slices of two scans lie at other positions by less than half a step. Slices that continue or complete a volume
    lie a step from its own, or between them.
    """
    small, large = (np.array(sorted(places)) for places in sorted((one, other), key=len))
    step = float(np.median(np.diff(large))) if len(large) > 1 else 0.0
    away = np.abs(small[:, None] - large).min(axis=1)
    return bool((away <= max(_NEAR * step, _ROUNDING)).mean() >= _SHARED)


def _places(headers: Sequence[Header]) -> dict[str, float]:
    """Return SOPInstanceUID -> position along the normal, mm; copies of one slice count once."""
    normal = np.cross(headers[0].orientation[:3], headers[0].orientation[3:])
    return {header.instance: round(float(np.dot(header.position, normal)), 2) for header in headers}


def _rank(part: Sequence[Header], key: tuple[str, ...], structures: Sequence[StructureFile]) -> tuple[object, ...]:
    """Return the rank of a volume among those of its series, the lowest is best."""
    drawn = any(not header.references.isdisjoint(file.images) for file in structures for header in part)
    count = len({header.instance for header in part})
    return not drawn, part[0].processed, -count, [(len(value), value) for value in key]
