"""Cubes of a scan, of which slices in three planes are cut, or which are taken whole.

A cube is as high as it is wide: `crop_size` pixels of an axial slice. Its axial slices are finished first; then its
planes are interpolated along the body, by the triangle that `pytest_medgan.ct.images` resizes with, in whole numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor
from pathlib import Path

import numpy as np

from pytest_medgan.ct.images import WEIGHT_BITS
from pytest_medgan.ct.plan import Job
from pytest_medgan.ct.planes import AXIAL, THREE, cut_planes
from pytest_medgan.ct.series import EDGE_TOLERANCE
from pytest_medgan.errors import DataError
from pytest_medgan.records import DataSettings, UInt8

_SLACK = Fraction(1, 1000)  # of a slice, by which rounded tags may let a cube reach beyond its scan


@dataclass(frozen=True)
class CubeJob:
    """The slices in three planes of one cube, or the cube itself."""

    jobs: tuple[Job, ...]  # axial slices that the cube is made of, from the feet up
    first: Fraction  # place of the cube's lowest plane among them
    step: Fraction  # from one plane to the next, in axial slices
    size: int  # planes, and pixels a side
    slices: int | None  # that are cut in each direction, around the middle; None takes all
    planes: str = THREE  # or WHOLE

    @property
    def file(self) -> str:
        """The first file it reads, relative to the data root."""
        return self.jobs[0].file

    def render(self, root: Path) -> UInt8:
        """Return the slices, uint8 [3 slices,size,size], or the cube, uint8 [1,1,size,size,size].

        Raises:
            DataError: A file cannot be read as a slice.
        """
        axial = np.stack([job.render(root) for job in self.jobs])
        return cut_planes(interpolate(axial, self.first, self.step, self.size), self.planes, self.slices)


def plan_cube(
    jobs: Sequence[Job], *, middle: Fraction, side: float, distance: float, settings: DataSettings
) -> CubeJob:
    """Return the job of one cube.

    Args:
        jobs: Every axial slice of a scan, from the feet up.
        middle: Place of the cube's middle among them; it is moved where the cube would leave the scan.
        side: Of the cube, mm.
        distance: Between neighbouring slices, mm.
        settings: `size`, planes of the cube, and what is cut of it by `planes` and `slices`.

    Raises:
        DataError: The scan is shorter than the cube.
    """
    size = settings.size
    step = Fraction(side) / size / Fraction(distance) if distance > 0 else Fraction(0)
    half = step * size / 2
    lowest, highest = half - Fraction(1, 2), len(jobs) - Fraction(1, 2) - half
    if distance <= 0 or highest + _SLACK < lowest:
        raise DataError(
            f"A scan covers {len(jobs) * distance:.0f} mm along the body, and planes={settings.planes} needs "
            f"{side:.0f} mm, as much as crop_size= covers across it. Give a smaller crop_size, or leave the scan out.",
            file=jobs[0].file,
        )
    middle = min(max(middle, lowest), max(highest, lowest))
    first = middle - half + step / 2
    reach = max(step, Fraction(1))
    start = max(floor(first - reach), 0)
    stop = min(ceil(first + step * (size - 1) + reach) + 1, len(jobs))
    return CubeJob(tuple(jobs[start:stop]), first - start, step, size, settings.slices, settings.planes)


def tilted_error(planes: str, file: str) -> DataError:
    """Return the error for a scan whose slices are not stacked along their normal."""
    return DataError(
        f"A scan was made with a tilted gantry, so its volume is sheared and planes={planes} cannot cut it. Resample "
        f"it to upright slices, leave it out, or take planes={AXIAL}.",
        file=file,
    )


def is_square(height: float, width: float, pixels: int) -> bool:
    """Return whether pixels are as high as they are wide, mm: over `pixels` of them within EDGE_TOLERANCE."""
    return abs(height - width) * pixels <= EDGE_TOLERANCE


def check_square(height: float, width: float, pixels: int, planes: str, file: str) -> None:
    """Check that the pixels of a slice are as high as they are wide, mm, since a cube has voxels of one length.

    Raises:
        DataError: They are not (see `is_square`).
    """
    if not is_square(height, width, pixels):
        raise DataError(
            f"The pixels of a scan are {height:g} mm high and {width:g} mm wide, so planes={planes} would make no "
            f"cube. Resample it to square pixels, leave it out, or take planes={AXIAL}.",
            file=file,
        )


def interpolate(axial: UInt8, first: Fraction, step: Fraction, size: int) -> UInt8:
    """Return planes between axial slices.

    Args:
        axial: uint8 [N,rows,columns].
        first: Place of the first plane among the slices.
        step: From one plane to the next, in slices.
        size: Planes.

    Returns:
        uint8 [size,rows,columns].
    """
    reach = max(step, Fraction(1))
    planes = []
    for plane in range(size):
        place = first + step * plane
        near = range(max(floor(place - reach), 0), min(ceil(place + reach), len(axial) - 1) + 1)
        shares = [max(Fraction(0), 1 - abs(at - place) / reach) for at in near]
        if not any(shares):  # half a slice beyond the last one
            shares[-1 if place > near[-1] else 0] = Fraction(1)
        weights = [floor(share / sum(shares) * (1 << WEIGHT_BITS) + Fraction(1, 2)) for share in shares]
        weights[weights.index(max(weights))] += (1 << WEIGHT_BITS) - sum(weights)
        total = np.zeros(axial.shape[1:], np.int64)
        for at, weight in zip(near, weights, strict=True):
            total += axial[at].astype(np.int64) * weight
        planes.append(((total + (1 << (WEIGHT_BITS - 1))) >> WEIGHT_BITS).astype(np.uint8))
    return np.stack(planes)
