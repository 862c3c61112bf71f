"""What becomes of balls when a block of their owners is deleted, for the jackknife; without a second pass.

An owner whose k nearest include rows of the deleted block gets a larger ball; all other balls stay, and those of the
block itself go. So it is enough to know, for every owner, the radius without each of the at most k blocks among its
nearest, and to look at the pairs within the largest of these radii. The radii of grown balls are float32 distances:
they serve standard errors only.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from pytest_medgan.metrics.neighbours import Neighbours
from pytest_medgan.records import Float64, Int64


def depth(k: int) -> int:
    """Neighbours to keep so that the k-th outside a block is nearly always among them; else the last stands in."""
    return 4 * k + 4


@dataclass(frozen=True, eq=False)
class Grown:
    """The balls of one k without each block that matters to them."""

    block: torch.Tensor  # int64 [N], the owner's block
    without: torch.Tensor  # int64 [N,k], a block among the owner's nearest; -1 where it is its own or named before
    radii: torch.Tensor  # float32 [N,k], the squared radius without that block


def grown(near: Neighbours, k: int, block: Int64) -> Grown:
    """Grown balls of every owner, `block` int64 [N]."""
    own = torch.as_tensor(block, device=near.near.device)
    reach = min(depth(k), near.near.shape[1])
    of = own[near.index[:, :reach]]
    without, radii = [], []
    for slot in range(k):
        name = of[:, slot]
        kept = (of != name[:, None]).cumsum(1)
        place = torch.where(kept[:, -1] >= k, (kept < k).sum(1), reach - 1)
        radii.append(near.near.gather(1, place[:, None])[:, 0])
        again = (of[:, :slot] == name[:, None]).any(1) | (name == own)
        without.append(torch.where(again, -1, name))
    return Grown(own, torch.stack(without, 1), torch.stack(radii, 1))


class Deletion:
    """Counts, gathered pair by pair, from which the value without any block of owners follows."""

    def __init__(self, balls: Grown, owners: int, probes: int) -> None:
        device = balls.block.device
        self.balls = balls
        self.count = int(balls.block.max()) + 1
        self.size = torch.bincount(balls.block, minlength=self.count)  # owners a block
        self.first = torch.full((probes,), self.count, dtype=torch.int64, device=device)  # least block that holds it
        self.last = torch.full((probes,), -1, dtype=torch.int64, device=device)  # greatest
        self.rescued = torch.zeros(probes, self.count, dtype=torch.bool, device=device)  # held by a grown ball
        self.lost = torch.zeros(self.count, dtype=torch.int64, device=device)  # pairs that go with the block
        self.gained = torch.zeros(self.count, dtype=torch.int64, device=device)  # pairs that grown balls add
        self.nearest = torch.full((owners,), torch.inf, dtype=torch.float32, device=device)  # probe, to each owner

    def see(self, owner: torch.Tensor, probe: torch.Tensor, squared: torch.Tensor, inside: torch.Tensor) -> None:
        """Pairs [P] within the largest grown radius, and which of them lie inside the ball as it is."""
        self.nearest.scatter_reduce_(0, owner, squared, "amin")
        block = self.balls.block[owner[inside]]
        self.first.scatter_reduce_(0, probe[inside], block, "amin")
        self.last.scatter_reduce_(0, probe[inside], block, "amax")
        self.lost += torch.bincount(block, minlength=self.count)
        owner, probe, squared = owner[~inside], probe[~inside], squared[~inside]
        for slot in range(self.balls.without.shape[1]):
            without = self.balls.without[owner, slot]
            joins = (without >= 0) & (squared <= self.balls.radii[owner, slot])
            self.rescued[probe[joins], without[joins]] = True
            self.gained += torch.bincount(without[joins], minlength=self.count)

    def members(self) -> Float64:
        """Probes in at least one ball without each block, float64 [G]."""
        alone = torch.bincount(self.first[self.first == self.last], minlength=self.count)
        held = int((self.last >= 0).sum())
        elsewhere = (self.last < 0)[:, None] | (
            (self.first == self.last)[:, None]
            & (self.first[:, None] == torch.arange(self.count, device=self.first.device))
        )
        rescued = (self.rescued & elsewhere).sum(0)
        return (held - alone + rescued).double().cpu().numpy()

    def changed(self) -> Float64:
        """Probes that are a member either with or without each block, but not both, float64 [G]."""
        only = self.first[self.first == self.last]
        alone = torch.bincount(only, minlength=self.count)
        kept = self.rescued[self.first == self.last].gather(1, only[:, None])[:, 0]
        saved = torch.bincount(only[kept], minlength=self.count)
        return (alone - saved + (self.rescued & (self.last < 0)[:, None]).sum(0)).double().cpu().numpy()

    def pairs(self, inside: int) -> Float64:
        """(owner, probe) pairs without each block, float64 [G], where there are `inside` of them with all."""
        return (inside - self.lost + self.gained).double().cpu().numpy()

    def occupied(self, covered: torch.Tensor) -> Float64:
        """Owners, of those that stay, whose ball holds a probe without each block [G]; `covered` bool [N] with all."""
        lost = torch.bincount(self.balls.block[covered], minlength=self.count)
        gains = (~covered)[:, None] & (self.balls.without >= 0) & (self.nearest[:, None] <= self.balls.radii)
        gained = torch.bincount(self.balls.without[gains], minlength=self.count)
        return (int(covered.sum()) - lost + gained).double().cpu().numpy()
