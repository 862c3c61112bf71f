"""One training step on several processes equals that of one process: everything sees the whole batch.

Batch norm takes its statistics over the rows of every process, dropout draws one mask for the whole batch of which each
process takes its rows, and gradients and the loss are averaged. What differs between one process and several is
rounding, of which torch's own batch norm has more (5e-6 over large channels-last maps on a CPU) than the one below.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, distributed, nn

from pytest_medgan.embedding.random_weights import whole_numbers


class _Sum(torch.autograd.Function):
    """The sum over all processes, whose gradient is the sum of the processes' gradients."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return _summed(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return _summed(gradients[0])


def _summed(x: Tensor) -> Tensor:
    """Return the sum over all processes."""
    whole = x.detach().clone(memory_format=torch.contiguous_format)
    distributed.all_reduce(whole)
    return whole


def over_processes(x: Tensor) -> Tensor:
    """Return the sum over all processes, differentiable."""
    whole: Tensor = _Sum.apply(x)
    return whole


class SharedNorm(nn.BatchNorm2d):
    """Batch norm over the rows of all processes; torch's own SyncBatchNorm runs on GPUs alone."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.running_mean is None or self.running_var is None or self.momentum is None:
            return super().forward(x)
        rows = over_processes(torch.tensor(float(x.numel() // x.shape[1]), device=x.device))
        mean = over_processes(x.sum((0, 2, 3))) / rows
        apart = x - mean[:, None, None]
        variance = over_processes(apart.square().sum((0, 2, 3))) / rows
        with torch.no_grad():
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * rows / (rows - 1), self.momentum)
            if self.num_batches_tracked is not None:
                self.num_batches_tracked.add_(1)
        scale = torch.rsqrt(variance + self.eps) * self.weight
        return apart * scale[:, None, None] + self.bias[:, None, None]


def share_norms(network: nn.Module) -> None:
    """Make every batch norm a SharedNorm, in place; values and names stay."""
    for module in network.modules():
        if type(module) is nn.BatchNorm2d:
            module.__class__ = SharedNorm  # the same parameters and buffers under another forward


class RowDropout(nn.Module):
    """Dropout whose mask is a function of the seed, the step and a row's position in the whole batch."""

    def __init__(self, p: float, seed: int, rank: int, size: int) -> None:
        super().__init__()
        self.p, self.seed, self.rank, self.size = p, seed, rank, size
        self.step, self.rows = 0, 0  # rows of the whole batch

    def forward(self, x: Tensor) -> Tensor:
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
