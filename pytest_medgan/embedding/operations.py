"""A network described once over abstract operations, and its batch norms folded into its convolutions.

Every engine runs the same description with operations of its own, so no engine has a network of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor

T = TypeVar("T")


@dataclass(frozen=True)
class ConvolutionSettings:
    """What a convolution is beside its values."""

    stride: int = 1
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)  # zeros at the top, left, bottom and right
    groups: int = 1
    activation: str = "relu"  # "relu", "relu6" or "none"


@dataclass(frozen=True, eq=False)
class Convolution:
    """One convolution with its batch norm folded in, and the activation behind it."""

    weight: Tensor  # float32 [out,in/groups,h,w]
    bias: Tensor  # float32 [out]
    settings: ConvolutionSettings


class Operations(Protocol[T]):
    """The operations an engine provides; T is its tensor."""

    def convolve(self, name: str, x: T) -> T:
        """Return the convolution `name` and its activation."""

    def convolve_pooled(self, name: str, x: T) -> T:
        """Return a 3x3 average pool (stride 1, zero padding counted), the 1x1 convolution `name` and a ReLU."""

    def max_pool(self, x: T) -> T:
        """Return a 3x3 maximum pool of stride 2 without padding."""

    def add(self, x: T, y: T) -> T:
        """Return the sum of two tensors of one shape."""

    def join(self, parts: Sequence[T]) -> T:
        """Return the parts joined along the second axis: maps, or features."""

    def mean(self, x: T) -> T:
        """Return the mean of every map: [N,C,H,W] => [N,C]."""

    def mean_magnitude(self, x: T) -> T:
        """Return the mean absolute value of every map: [N,C,H,W] => [N,C]."""

    def quarter_means(self, x: T, side: int) -> T:
        """Return the mean of every quarter of every map: [N,C,side,side] => [N,4C], a map's four together."""


@dataclass(frozen=True, eq=False)
class Network:
    """A network that engines can run."""

    name: str
    convolutions: Mapping[str, Convolution]
    run: Callable[[Operations[Any], Any], Any]  # (operations, prepared images) -> features
    prepare: Callable[[Tensor], Tensor]  # uint8 [N,channels,H,W] => float32 [N,channels,size,size]
    size: int  # pixels per side of a prepared image
    width: int  # number of features
    exact: frozenset[str]  # convolutions that are computed in float32 whatever the precision
    eager: Callable[[str], Callable[[Tensor], Tensor]] | None = None
    # (device) -> a function of prepared images that returns features, by another implementation, where there is one
    channels: int = 1  # of the images it takes: 1, or 3 for colour


def fold_norm(
    weight: Tensor, *, gamma: Tensor, beta: Tensor, mean: Tensor, variance: Tensor, epsilon: float
) -> tuple[Tensor, Tensor]:
    """Fold a batch norm into the convolution before it, in float64, rounded once.

    Args:
        weight: The convolution's weight, [out,in,h,w]; it has no bias.
        gamma: The norm's scale, [out].
        beta: The norm's offset, [out].
        mean: Running mean, [out].
        variance: Running variance, [out].
        epsilon: What the norm adds to the variance.

    Returns:
        Weight [out,in,h,w] and bias [out], float32.
    """
    scale = gamma.double() / torch.sqrt(variance.double() + epsilon)
    folded = weight.double() * scale[:, None, None, None]
    return folded.float(), (beta.double() - mean.double() * scale).float()
