"""Which probes lie in which owners' balls, gathered from blocks of squared distances.

A ball's radius is the distance to its owner's k-th nearest neighbour. Membership is exact: a distance within rounding
of a radius is computed again in float64, so `<=` and `<` hold even for duplicates and lattices full of ties.
"""

from __future__ import annotations

import torch

from pytest_medgan.metrics.deletion import Deletion, grow_balls, kept_neighbours
from pytest_medgan.metrics.neighbours import Neighbours
from pytest_medgan.metrics.pairwise import Points, exact_distances, slices, true_places
from pytest_medgan.records import Int64


class Balls:
    """Membership of `probes` in the balls of `owners`, for every k of `near.ks` at once."""

    def __init__(self, owners: Points, near: Neighbours, probes: Points, *, strict: bool = False) -> None:
        device = owners.rows.device
        self.owners, self.probes, self.near, self.strict = owners, probes, near, strict
        self.ties = 0  # distances exactly equal to a radius
        outside = len(near.ks)  # the rank of a pair that no k holds
        self._probe_rank = torch.full((len(probes),), outside, dtype=torch.int64, device=device)  # first k holding it
        self._owner_rank = torch.full((len(owners),), outside, dtype=torch.int64, device=device)  # first k with a probe
        self._entered = torch.zeros(len(probes), outside + 1, dtype=torch.int64, device=device)  # balls, by first k
        self.deletions: dict[int, Deletion] = {}  # by k
        self.spans: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}  # by k: least and greatest block of probes held
        self._probe_block = torch.arange(len(probes), device=device)
        self._radii, self._rough = near.radii.clone(), near.rough.clone()  # those computed again are exact
        steps = outside.bit_length()
        self._ladder = torch.full((len(owners), 2**steps + 1), torch.inf, dtype=torch.float64, device=device)
        self._ladder[:, 0], self._ladder[:, 1 : outside + 1] = -torch.inf, near.radii
        self._strides = [2**step for step in reversed(range(steps))]
        self._reach = near.radii[:, -1] + near.doubt

    def track_owner_deletion(self, k: int, block: Int64) -> None:
        """Also follow what deleting blocks of owners, int64 [owners], does at this k; call before `add_block`."""
        balls = grow_balls(self.near, k, block)
        self.deletions[k] = Deletion(balls, len(self.owners), len(self.probes))
        last = self.near.near[:, min(kept_neighbours(k), self.near.near.shape[1]) - 1].double()
        self._reach = torch.maximum(self._reach, last)

    def track_probe_deletion(self, k: int, block: Int64) -> None:
        """Also follow which blocks of probes, int64 [probes], each ball holds at this k; call before `add_block`."""
        self._probe_block = torch.as_tensor(block, device=self._probe_rank.device)
        low = torch.full((len(self.owners),), int(block.max()) + 1, dtype=torch.int64, device=self._probe_rank.device)
        self.spans[k] = (low, torch.full_like(low, -1))

    def add_block(self, squared: torch.Tensor, part: slice, *, owners_are_rows: bool) -> None:
        """Add a block of squared distances whose rows are `part` of one side and whose columns are the other side."""
        slack, norms = self.owners.slack, self.owners.norms
        limit = (self._reach + slack * (3 * norms + 2 * self._reach) + self.owners.floor).float() * (1 + 1e-6)
        row, column = true_places(squared <= (limit[part, None] if owners_are_rows else limit))
        owner, probe = (row + part.start, column) if owners_are_rows else (column, row + part.start)
        size = 2**22 // self._entered.shape[1]
        for some in slices(len(row), size):
            self._add_pairs(owner[some], probe[some], squared[row[some], column[some]])

    def _add_pairs(self, owner: torch.Tensor, probe: torch.Tensor, squared: torch.Tensor) -> None:
        """Add pairs [P] with their float32 squared distances."""
        value = squared.double()
        doubt = self.owners.slack * (self.owners.norms[owner] + self.probes.norms[probe]) + self.owners.floor
        doubt = doubt + self.near.doubt[owner]
        rank = self._rough_rank(owner, value)
        gap = torch.minimum(value - self._ladder[owner, rank], self._ladder[owner, rank + 1] - value)
        close = (gap <= doubt).nonzero()[:, 0]
        if len(close):
            rank[close] = self._exact_rank(owner[close], probe[close], value[close], doubt[close])
        self._probe_rank.scatter_reduce_(0, probe, rank, "amin")
        self._owner_rank.scatter_reduce_(0, owner, rank, "amin")
        place = probe * self._entered.shape[1] + rank
        self._entered.view(-1).scatter_add_(0, place, torch.ones_like(place))
        for k, deletion in self.deletions.items():
            deletion.add_pairs(owner, probe, squared, rank <= self.near.ks.index(k))
        for k, (low, high) in self.spans.items():
            held = rank <= self.near.ks.index(k)
            low.scatter_reduce_(0, owner[held], self._probe_block[probe[held]], "amin")
            high.scatter_reduce_(0, owner[held], self._probe_block[probe[held]], "amax")

    def _rough_rank(self, owner: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        """Return how many of the owner's rough radii lie below the value, int64 [P], by bisection."""
        rank = torch.zeros_like(owner)
        for stride in self._strides:
            rank += stride * (self._ladder[owner, rank + stride] < value)
        return rank

    def _exact_rank(
        self, owner: torch.Tensor, probe: torch.Tensor, value: torch.Tensor, doubt: torch.Tensor
    ) -> torch.Tensor:
        """Return how many of the owner's radii do not hold the probe, int64 [P], for pairs in doubt."""
        radii = self.near.radii[owner]
        close, below = (value[:, None] - radii).abs() <= doubt[:, None], radii < value[:, None]
        self._make_exact(owner, close)
        value, radii = exact_distances(self.owners, owner, self.probes, probe)[:, None], self._radii[owner]
        self.ties += int(((value == radii) & close).sum())
        outside = radii <= value if self.strict else radii < value
        return torch.where(close, outside, below).sum(1)

    def _make_exact(self, owner: torch.Tensor, close: torch.Tensor) -> None:
        """Replace the rough radii of owners [P] that a comparison came close to, bool [P,K]."""
        pair, column = (close & self._rough[owner]).nonzero(as_tuple=True)
        wanted = torch.zeros_like(self._rough)
        wanted[owner[pair], column] = True
        row, column = wanted.nonzero(as_tuple=True)
        self._radii[row, column] = self.near.exact_radii(self.owners, row, column)
        self._rough[row, column] = False

    def members(self, k: int) -> torch.Tensor:
        """Return whether each probe lies in at least one ball of this k, bool [probes]."""
        return self._probe_rank <= self.near.ks.index(k)

    def covered(self, k: int) -> torch.Tensor:
        """Return whether each owner's ball of this k holds at least one probe, bool [owners]."""
        return self._owner_rank <= self.near.ks.index(k)

    def counts(self, k: int) -> torch.Tensor:
        """Return how many balls of this k hold each probe, int64 [probes]."""
        return self._entered[:, : self.near.ks.index(k) + 1].sum(1)
