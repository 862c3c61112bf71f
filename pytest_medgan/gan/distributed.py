"""Training on several processes with torch's own engine (`torchrun --nproc-per-node N -m pytest_medgan train ...`).

Every process draws the same global batch from the same seeds and takes its own rows of it; gradients are averaged by
all-reduce after backward. DistributedDataParallel is not used: the gradient penalty differentiates gradients, which its
hooks do not support. Without torchrun the world has one process, and nothing here does anything.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, distributed, nn

from pytest_medgan.errors import SettingsError
from pytest_medgan.ground.processes import started_by_torchrun
from pytest_medgan.ground.shared_norm import share_batch_norms


@dataclass(frozen=True)
class World:
    """Number this process among all that train together."""

    rank: int = 0
    size: int = 1

    @property
    def writes(self) -> bool:
        """Whether this is the process that writes files and shows progress."""
        return self.rank == 0

    def share(self, batch: int) -> slice:
        """Return this process's rows of a global batch.

        Raises:
            SettingsError: The batch cannot be divided equally.
        """
        if batch % self.size:
            raise SettingsError(f"batch {batch} cannot be divided equally by {self.size} processes. Choose a multiple.")
        each = batch // self.size
        return slice(self.rank * each, (self.rank + 1) * each)

    def average_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Replace every gradient by its mean over the processes, in one message."""
        if self.size == 1:
            return
        gradients = [p.grad for p in parameters if p.grad is not None]
        bucket = torch.cat([gradient.flatten() for gradient in gradients])
        distributed.all_reduce(bucket)
        bucket /= self.size
        for gradient, mean in zip(gradients, torch.split(bucket, [g.numel() for g in gradients]), strict=True):
            gradient.copy_(mean.view_as(gradient))

    def mean(self, value: Tensor) -> Tensor:
        """Return a value's mean over the processes, detached."""
        if self.size == 1:
            return value.detach()
        total = value.detach().clone()
        distributed.all_reduce(total)
        return total / self.size

    def any(self, flag: bool, device: torch.device) -> bool:
        """Return whether any process raised the flag."""
        if self.size == 1:
            return flag
        raised = torch.tensor(float(flag), device=device)
        distributed.all_reduce(raised, distributed.ReduceOp.MAX)
        return bool(raised.item())

    def wait(self) -> None:
        """Wait until every process has arrived here."""
        if self.size > 1:
            distributed.barrier()


@contextmanager
def join(device: torch.device) -> Iterator[World]:
    """Join the processes that torchrun started; without torchrun the world has one process."""
    if not started_by_torchrun():
        yield World()
        return
    already = distributed.is_initialized()
    if not already:
        if device.type == "cuda":
            torch.cuda.set_device(device)
        distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield World(distributed.get_rank(), distributed.get_world_size())
    finally:
        if not already:
            distributed.destroy_process_group()


# --------------------------------------------------------------------------------------------------------- batch norm


def share_batch_norm(
    network: nn.Module, world: World, device: torch.device, *, differentiated_twice: bool = False
) -> nn.Module:
    """Return the network with batch norm over the global batch; the same network in a world of one.

    SyncBatchNorm, which CUDA has, cannot be differentiated twice, so a gradient penalty takes SharedBatchNorm2d.
    """
    if world.size == 1:
        return network
    if device.type == "cuda" and not differentiated_twice:
        converted: nn.Module = nn.SyncBatchNorm.convert_sync_batchnorm(network)  # type: ignore[no-untyped-call]
        return converted
    share_batch_norms(network)
    return network
