"""Which probes lie in which owners' balls, gathered from blocks of squared distances.

A ball's radius is its owner's k-th nearest neighbour. Membership is exact: a distance within rounding of a radius is
computed again in float64, so that `<=` and `<` mean what they say even for duplicates and lattices full of ties.
"""

from __future__ import annotations

import torch

from pytest_medgan.metrics.deletion import Deletion, depth, grown
from pytest_medgan.metrics.gram import Points, exact, slices
from pytest_medgan.metrics.neighbours import Neighbours
from pytest_medgan.records import Int64


class Balls:
    """Membership of `probes` in the balls of `owners`, for every k of `near.ks` at once."""

    def __init__(self, owners: Points, near: Neighbours, probes: Points, *, strict: bool = False) -> None:
        device = owners.rows.device
        self.owners, self.probes, self.near, self.strict = owners, probes, near, strict
        self.ties = 0  # distances exactly equal to a radius
        absent = len(near.ks)
        self.probe_rank = torch.full((len(probes),), absent, dtype=torch.int64, device=device)  # first k that holds it
        self.owner_rank = torch.full((len(owners),), absent, dtype=torch.int64, device=device)  # first k that is held
        self.inside = torch.zeros(len(probes), absent + 1, dtype=torch.int64, device=device)  # balls entered at each k
        self.deletions: dict[int, Deletion] = {}  # by k
        self.spans: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}  # by k, least and greatest block of probes held
        self._probe_block = torch.arange(len(probes), device=device)
        self._radii, self._rough = near.radii.clone(), near.rough.clone()  # those that were settled are exact
        steps = absent.bit_length()
        self._ladder = torch.full((len(owners), 2**steps + 1), torch.inf, dtype=torch.float64, device=device)
        self._ladder[:, 0], self._ladder[:, 1 : absent + 1] = -torch.inf, near.radii
        self._strides = [2**step for step in reversed(range(steps))]
        self._reach = near.radii[:, -1] + near.doubt

    def without_owners(self, k: int, block: Int64) -> None:
        """Also follow what deleting blocks of owners does at this k; to be called before the first `see`."""
        balls = grown(self.near, k, block)
        self.deletions[k] = Deletion(balls, len(self.owners), len(self.probes))
        last = self.near.near[:, min(depth(k), self.near.near.shape[1]) - 1].double()
        self._reach = torch.maximum(self._reach, last)

    def without_probes(self, k: int, block: Int64) -> None:
        """Also follow which blocks of probes each ball holds at this k."""
        self._probe_block = torch.as_tensor(block, device=self.probe_rank.device)
        low = torch.full((len(self.owners),), int(block.max()) + 1, dtype=torch.int64, device=self.probe_rank.device)
        self.spans[k] = (low, torch.full_like(low, -1))

    def see(self, squared: torch.Tensor, part: slice, *, owners_are_rows: bool) -> None:
        """A block of squared distances [rows, columns], whose rows are `part` of one side and columns the other."""
        slack, norms = self.owners.slack, self.owners.norms
        limit = (self._reach + slack * (3 * norms + 2 * self._reach)).float() * (1 + 1e-6)
        row, column = (squared <= (limit[part, None] if owners_are_rows else limit)).nonzero(as_tuple=True)
        owner, probe = (row + part.start, column) if owners_are_rows else (column, row + part.start)
        size = 2**22 // self.inside.shape[1]
        for chosen in slices(len(row), size):
            self._pairs(owner[chosen], probe[chosen], squared[row[chosen], column[chosen]])

    def _pairs(self, owner: torch.Tensor, probe: torch.Tensor, squared: torch.Tensor) -> None:
        value = squared.double()
        doubt = self.owners.slack * (self.owners.norms[owner] + self.probes.norms[probe]) + self.near.doubt[owner]
        rank = self._rank(owner, value)
        gap = torch.minimum(value - self._ladder[owner, rank], self._ladder[owner, rank + 1] - value)
        close = (gap <= doubt).nonzero()[:, 0]
        if len(close):
            rank[close] = self._exact_rank(owner[close], probe[close], value[close], doubt[close])
        self.probe_rank.scatter_reduce_(0, probe, rank, "amin")
        self.owner_rank.scatter_reduce_(0, owner, rank, "amin")
        place = probe * self.inside.shape[1] + rank
        self.inside.view(-1).scatter_add_(0, place, torch.ones_like(place))
        for k, deletion in self.deletions.items():
            deletion.see(owner, probe, squared, rank <= self.near.ks.index(k))
        for k, (low, high) in self.spans.items():
            held = rank <= self.near.ks.index(k)
            low.scatter_reduce_(0, owner[held], self._probe_block[probe[held]], "amin")
            high.scatter_reduce_(0, owner[held], self._probe_block[probe[held]], "amax")

    def _rank(self, owner: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        """int64 [P]: how many of the owner's radii, as the products give them, lie below; by bisection."""
        rank = torch.zeros_like(owner)
        for stride in self._strides:
            rank += stride * (self._ladder[owner, rank + stride] < value)
        return rank

    def _exact_rank(
        self, owner: torch.Tensor, probe: torch.Tensor, value: torch.Tensor, doubt: torch.Tensor
    ) -> torch.Tensor:
        """int64 [P]: how many of the owner's radii do not hold the probe, for pairs in doubt."""
        radii = self.near.radii[owner]
        close, below = (value[:, None] - radii).abs() <= doubt[:, None], radii < value[:, None]
        self._settle(owner, close)
        value, radii = exact(self.owners, owner, self.probes, probe)[:, None], self._radii[owner]
        self.ties += int(((value == radii) & close).sum())
        outside = radii <= value if self.strict else radii < value
        return torch.where(close, outside, below).sum(1)

    def _settle(self, owner: torch.Tensor, close: torch.Tensor) -> None:
        """Replace the rough radii of these owners [P] that a comparison came close to [P,K]."""
        pair, column = (close & self._rough[owner]).nonzero(as_tuple=True)
        wanted = torch.zeros_like(self._rough)
        wanted[owner[pair], column] = True
        row, column = wanted.nonzero(as_tuple=True)
        self._radii[row, column] = self.near.exactly(self.owners, row, column)
        self._rough[row, column] = False

    def members(self, k: int) -> torch.Tensor:
        """bool [probes]: inside at least one ball of this k."""
        return self.probe_rank <= self.near.ks.index(k)

    def covered(self, k: int) -> torch.Tensor:
        """bool [owners]: the ball of this k holds at least one probe."""
        return self.owner_rank <= self.near.ks.index(k)

    def counts(self, k: int) -> torch.Tensor:
        """int64 [probes]: balls of this k that hold it."""
        return self.inside[:, : self.near.ks.index(k) + 1].sum(1)
