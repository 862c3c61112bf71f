"""torch's own operations over the folded network: the float32 engine that is always there, and bfloat16."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from pytest_medgan.embedding.topology import FIRST, Convolution, run


class FoldedInception(nn.Module):
    """float [N,1,299,299] in (-1, 1) => [N,2048], batch norm folded, channels last, in the precision of `dtype`.

    The first convolution, whose filters may nearly cancel over smooth images, and the mean of the last maps are taken
    in float32 whatever the precision; they cost nothing.
    """

    def __init__(self, convolutions: Mapping[str, Convolution], dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.convolutions = dict(convolutions)
        self.dtype = dtype
        for name, convolution in self.convolutions.items():
            self._keep(name, convolution)

    def _keep(self, name: str, convolution: Convolution) -> None:
        dtype = torch.float32 if name == FIRST else self.dtype
        weight = convolution.weight.to(dtype, memory_format=torch.channels_last)
        self.register_buffer(_key(name, "weight"), weight)
        self.register_buffer(_key(name, "bias"), convolution.bias.to(dtype))

    def values(self, name: str) -> tuple[Tensor, Tensor]:
        """Weight and bias of a convolution."""
        return self.get_buffer(_key(name, "weight")), self.get_buffer(_key(name, "bias"))

    def forward(self, grey: Tensor) -> Tensor:
        return run(self, grey.contiguous(memory_format=torch.channels_last))

    def convolve(self, name: str, x: Tensor) -> Tensor:
        weight, bias = self.values(name)
        settings = self.convolutions[name]
        y = functional.conv2d(x, weight, bias, settings.stride, settings.padding)
        return functional.relu_(y).to(self.dtype)

    def convolve_pooled(self, name: str, x: Tensor) -> Tensor:
        weight, bias = self.values(name)
        y = functional.avg_pool2d(functional.conv2d(x, weight), 3, stride=1, padding=1)
        return functional.relu_(y.add_(bias[None, :, None, None]))

    def max_pool(self, x: Tensor) -> Tensor:
        return functional.max_pool2d(x, 3, stride=2)

    def join(self, parts: Sequence[Tensor]) -> Tensor:
        return torch.cat(list(parts), 1)

    def mean(self, x: Tensor) -> Tensor:
        return x.float().mean((2, 3))


def _key(name: str, what: str) -> str:
    """Buffers may not have dots in their names."""
    return f"{name.replace('.', '__')}__{what}"
