"""InceptionV3 (Szegedy et al. 2016, as torchvision lays it out) over abstract operations.

One rearrangement changes rounding only: a 3x3 average pool before a 1x1 convolution is taken after it, on fewer maps.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

from torch import Tensor, nn

from pytest_medgan.embedding.operations import Convolution, ConvolutionSettings, Operations, fold_norm

T = TypeVar("T")

INPUT_SIZE = 299  # pixels per side
FEATURES = 2048  # maps before the last average pool
FIRST = "Conv2d_1a_3x3"  # the convolution that sees the image


def fold(network: nn.Module) -> dict[str, Convolution]:
    """Return every convolution of a torchvision Inception3, auxiliary classifier left out, with its batch norm folded.

    Raises:
        ValueError: A batch norm has no running statistics.
    """
    folded = {}
    for name, block in network.named_modules():
        parts = dict(block.named_children())
        conv, norm = parts.get("conv"), parts.get("bn")
        if not isinstance(conv, nn.Conv2d) or not isinstance(norm, nn.BatchNorm2d) or name.startswith("AuxLogits"):
            continue
        if norm.running_mean is None or norm.running_var is None:
            raise ValueError(f"{name} has no running statistics")
        weight, bias = fold_norm(
            conv.weight.detach(),
            gamma=norm.weight.detach(),
            beta=norm.bias.detach(),
            mean=norm.running_mean,
            variance=norm.running_var,
            epsilon=norm.eps,
        )
        vertical, horizontal = (int(p) for p in conv.padding)
        settings = ConvolutionSettings(int(conv.stride[0]), (vertical, horizontal, vertical, horizontal))
        folded[name] = Convolution(weight, bias, settings)
    return folded


def fold_input(first: Convolution, scale: Tensor, shift: Tensor, channels: int = 1) -> Convolution:
    """Return the first convolution for images in (-1, 1), whose three channels were scale * image + shift.

    Args:
        first: The convolution of three channels. It has no padding, so folding is exact.
        scale: float64 [3].
        shift: float64 [3].
        channels: 1 for grey images, whose channel stood for all three; 3 for colours.
    """
    weight = first.weight.double() * scale[None, :, None, None]
    if channels == 1:
        weight = weight.sum(1, keepdim=True)
    bias = first.bias.double() + (first.weight.double() * shift[None, :, None, None]).sum((1, 2, 3))
    return replace(first, weight=weight.float(), bias=bias.float())


def run(ops: Operations[T], x: T) -> T:
    """Return features [N,2048] of x, [N,1,299,299] or [N,3,299,299] as the first convolution takes it."""

    def each(block: str, *names: str) -> list[T]:
        return [ops.convolve(f"{block}.{name}", x) for name in names]

    def chain(block: str, y: T, *names: str) -> T:
        for name in names:
            y = ops.convolve(f"{block}.{name}", y)
        return y

    x = ops.convolve("Conv2d_1a_3x3", x)
    x = ops.convolve("Conv2d_2a_3x3", x)
    x = ops.max_pool(ops.convolve("Conv2d_2b_3x3", x))
    x = ops.convolve("Conv2d_3b_1x1", x)
    x = ops.max_pool(ops.convolve("Conv2d_4a_3x3", x))
    for block in ("Mixed_5b", "Mixed_5c", "Mixed_5d"):
        one, five, three = each(block, "branch1x1", "branch5x5_1", "branch3x3dbl_1")
        five = chain(block, five, "branch5x5_2")
        three = chain(block, three, "branch3x3dbl_2", "branch3x3dbl_3")
        x = ops.join([one, five, three, ops.convolve_pooled(f"{block}.branch_pool", x)])
    three = chain("Mixed_6a", x, "branch3x3")
    double = chain("Mixed_6a", x, "branch3x3dbl_1", "branch3x3dbl_2", "branch3x3dbl_3")
    x = ops.join([three, double, ops.max_pool(x)])
    for block in ("Mixed_6b", "Mixed_6c", "Mixed_6d", "Mixed_6e"):
        one, seven, double = each(block, "branch1x1", "branch7x7_1", "branch7x7dbl_1")
        seven = chain(block, seven, "branch7x7_2", "branch7x7_3")
        double = chain(block, double, *(f"branch7x7dbl_{i}" for i in (2, 3, 4, 5)))
        x = ops.join([one, seven, double, ops.convolve_pooled(f"{block}.branch_pool", x)])
    three, seven = each("Mixed_7a", "branch3x3_1", "branch7x7x3_1")
    three = chain("Mixed_7a", three, "branch3x3_2")
    seven = chain("Mixed_7a", seven, "branch7x7x3_2", "branch7x7x3_3", "branch7x7x3_4")
    x = ops.join([three, seven, ops.max_pool(x)])
    for block in ("Mixed_7b", "Mixed_7c"):
        one, three, double = each(block, "branch1x1", "branch3x3_1", "branch3x3dbl_1")
        double = chain(block, double, "branch3x3dbl_2")
        pairs = [(three, "branch3x3_2a"), (three, "branch3x3_2b"), (double, "branch3x3dbl_3a")]
        ends = [chain(block, y, name) for y, name in [*pairs, (double, "branch3x3dbl_3b")]]
        x = ops.join([one, *ends, ops.convolve_pooled(f"{block}.branch_pool", x)])
    return ops.mean(x)
