"""Mini-batch k-means of one data set, several runs side by side.

The procedure of scikit-learn's MiniBatchKMeans with n_init=10 (Sculley 2010; greedy k-means++ of Arthur and
Vassilvitskii 2007), in which the PRD is defined: batches of 1,024, rare clusters given a new centre, an end after ten
batches without improvement. What differs serves speed: one sample of 3,072 rows gives all runs their starts, through
its distance matrix, and the runs see the same batches, so that a batch meets all centres in one product.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log

import numpy as np
import torch

from pytest_medgan.metrics.gram import slices
from pytest_medgan.metrics.threads import full_float32

BATCH = 1024
STARTS = 10  # k-means++ starts a run, of which the best goes on
EPOCHS = 100
PATIENCE = 10  # batches without improvement
RARE = 0.01  # of the largest cluster's weight: a cluster below is given a new centre


def cluster(rows: torch.Tensor, clusters: int, runs: int, seed: int) -> torch.Tensor:
    """Labels int64 [runs,N] of float32 rows [N,D]."""
    rng = np.random.default_rng(seed)
    with full_float32():
        state = _State(_starts(rows, clusters, runs, rng))
        size = min(BATCH, len(rows))
        for _ in range(max(1, EPOCHS * len(rows) // size)):
            batch = rows[torch.as_tensor(rng.integers(0, len(rows), size), device=rows.device)]
            state.step(batch, len(rows), rng)
            if not state.active.any():
                break
        return torch.cat([_assign(rows[part], state.centres)[0] for part in slices(len(rows), 4096)], 1)


def _starts(rows: torch.Tensor, clusters: int, runs: int, rng: np.random.Generator) -> torch.Tensor:
    """Centres [runs,K,D]: of every run's starts the one with the least inertia on the sample."""
    sample = rows[torch.as_tensor(rng.permutation(len(rows))[: 3 * BATCH], device=rows.device)]
    norms = sample.square().sum(1)
    squared = (norms[:, None] + norms - 2 * sample @ sample.T).clamp_min_(0)
    count, trials = runs * STARTS, 2 + int(log(clusters))
    start = torch.arange(count, device=rows.device)
    chosen = torch.as_tensor(rng.integers(0, len(sample), (count, 1)), device=rows.device)
    closest = squared[chosen[:, 0]]
    for _ in range(clusters - 1):
        total = closest.cumsum(1, dtype=torch.float64)
        draw = torch.as_tensor(rng.random((count, trials)), device=rows.device) * total[:, -1:]
        candidate = torch.searchsorted(total, draw).clamp_max_(len(sample) - 1)
        reached = torch.minimum(squared[candidate], closest[:, None])
        best = reached.sum(2).argmin(1)
        closest = reached[start, best]
        chosen = torch.cat([chosen, candidate[start, best][:, None]], 1)
    best = closest.sum(1).view(runs, STARTS).argmin(1)
    return sample[chosen.view(runs, STARTS, clusters)[torch.arange(runs, device=rows.device), best]]


def _assign(rows: torch.Tensor, centres: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Nearest centre int64 [R,N] and the squared distance to it [R,N], of centres [R,K,D]."""
    runs, clusters, width = centres.shape
    flat = centres.reshape(-1, width)
    squared = (flat.square().sum(1)[:, None] - 2 * flat @ rows.T).view(runs, clusters, -1)
    least, label = squared.min(1)
    return label, (least + rows.square().sum(1)).clamp_min_(0)


@dataclass
class _Progress:
    """One run's smoothed inertia."""

    smooth: float | None = None
    best: float = np.inf
    worse: int = 0
    steps: int = 0

    def ends(self, inertia: float, alpha: float) -> bool:
        self.steps += 1
        if self.steps == 1:  # the first batch tells of the start alone
            return False
        self.smooth = inertia if self.smooth is None else self.smooth * (1 - alpha) + inertia * alpha
        if self.smooth < self.best:
            self.best, self.worse = self.smooth, 0
        else:
            self.worse += 1
        return self.worse >= PATIENCE


class _State:
    """Centres of all runs while the batches go by."""

    def __init__(self, centres: torch.Tensor) -> None:
        self.centres = centres.contiguous()
        self.weight = torch.zeros(centres.shape[:2], device=centres.device)
        self.active = np.ones(len(centres), bool)
        self.progress = [_Progress() for _ in centres]

    def step(self, batch: torch.Tensor, population: int, rng: np.random.Generator) -> None:
        runs = torch.as_tensor(self.active.nonzero()[0], device=batch.device)
        centres, weight = self.centres[runs], self.weight[runs]
        label, squared = _assign(batch, centres)
        member = torch.zeros(*centres.shape[:2], len(batch), device=batch.device)
        member.scatter_(1, label[:, None], 1.0)
        gained = member.sum(2)
        sums = (member.flatten(0, 1) @ batch).view_as(centres)
        grown = weight + gained
        centres = torch.where(
            gained[..., None] > 0, (centres * weight[..., None] + sums) / grown.clamp_min(1)[..., None], centres
        )
        for run in range(len(runs)):
            rare = grown[run] < RARE * grown[run].max()
            if bool(rare.any()):
                fresh = rng.choice(len(batch), int(rare.sum()), replace=False)
                centres[run, rare] = batch[torch.as_tensor(fresh, device=batch.device)]
                grown[run, rare] = grown[run, ~rare].min()
        self.centres[runs], self.weight[runs] = centres, grown
        alpha = min(1.0, 2 * len(batch) / (population + 1))
        for run, inertia in zip(runs.tolist(), squared.mean(1).tolist(), strict=True):
            self.active[run] = not self.progress[run].ends(inertia, alpha)
