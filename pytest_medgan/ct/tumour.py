"""Where the tumour lies on the slices of its series."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from pytest_medgan.records import Bool

Centre = tuple[Fraction, Fraction]  # row, column in pixels; the centre of the first pixel is (0, 0)


@dataclass(frozen=True)
class Tumour:
    """The chosen region on the slices of one series."""

    name: str  # as the file spells it
    indices: tuple[int, ...]  # slices it lies on, ascending
    counts: tuple[int, ...]  # pixels on each
    row_sums: tuple[int, ...]  # of the pixels' rows, on each
    column_sums: tuple[int, ...]  # of the pixels' columns, on each

    @property
    def middle(self) -> Fraction:
        """Centroid along the slice index, over all voxels."""
        return Fraction(sum(i * n for i, n in zip(self.indices, self.counts, strict=True)), sum(self.counts))

    @property
    def centroid(self) -> tuple[Fraction, Fraction, Fraction]:
        """Slice index, row and column of the centroid over all voxels."""
        total = sum(self.counts)
        return self.middle, Fraction(sum(self.row_sums), total), Fraction(sum(self.column_sums), total)

    def centre(self, index: int) -> Centre:
        """Return the centre on one slice.

        It is the slice's own centroid, in a gap a point on the straight line between neighbours, beyond the ends the
        last one.
        """
        if index <= self.indices[0]:
            return self._own(0)
        if index >= self.indices[-1]:
            return self._own(len(self.indices) - 1)
        after = next(at for at, slice_index in enumerate(self.indices) if slice_index >= index)
        if self.indices[after] == index:
            return self._own(after)
        below, above = self._own(after - 1), self._own(after)
        share = Fraction(index - self.indices[after - 1], self.indices[after] - self.indices[after - 1])
        return below[0] + share * (above[0] - below[0]), below[1] + share * (above[1] - below[1])

    def _own(self, at: int) -> Centre:
        """Return the centroid of the region on its slice number `at`."""
        return Fraction(self.row_sums[at], self.counts[at]), Fraction(self.column_sums[at], self.counts[at])


def sum_masks(name: str, masks: Mapping[int, Bool]) -> Tumour:
    """Return sums over filled slices; `masks` maps slice index to bool [H,W], and some pixel is set."""
    kept = [(index, np.argwhere(masks[index])) for index in sorted(masks) if masks[index].any()]
    return Tumour(
        name,
        tuple(index for index, _ in kept),
        tuple(len(places) for _, places in kept),
        tuple(int(places[:, 0].sum()) for _, places in kept),
        tuple(int(places[:, 1].sum()) for _, places in kept),
    )
