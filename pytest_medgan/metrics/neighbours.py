"""Nearest neighbours of every row within its own set: the radii of the balls that the manifold metrics use.

Candidates and first radii come from the float32 products. The k-th smallest of values that each err by at most the
doubt errs by no more than the doubt, whichever of them it is. So a radius is computed in float64 only where a
comparison comes within rounding of it (`Neighbours.exact_radii`), from all candidates that may be the k-th.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch

from pytest_medgan.metrics.pairwise import Points, exact_distances, own_products, slices, to_distances_, true_places

MANY = 8  # times the neighbours kept: more candidates of a block than this are not few
SPARE = 8  # candidates beyond the largest k, to tell near ties at the end apart

# reads (rows, their products with all rows from the first of them on) before these become distances
ReadProducts = Callable[[slice, torch.Tensor], None]


@dataclass(frozen=True, eq=False)
class Neighbours:
    """The neighbours of every row in its own set, without the row itself."""

    ks: tuple[int, ...]  # ascending
    radii: torch.Tensor  # float64 [N,K], squared distance to the k-th neighbour
    rough: torch.Tensor  # bool [N,K], whether that comes from the products alone
    doubt: torch.Tensor  # float64 [N], bound on the error of a rough radius
    near: torch.Tensor  # float32 [N,C], squared distances of the nearest C from the products, ascending
    index: torch.Tensor  # int64 [N,C], their rows

    def select(self, ks: tuple[int, ...]) -> Neighbours:
        """Return the same neighbours at some of the k."""
        columns = [self.ks.index(k) for k in ks]
        return replace(self, ks=ks, radii=self.radii[:, columns], rough=self.rough[:, columns])

    def exact_radii(self, own: Points, row: torch.Tensor, column: torch.Tensor) -> torch.Tensor:
        """Return exact radii, float64 [P], of rows [P] at columns [P] of `ks`."""
        values = self.radii[row, column]
        again = self.rough[row, column].nonzero()[:, 0]
        place = torch.as_tensor(self.ks, device=row.device)[column] - 1
        for part in slices(len(again), 2**20 // self.near.shape[1]):
            values[again[part]] = self._compute_radii(own, row[again[part]], place[again[part]])
        return values

    def _compute_radii(self, own: Points, row: torch.Tensor, place: torch.Tensor) -> torch.Tensor:
        """Return the exact radii [P] of rows: of the candidates that may stand at `place`, the one that does."""
        near = self.near[row]
        crowd = (near - near.gather(1, place[:, None])).abs() <= 2 * self.doubt[row, None]
        which, slot = crowd.nonzero(as_tuple=True)
        values = exact_distances(own, row[which], own, self.index[row[which], slot])
        order = values.argsort()
        order = order[which[order].argsort(stable=True)]  # by row, ascending within each
        size, below = crowd.sum(1), crowd.int().argmax(1)  # `near` ascends: rows before a crowd are certainly nearer
        return values[order][size.cumsum(0) - size + place - below]


def find_neighbours(
    own: Points, ks: tuple[int, ...], *, keep: int = 0, read_products: ReadProducts | None = None
) -> Neighbours:
    """Return the neighbours at every k of `ks`, and at least the nearest `keep` as float32 distances."""
    count = min(max(*ks, keep) + SPARE, len(own) - 1)
    near = torch.full((len(own), count), torch.inf, dtype=torch.float32, device=own.rows.device)
    index = torch.zeros(len(own), count, dtype=torch.int64, device=own.rows.device)
    for part, block in own_products(own):
        if read_products is not None:
            read_products(part, block)
        squared = to_distances_(block, own.norms[part], own.norms[part.start :])
        squared.diagonal().fill_(torch.inf)
        _merge_nearest(near[part], index[part], squared, part.start)
        if part.stop < len(own):
            _merge_nearest(near[part.stop :], index[part.stop :], squared[:, part.stop - part.start :].T, part.start)
    # bounds the error of every candidate's distance
    doubt = own.slack * (own.norms + own.norms[index].amax(1)) + own.floor
    radii = near[:, [k - 1 for k in ks]].double()
    rough = torch.ones_like(radii, dtype=torch.bool)
    if count < len(own) - 1:
        # |b|^2 <= 2 |a|^2 + 2 |a-b|^2 bounds the error of a row that is no candidate
        beyond = near[:, -1].double() - own.slack * (3 * own.norms + 2 * near[:, -1]) - own.floor
        for row in (beyond < radii[:, -1] + doubt).nonzero()[:, 0].tolist():
            radii[row], rough[row] = _sorted_distances(own, row)[[k - 1 for k in ks]], False
    return Neighbours(ks, radii, rough, doubt.double(), near, index)


def _merge_nearest(near: torch.Tensor, index: torch.Tensor, squared: torch.Tensor, offset: int) -> None:
    """Merge distances [rows,columns] into the nearest found so far; their first column is the row `offset`."""
    found = _closer_ones(near, squared)
    if found is None:
        values, column = torch.topk(squared, min(near.shape[1], squared.shape[1]), largest=False)
    else:
        values, column = found
    values, names = torch.cat([near, values], 1), torch.cat([index, column + offset], 1)
    near[:], chosen = torch.topk(values, near.shape[1], largest=False)
    index[:] = names.gather(1, chosen)


def _closer_ones(near: torch.Tensor, squared: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor] | None:
    """Return the distances below the farthest of the nearest so far, and their columns, padded to one length.

    They are few once some blocks were seen, and much faster to find than the nearest of all. None where they are not
    few, and on a GPU.
    """
    if not near.is_cpu or bool(near[:, -1].isinf().any()):
        return None
    if squared.is_contiguous():
        row, column = true_places(squared < near[:, -1:])
    else:  # a transposed block is read in the order of its memory
        column, row = true_places(near[:, -1] > squared.T)
        order = row.argsort(stable=True)
        row, column = row[order], column[order]
    count = torch.bincount(row, minlength=len(near))
    most = int(count.max())
    if most > MANY * near.shape[1]:
        return None
    slot = torch.arange(len(row)) - (count.cumsum(0) - count)[row]
    values = torch.full((len(near), most), torch.inf)
    columns = torch.zeros(len(near), most, dtype=torch.int64)
    values[row, slot], columns[row, slot] = squared[row, column], column
    return values, columns


def _sorted_distances(own: Points, row: int) -> torch.Tensor:
    """Return the squared distances from one row to all others, float64, ascending."""
    others = torch.arange(len(own), device=own.raw.device)
    others = others[others != row]
    return exact_distances(own, torch.full_like(others, row), own, others).sort().values
