"""A folded network in torch's own operations: the float32 engine that is always there, bfloat16, and CUDA."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from pytest_medgan.embedding.operations import Network


class TorchNetwork(nn.Module):
    """A network with channels last, in the precision of `dtype`.

    Means over maps are taken in float32 whatever the precision, and so are the convolutions that the network names as
    exact. They cost next to nothing.
    """

    def __init__(self, network: Network, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.dtype = dtype
        self.settings = {name: convolution.settings for name, convolution in network.convolutions.items()}
        self._run = network.run
        for name, convolution in network.convolutions.items():
            kept = torch.float32 if name in network.exact else dtype
            weight = convolution.weight.to(kept, memory_format=torch.channels_last)
            self.register_buffer(_key(name, "weight"), weight)
            self.register_buffer(_key(name, "bias"), convolution.bias.to(kept))

    def values(self, name: str) -> tuple[Tensor, Tensor]:
        """Return weight and bias of a convolution."""
        return self.get_buffer(_key(name, "weight")), self.get_buffer(_key(name, "bias"))

    def forward(self, images: Tensor) -> Tensor:
        """Return float32 features [N,D] of prepared images, float32 [N,channels,S,S]."""
        features: Tensor = self._run(self, images.contiguous(memory_format=torch.channels_last))
        return features

    def convolve(self, name: str, x: Tensor) -> Tensor:
        """Return the convolution `name` and its activation."""
        weight, bias = self.values(name)
        settings = self.settings[name]
        top, left, bottom, right = settings.padding
        padding = (top, left)
        if (top, left) != (bottom, right):  # conv2d pads both sides alike
            x, padding = functional.pad(x, (left, right, top, bottom)), (0, 0)
        y = functional.conv2d(x, weight, bias, settings.stride, padding, groups=settings.groups)
        if settings.activation == "relu":
            y = functional.relu_(y)
        elif settings.activation == "relu6":
            y = functional.hardtanh_(y, 0.0, 6.0)
        return y.to(self.dtype)

    def convolve_pooled(self, name: str, x: Tensor) -> Tensor:
        """Return a 3x3 average pool, the 1x1 convolution `name` and a ReLU, the pool taken last."""
        weight, bias = self.values(name)
        y = functional.avg_pool2d(functional.conv2d(x, weight), 3, stride=1, padding=1)
        return functional.relu_(y.add_(bias[None, :, None, None]))

    def max_pool(self, x: Tensor) -> Tensor:
        """Return a 3x3 maximum pool of stride 2."""
        return functional.max_pool2d(x, 3, stride=2)

    def add(self, x: Tensor, y: Tensor) -> Tensor:
        """Return the sum, written over y, which nothing else reads."""
        return y.add_(x)

    def join(self, parts: Sequence[Tensor]) -> Tensor:
        """Return the parts joined along the second axis."""
        return torch.cat(list(parts), 1)

    def mean(self, x: Tensor) -> Tensor:
        """Return the mean of every map, float32."""
        return x.float().mean((2, 3))

    def mean_magnitude(self, x: Tensor) -> Tensor:
        """Return the mean absolute value of every map, float32."""
        return x.float().abs().mean((2, 3))

    def quarter_means(self, x: Tensor, side: int) -> Tensor:
        """Return the mean of every quarter of every map, float32."""
        return functional.avg_pool2d(x.float(), side // 2).flatten(1)


def _key(name: str, part: str) -> str:
    """Return a buffer's name, which may have no dots."""
    return f"{name.replace('.', '__')}__{part}"
