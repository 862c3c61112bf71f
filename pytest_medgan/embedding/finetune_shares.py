"""One training step on several processes equals that of one process: everything sees the whole batch.

Batch norm takes its statistics over the rows of every process (`ground.shared_norm`), dropout draws one mask for the
whole batch of which each process takes its rows, and gradients and the loss are averaged. What differs between one
process and several is rounding.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, distributed, nn

from pytest_medgan.embedding.random_weights import whole_numbers


class RowDropout(nn.Module):
    """Dropout whose mask is a function of the seed, the step and a row's position in the whole batch."""

    def __init__(self, p: float, seed: int, rank: int, size: int) -> None:
        super().__init__()
        self.p, self.seed, self.rank, self.size = p, seed, rank, size
        self.step, self.rows = 0, 0  # rows of the whole batch

    def forward(self, x: Tensor) -> Tensor:
        """Return the rows, in training with the dropped numbers at zero and the others enlarged."""
        if not self.training:
            return x
        width = x[0].numel()
        bits = np.random.PCG64(np.random.SeedSequence([self.seed, self.step]))
        kept = whole_numbers(bits, self.rows * width) >= int(self.p * 2**24) - 2**23
        mine = torch.from_numpy(kept.reshape(self.rows, width)[self.rank :: self.size])
        return x * mine.reshape(x.shape).to(x) / (1 - self.p)


def averaged(network: nn.Module, loss: Tensor, size: int) -> float:
    """Return the mean loss over all processes and average the gradients in place."""
    if size == 1:
        return float(loss.detach())
    gradients = [p.grad for p in network.parameters() if p.grad is not None]
    flat = torch.cat([*(g.reshape(-1) for g in gradients), loss.detach().reshape(1)])
    distributed.all_reduce(flat)
    flat.div_(size)
    for gradient, mean in zip(gradients, torch.split(flat[:-1], [g.numel() for g in gradients]), strict=True):
        gradient.copy_(mean.reshape(gradient.shape))
    return float(flat[-1])
