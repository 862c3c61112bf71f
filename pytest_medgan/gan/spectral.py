"""Layers whose weights are divided by their largest singular value, followed by power iteration (Miyato et al. 2018).

A layer keeps the left singular vector of its weight matrix [outputs, the rest] as a buffer, so that checkpoints hold it
and a resumed run goes on with it. Each forward pass takes one power iteration; it is stored in training mode alone. A
vector that is the average of several, as a moving average holds it, does no harm: only its direction counts.

References:
    Miyato et al. (2018), "Spectral Normalization for Generative Adversarial Networks", algorithm 1.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, embedding, linear, normalize


class Spectral(nn.Module):
    """Hold a weight [outputs, ...] and the left vector of its largest singular value."""

    vector: Tensor

    def __init__(self, *shape: int, bias: bool = True) -> None:
        """Make the layer.

        Args:
            shape: Of the weight; the first number is that of the outputs.
            bias: Whether the layer adds one number to each output.
        """
        super().__init__()
        self.weight = nn.Parameter(torch.empty(*shape))
        self.bias = nn.Parameter(torch.empty(shape[0])) if bias else None
        self.register_buffer("vector", torch.empty(shape[0]))

    def normalised(self) -> Tensor:
        """Return the weight over its largest singular value, as one power iteration estimates it."""
        with torch.autocast(self.weight.device.type, enabled=False):
            matrix = self.weight.flatten(1)
            with torch.no_grad():
                right = normalize(matrix.T @ self.vector, dim=0)
                left = normalize(matrix @ right, dim=0)
                if self.training:
                    self.vector.copy_(left)
            return self.weight / (left @ (matrix @ right))


class SpectralConv(Spectral):
    """Convolve at the same resolution."""

    def __init__(self, inputs: int, outputs: int, kernel: int, *, bias: bool = True) -> None:
        super().__init__(outputs, inputs, kernel, kernel, bias=bias)
        self._padding = kernel // 2

    def forward(self, x: Tensor) -> Tensor:
        """Return the convolved maps."""
        return conv2d(x, self.normalised(), self.bias, padding=self._padding)


class SpectralDense(Spectral):
    """Map [N,inputs] to [N,outputs]."""

    def __init__(self, inputs: int, outputs: int, *, bias: bool = True) -> None:
        super().__init__(outputs, inputs, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """Return the transformed vectors."""
        return linear(x, self.normalised(), self.bias)


class SpectralEmbedding(Spectral):
    """Map classes, int64 [N], to vectors [N,numbers]."""

    def __init__(self, classes: int, numbers: int) -> None:
        super().__init__(classes, numbers, bias=False)

    def forward(self, classes: Tensor) -> Tensor:
        """Return the vectors of classes."""
        return embedding(classes, self.normalised())
