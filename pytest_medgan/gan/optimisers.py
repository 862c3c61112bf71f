"""Adam and the moving average of a generator, each in a few kernels and without waiting for the device."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pytest_medgan.gan.distributed import World


def adam(network: nn.Module, rate: float, betas: tuple[float, float], epsilon: float = 1e-8) -> torch.optim.Adam:
    """Return Adam (Kingma and Ba 2015) over a network's parameters; on a GPU in one kernel that a graph can hold."""
    on_gpu = next(network.parameters()).is_cuda
    return torch.optim.Adam(
        network.parameters(),
        lr=rate,
        betas=betas,
        eps=epsilon,
        fused=True if on_gpu else None,
        capturable=on_gpu,
    )


def minimise(loss: Tensor, network: nn.Module, optimiser: torch.optim.Optimizer, world: World) -> None:
    """Take one step of an optimiser down a loss, with gradients averaged over the processes."""
    optimiser.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    world.average_gradients(network.parameters())
    optimiser.step()


class MovingAverage:
    """Keep one network as the moving average of another's parameters and buffers; whole numbers are copied."""

    def __init__(self, averaged: nn.Module, network: nn.Module, kept: float) -> None:
        pairs = [(averaged.state_dict()[name], now) for name, now in network.state_dict().items()]
        self._floats: list[tuple[Tensor, Tensor]] = [pair for pair in pairs if pair[0].is_floating_point()]
        self._counts: list[tuple[Tensor, Tensor]] = [pair for pair in pairs if not pair[0].is_floating_point()]
        self._kept = kept

    @torch.no_grad()
    def update(self) -> None:
        """Move every number of the average towards the network's: kept * average + (1 - kept) * now."""
        averages, now = zip(*self._floats, strict=True)
        torch._foreach_lerp_(averages, now, 1.0 - self._kept)
        for average, count in self._counts:
            average.copy_(count)
