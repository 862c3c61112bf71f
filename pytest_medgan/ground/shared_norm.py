"""Batch norm over the rows of every process that torchrun started; torch's own SyncBatchNorm runs on GPUs alone.

It can be differentiated twice, as gradient penalties need, and processes may hold different numbers of rows. What
differs from one process is rounding, of which torch's own batch norm has more (5e-6 over large channels-last maps on a
CPU).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, distributed, nn

from pytest_medgan.errors import SettingsError


class _SumOverProcesses(torch.autograd.Function):
    """Sum over the processes; as every process uses the sum, its gradient is the sum of their gradients."""

    @staticmethod
    def forward(ctx: Any, value: Tensor) -> Tensor:
        """Return the sum."""
        total = value.detach().clone(memory_format=torch.contiguous_format)
        distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        """Return the sum of the gradients."""
        total: Tensor = _SumOverProcesses.apply(gradient.contiguous())
        return total


class SharedBatchNorm2d(nn.BatchNorm2d):
    """Normalise by the moments of the rows of all processes."""

    def forward(self, input: Tensor) -> Tensor:
        """Return the normalised maps.

        Raises:
            SettingsError: The layer has no momentum.
        """
        if not self.training or self.running_mean is None or self.running_var is None:
            return super().forward(input)
        if self.momentum is None or self.num_batches_tracked is None:
            raise SettingsError("Batch norm over several processes has no momentum. Give it one.")
        values = input.to(torch.promote_types(input.dtype, torch.float32))  # autocast may bring half precision
        own = torch.full((1,), float(values.numel() // values.shape[1]), dtype=values.dtype, device=values.device)
        total = _SumOverProcesses.apply(torch.cat([values.sum((0, 2, 3)), own]))
        mean, n = total[:-1] / total[-1].detach(), total[-1].detach()
        centred = values - mean[None, :, None, None]
        variance = _SumOverProcesses.apply(centred.square().sum((0, 2, 3))) / n
        with torch.no_grad():
            self.num_batches_tracked += 1
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * n / (n - 1), self.momentum)
        normalised: Tensor = centred * torch.rsqrt(variance + self.eps)[None, :, None, None]
        if self.affine:
            normalised = normalised * self.weight[None, :, None, None] + self.bias[None, :, None, None]
        return normalised.to(input.dtype)


def share_batch_norms(network: nn.Module) -> None:
    """Make every batch norm of a network a SharedBatchNorm2d, in place; values and names stay."""
    for module in network.modules():
        if type(module) is nn.BatchNorm2d:
            module.__class__ = SharedBatchNorm2d  # the same parameters and buffers under another forward
