"""Update balls for a deleted block of their owners, so that the jackknife needs no second pass.

An owner whose k nearest include rows of the deleted block gets a larger ball. All other balls stay, and those of the
block itself disappear. So it is enough to know, for every owner, the radius without each of the at most k blocks among
its nearest, and to look at the pairs within the largest of these radii. Radii of grown balls are float32 distances:
only standard errors depend on them.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from pytest_medgan.metrics.neighbours import Neighbours
from pytest_medgan.records import Float64, Int64


def kept_neighbours(k: int) -> int:
    """Return how many neighbours to keep so that the k-th outside a block is nearly always one of them."""
    return 4 * k + 4


@dataclass(frozen=True, eq=False)
class GrownBalls:
    """The balls of one k without each block that matters to them."""

    block: torch.Tensor  # int64 [N], the owner's block
    without: torch.Tensor  # int64 [N,k], a block among the owner's nearest; -1 where it is its own or a repetition
    radii: torch.Tensor  # float32 [N,k], the squared radius without that block


def grow_balls(near: Neighbours, k: int, block: Int64) -> GrownBalls:
    """Return the grown balls of every owner; `block` is int64 [N].

    Where fewer than k of the kept neighbours lie outside a block, the last one kept stands in for the k-th.
    """
    own = torch.as_tensor(block, device=near.near.device)
    reach = min(kept_neighbours(k), near.near.shape[1])
    neighbour_block = own[near.index[:, :reach]]
    without, radii = [], []
    for slot in range(k):
        name = neighbour_block[:, slot]
        outside = (neighbour_block != name[:, None]).cumsum(1)
        place = torch.where(outside[:, -1] >= k, (outside < k).sum(1), reach - 1)
        radii.append(near.near.gather(1, place[:, None])[:, 0])
        repeated = (neighbour_block[:, :slot] == name[:, None]).any(1) | (name == own)
        without.append(torch.where(repeated, -1, name))
    return GrownBalls(own, torch.stack(without, 1), torch.stack(radii, 1))


class Deletion:
    """Counts, gathered pair by pair, from which the value without any one block of owners follows."""

    def __init__(self, balls: GrownBalls, owners: int, probes: int) -> None:
        device = balls.block.device
        self.balls = balls
        self.count = int(balls.block.max()) + 1
        self.size = torch.bincount(balls.block, minlength=self.count)  # owners in each block
        self._first = torch.full((probes,), self.count, dtype=torch.int64, device=device)  # least block that holds it
        self._last = torch.full((probes,), -1, dtype=torch.int64, device=device)  # greatest block that holds it
        self._rescued = torch.zeros(probes, self.count, dtype=torch.bool, device=device)  # held by a grown ball
        self._lost = torch.zeros(self.count, dtype=torch.int64, device=device)  # pairs that disappear with the block
        self._gained = torch.zeros(self.count, dtype=torch.int64, device=device)  # pairs that grown balls add
        self._nearest = torch.full((owners,), torch.inf, dtype=torch.float32, device=device)  # probe, of each owner

    def add_pairs(self, owner: torch.Tensor, probe: torch.Tensor, squared: torch.Tensor, inside: torch.Tensor) -> None:
        """Add pairs [P] within the largest grown radius; `inside` says which lie in the ball as it is."""
        self._nearest.scatter_reduce_(0, owner, squared, "amin")
        block = self.balls.block[owner[inside]]
        self._first.scatter_reduce_(0, probe[inside], block, "amin")
        self._last.scatter_reduce_(0, probe[inside], block, "amax")
        self._lost += torch.bincount(block, minlength=self.count)
        owner, probe, squared = owner[~inside], probe[~inside], squared[~inside]
        for slot in range(self.balls.without.shape[1]):
            without = self.balls.without[owner, slot]
            joins = (without >= 0) & (squared <= self.balls.radii[owner, slot])
            self._rescued[probe[joins], without[joins]] = True
            self._gained += torch.bincount(without[joins], minlength=self.count)

    def members_without(self) -> Float64:
        """Return how many probes lie in at least one ball without each block, float64 [G]."""
        single = self._first == self._last  # held by the balls of one block alone
        losses = torch.bincount(self._first[single], minlength=self.count)
        held = int((self._last >= 0).sum())
        not_held_by_others = (self._last < 0)[:, None] | (
            single[:, None] & (self._first[:, None] == torch.arange(self.count, device=self._first.device))
        )
        rescued = (self._rescued & not_held_by_others).sum(0)
        return (held - losses + rescued).double().cpu().numpy()

    def changed_members(self) -> Float64:
        """Return how many probes become or cease to be members without each block, float64 [G]."""
        single = self._first == self._last
        block = self._first[single]
        losses = torch.bincount(block, minlength=self.count)
        rescued = self._rescued[single].gather(1, block[:, None])[:, 0]
        saved = torch.bincount(block[rescued], minlength=self.count)
        return (losses - saved + (self._rescued & (self._last < 0)[:, None]).sum(0)).double().cpu().numpy()

    def pairs_without(self, inside: int) -> Float64:
        """Return the (owner, probe) pairs without each block, float64 [G]; with all blocks there are `inside`."""
        return (inside - self._lost + self._gained).double().cpu().numpy()

    def covered_without(self, covered: torch.Tensor) -> Float64:
        """Return how many of the remaining owners hold a probe without each block, float64 [G].

        `covered` is bool [N]: whether an owner's ball holds a probe with all blocks present.
        """
        lost = torch.bincount(self.balls.block[covered], minlength=self.count)
        gains = (~covered)[:, None] & (self.balls.without >= 0) & (self._nearest[:, None] <= self.balls.radii)
        gained = torch.bincount(self.balls.without[gains], minlength=self.count)
        return (int(covered.sum()) - lost + gained).double().cpu().numpy()
