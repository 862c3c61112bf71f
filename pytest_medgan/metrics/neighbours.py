"""Nearest neighbours of every row within its own set: the radii of the balls that the manifold metrics use.

Candidates come from the float32 products, and so do the radii at first. The k-th smallest of values that each err by
at most the doubt errs by no more than that, whichever of them it is; so a radius is computed in float64 only once a
comparison comes within rounding of it (`Neighbours.exactly`), from all the candidates that may be the k-th.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch

from pytest_medgan.metrics.gram import Points, distances_, exact, own_products, slices

SPARE = 8  # candidates beyond the largest k, so that near ties at the end can be told apart

# (rows, their products with all rows from the first of them on), seen before these become distances
Watcher = Callable[[slice, torch.Tensor], None]


@dataclass(frozen=True, eq=False)
class Neighbours:
    """Every row's neighbours in its own set, itself excluded."""

    ks: tuple[int, ...]  # ascending
    radii: torch.Tensor  # float64 [N,K], squared distance to the k-th neighbour
    rough: torch.Tensor  # bool [N,K], where that is as the products give it
    doubt: torch.Tensor  # float64 [N], bound on the error of a rough radius
    near: torch.Tensor  # float32 [N,C], squared distances of the nearest C, ascending, as the products give them
    index: torch.Tensor  # int64 [N,C], which rows these are

    def at(self, ks: tuple[int, ...]) -> Neighbours:
        """The same at some of the k."""
        chosen = [self.ks.index(k) for k in ks]
        return replace(self, ks=ks, radii=self.radii[:, chosen], rough=self.rough[:, chosen])

    def exactly(self, own: Points, row: torch.Tensor, column: torch.Tensor) -> torch.Tensor:
        """Exact radii float64 [P] of the rows at the columns of `ks`."""
        values = self.radii[row, column]
        again = self.rough[row, column].nonzero()[:, 0]
        at = torch.as_tensor(self.ks, device=row.device)[column] - 1
        for part in slices(len(again), 2**20 // self.near.shape[1]):
            values[again[part]] = self._radius(own, row[again[part]], at[again[part]])
        return values

    def _radius(self, own: Points, row: torch.Tensor, at: torch.Tensor) -> torch.Tensor:
        """float64 [P] for some rows: of the candidates that may be the one at `at`, the one that is."""
        near = self.near[row]
        crowd = (near - near.gather(1, at[:, None])).abs() <= 2 * self.doubt[row, None]
        place, slot = crowd.nonzero(as_tuple=True)
        values = exact(own, row[place], own, self.index[row[place], slot])
        order = values.argsort()
        order = order[place[order].argsort(stable=True)]  # by row, ascending in each
        size, below = crowd.sum(1), crowd.int().argmax(1)  # `near` ascends: what precedes a crowd is nearer for certain
        return values[order][size.cumsum(0) - size + at - below]


def neighbours(own: Points, ks: tuple[int, ...], *, keep: int = 0, watch: Watcher | None = None) -> Neighbours:
    """Neighbours at every k of `ks`, and at least the nearest `keep` as float32 distances."""
    count = min(max(*ks, keep) + SPARE, len(own) - 1)
    near = torch.full((len(own), count), torch.inf, dtype=torch.float32, device=own.rows.device)
    index = torch.zeros(len(own), count, dtype=torch.int64, device=own.rows.device)
    for part, block in own_products(own):
        if watch is not None:
            watch(part, block)
        squared = distances_(block, own.norms[part], own.norms[part.start :])
        squared.diagonal().fill_(torch.inf)
        _merge(near[part], index[part], squared, part.start)
        if part.stop < len(own):
            _merge(near[part.stop :], index[part.stop :], squared[:, part.stop - part.start :].T, part.start)
    # bounds the error of every candidate's distance
    doubt = own.slack * (own.norms + own.norms[index].amax(1))
    radii = near[:, [k - 1 for k in ks]].double()
    rough = torch.ones_like(radii, dtype=torch.bool)
    if count < len(own) - 1:
        # |b|^2 <= 2 |a|^2 + 2 |a-b|^2 bounds the error of a row that is no candidate
        beyond = near[:, -1].double() - own.slack * (3 * own.norms + 2 * near[:, -1])
        for one in (beyond < radii[:, -1] + doubt).nonzero()[:, 0].tolist():
            radii[one], rough[one] = _whole_row(own, one)[[k - 1 for k in ks]], False
    return Neighbours(ks, radii, rough, doubt.double(), near, index)


def _merge(near: torch.Tensor, index: torch.Tensor, squared: torch.Tensor, offset: int) -> None:
    """Put into the nearest so far what `squared` [rows,columns] adds; its first column is the row `offset`."""
    found, where = torch.topk(squared, min(near.shape[1], squared.shape[1]), largest=False)
    values, names = torch.cat([near, found], 1), torch.cat([index, where + offset], 1)
    near[:], chosen = torch.topk(values, near.shape[1], largest=False)
    index[:] = names.gather(1, chosen)


def _whole_row(own: Points, row: int) -> torch.Tensor:
    """Ascending float64 squared distances from one row to all others."""
    others = torch.arange(len(own), device=own.raw.device)
    others = others[others != row]
    return exact(own, torch.full_like(others, row), own, others).sort().values
