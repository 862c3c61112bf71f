"""Nearest neighbours of every row within its own set: the radii of the balls that the manifold metrics use.

The k-th neighbour's distance is the k-th smallest float64 distance to another row, exactly: candidates come from the
float32 products, and those too near the k-th to tell apart are computed again in float64.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch

from pytest_medgan.metrics.gram import Points, distances_, exact, own_products

SPARE = 8  # candidates beyond the largest k, so that near ties at the end can be told apart

# (rows, their products with all rows from the first of them on), seen before these become distances
Watcher = Callable[[slice, torch.Tensor], None]


@dataclass(frozen=True, eq=False)
class Neighbours:
    """Every row's neighbours in its own set, itself excluded."""

    ks: tuple[int, ...]  # ascending
    radii: torch.Tensor  # float64 [N,K], squared distance to the k-th neighbour, exact
    near: torch.Tensor  # float32 [N,C], squared distances of the nearest C, ascending, as the products give them
    index: torch.Tensor  # int64 [N,C], which rows these are

    def at(self, ks: tuple[int, ...]) -> Neighbours:
        """The same at some of the k."""
        return replace(self, ks=ks, radii=self.radii[:, [self.ks.index(k) for k in ks]])


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
    # bounds the error of every candidate's distance, since |b|^2 <= 2 |a|^2 + 2 |a-b|^2
    doubt = own.slack * (3 * own.norms + 2 * near[:, -1])
    radii = torch.stack([_radius(own, near, index, doubt, k) for k in ks], 1)
    if count < len(own) - 1:
        unsure = (near[:, -1].double() - doubt < radii[:, -1]).nonzero()[:, 0]
        for row in unsure.tolist():
            radii[row] = _whole_row(own, row)[[k - 1 for k in ks]]
    return Neighbours(ks, radii, near, index)


def _merge(near: torch.Tensor, index: torch.Tensor, squared: torch.Tensor, offset: int) -> None:
    """Put into the nearest so far what `squared` [rows,columns] adds; its first column is the row `offset`."""
    found, where = torch.topk(squared, min(near.shape[1], squared.shape[1]), largest=False)
    values, names = torch.cat([near, found], 1), torch.cat([index, where + offset], 1)
    near[:], chosen = torch.topk(values, near.shape[1], largest=False)
    index[:] = names.gather(1, chosen)


def _radius(own: Points, near: torch.Tensor, index: torch.Tensor, doubt: torch.Tensor, k: int) -> torch.Tensor:
    """float64 [N]: of the candidates that may be the k-th, the one that is."""
    low, high = near[:, k - 1] - 2 * doubt, near[:, k - 1] + 2 * doubt
    below = (near < low[:, None]).sum(1)  # nearer than the k-th for certain
    row, slot = ((near >= low[:, None]) & (near <= high[:, None])).nonzero(as_tuple=True)
    values = torch.full(near.shape, torch.inf, dtype=torch.float64, device=near.device)
    values[row, slot] = exact(own, row, own, index[row, slot])
    width = int((slot - below[row]).max()) + 1
    if width == 1:
        return values.gather(1, below[:, None])[:, 0]
    ordered = values.sort(1).values
    return ordered.gather(1, (k - 1 - below)[:, None])[:, 0]


def _whole_row(own: Points, row: int) -> torch.Tensor:
    """Ascending float64 squared distances from one row to all others."""
    others = torch.arange(len(own), device=own.raw.device)
    others = others[others != row]
    return exact(own, torch.full_like(others, row), own, others).sort().values
