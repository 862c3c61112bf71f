"""Convolutions and pooling that a GPU differentiates twice at the speed of once.

A gradient penalty differentiates a gradient. Of torch's convolution, that takes the weights' share by a convolution
whose kernel is a whole map, and one call for each group: many times the cost of the first derivative. Here the first
derivative is a convolution of its own, so the second is an ordinary derivative. torch's average pool is slow on a GPU
where channels come last. On a CPU these functions call torch's own operations, but for the 1x1 convolution of one map.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

Settings = tuple[int, int, int, bool]  # stride, padding, groups, transposed


class _Wanted:
    """Hold whether the first derivative computes the gradients of weights.

    All threads share it, because autograd runs in threads of its own.
    """

    weights = True


@contextmanager
def without_weights() -> Iterator[None]:
    """Leave the gradients of weights out of the first derivative, where a penalty asks for that of its input alone."""
    before, _Wanted.weights = _Wanted.weights, False
    try:
        yield
    finally:
        _Wanted.weights = before


def convolve(x: Tensor, weight: Tensor, bias: Tensor | None = None, *, stride: int = 1, padding: int = 0) -> Tensor:
    """Return `conv2d` of x [N,C,H,W] with weight [D,C,k,k] and bias [D]."""
    if not _wants_second_derivatives(x):
        if x.device.type == "cpu" and weight.shape[1:] == (1, 1, 1) and (stride, padding) == (1, 0):
            return _spread(x, weight, bias)
        return functional.conv2d(x, weight, bias, stride=stride, padding=padding)
    return _with_bias(x, weight, bias, (stride, padding, 1, False))


def convolve_each(x: Tensor, kernel: Tensor, *, stride: int = 1, padding: int = 0) -> Tensor:
    """Return each map of x [N,C,H,W] convolved with its kernel, [C,1,k,k]."""
    if not _wants_second_derivatives(x):
        if x.device.type == "cpu" and stride > 1:
            return _each_in_float32(x, kernel, stride, padding)
        return functional.conv2d(x, kernel, stride=stride, padding=padding, groups=x.shape[1])
    return _with_bias(x, kernel, None, (stride, padding, x.shape[1], False))


def convolve_transposed(x: Tensor, weight: Tensor, *, stride: int) -> Tensor:
    """Return `conv_transpose2d` of x [N,C,H,W] with weight [C,D,k,k]."""
    if not _wants_second_derivatives(x):
        return functional.conv_transpose2d(x, weight, stride=stride)
    return _with_bias(x, weight, None, (stride, 0, 1, True))


def average_pool(x: Tensor, side: int) -> Tensor:
    """Return the means of squares of `side` pixels of x [N,C,H,W], whose sides they divide."""
    if not x.is_cuda:
        return functional.avg_pool2d(x, side)
    if side == 1:
        return x
    n, channels, height, width = x.shape
    squares = x.permute(0, 2, 3, 1).reshape(n, height // side, side, width // side, side, channels)
    return squares.mean((2, 4)).permute(0, 3, 1, 2)


def _wants_second_derivatives(x: Tensor) -> bool:
    """Return whether the convolution may be differentiated twice on a GPU."""
    return x.is_cuda and torch.is_grad_enabled()


def _spread(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Return the 1x1 convolution of one map, channels last, by products: a fraction of the time of torch's on a CPU."""
    if torch.is_autocast_enabled("cpu"):
        dtype = torch.get_autocast_dtype("cpu")
        x, weight, bias = x.to(dtype), weight.to(dtype), None if bias is None else bias.to(dtype)
    channels_last, factors = x.permute(0, 2, 3, 1), weight[:, 0, 0, 0]
    spread = channels_last * factors if bias is None else torch.addcmul(bias, channels_last, factors)
    return spread.permute(0, 3, 1, 2)


def _each_in_float32(x: Tensor, kernel: Tensor, stride: int, padding: int) -> Tensor:
    """Return each map convolved, in the dtype that torch's would have: a CPU's bfloat16 derivative is far slower."""
    narrow = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else x.dtype
    wide = torch.promote_types(narrow, torch.float32)
    with torch.autocast("cpu", enabled=False):
        out = functional.conv2d(x.to(wide), kernel.to(wide), stride=stride, padding=padding, groups=x.shape[1])
    return out.to(narrow)


def _with_bias(x: Tensor, weight: Tensor, bias: Tensor | None, settings: Settings) -> Tensor:
    """Return the convolution and its bias, in the dtype that autocast asks for."""
    if torch.is_autocast_enabled(x.device.type):
        dtype = torch.get_autocast_dtype(x.device.type)
        x, weight = x.to(dtype), weight.to(dtype)
    out: Tensor = _Convolution.apply(x, weight, settings)
    return out if bias is None else out + bias.to(out.dtype)[:, None, None]


class _Convolution(torch.autograd.Function):
    """A convolution whose gradients are operations that autograd follows."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, settings: Settings) -> Tensor:
        """Return the convolution."""
        ctx.save_for_backward(x, weight)
        ctx.settings = settings
        return _run(x, weight, settings)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        """Return the gradients of x and weight."""
        (gradient,) = gradients
        x, weight = ctx.saved_tensors
        to_x = _opposite(gradient, weight, ctx.settings, x.shape) if ctx.needs_input_grad[0] else None
        to_weight = None
        if ctx.needs_input_grad[1] and _Wanted.weights:
            to_weight = _WeightGradient.apply(x, gradient, weight, ctx.settings)
        return to_x, to_weight, None


class _WeightGradient(torch.autograd.Function):
    """The gradient of a convolution's weight, linear in its input and in the gradient of its output."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, gradient: Tensor, weight: Tensor, settings: Settings) -> Tensor:
        """Return the gradient, of the shape of `weight`."""
        ctx.save_for_backward(x, gradient)
        ctx.settings = settings
        stride, padding, groups, transposed = settings
        sides = [stride] * 2, [padding] * 2, [1, 1], transposed, [0, 0], groups
        out: Tensor = torch.ops.aten.convolution_backward(gradient, x, weight, None, *sides, [False, True, False])[1]
        return out

    @staticmethod
    def backward(ctx: Any, *seconds: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        """Return the gradients of x and of the output's gradient."""
        (second,) = seconds
        x, gradient = ctx.saved_tensors
        to_x = _opposite(gradient, second, ctx.settings, x.shape) if ctx.needs_input_grad[0] else None
        to_gradient = _run(x, second, ctx.settings) if ctx.needs_input_grad[1] else None
        return to_x, to_gradient, None, None


def _run(x: Tensor, weight: Tensor, settings: Settings) -> Tensor:
    """Return the convolution, or the transposed one."""
    stride, padding, groups, transposed = settings
    run = functional.conv_transpose2d if transposed else functional.conv2d
    return run(x, weight, stride=stride, padding=padding, groups=groups)


def _opposite(gradient: Tensor, weight: Tensor, settings: Settings, shape: torch.Size) -> Tensor:
    """Return the gradient of a convolution's input, which has this shape."""
    stride, padding, groups, transposed = settings
    if transposed:
        return functional.conv2d(gradient, weight, stride=stride, padding=padding, groups=groups)
    rest = [
        side - ((out - 1) * stride - 2 * padding + kernel)
        for side, out, kernel in zip(shape[2:], gradient.shape[2:], weight.shape[2:], strict=True)
    ]
    return functional.conv_transpose2d(
        gradient, weight, stride=stride, padding=padding, output_padding=rest, groups=groups
    )
