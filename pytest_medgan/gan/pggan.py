"""The networks of a PGGAN (Karras et al. 2018), any power of two, as tkarras/progressive_growing_of_gans builds them.

Equalised learning rate: weights are N(0, 1) at rest and scaled by gain / sqrt(fan-in) when used. The generator
normalises each pixel's maps after every layer but toRGB, behind bias and LeakyReLU; the discriminator does not, and
sees, before its 4x4 convolution, one map more: the standard deviation within a group of the minibatch.
"""

from __future__ import annotations

from functools import partial
from math import prod, sqrt

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, leaky_relu, linear

from pytest_medgan.errors import CheckpointError, SettingsError
from pytest_medgan.gan.architecture import Stage
from pytest_medgan.gan.convolution import average_pool, convolve
from pytest_medgan.gan.pggan_settings import PGGANConfig

NEGATIVE_SLOPE = 0.2
EPSILON = 1e-8
GAIN = sqrt(2.0)  # of layers in front of a LeakyReLU (He et al. 2015)


def maps(width: int, resolution: int, full_until: int = 32) -> int:
    """Return the maps at a resolution: `width` up to `full_until` pixels, half as many with each doubling beyond."""
    return max(1, min(width, width * full_until // resolution))


class EqualConv2d(nn.Module):
    """Convolve at the same resolution, with equalised learning rate."""

    def __init__(self, inputs: int, outputs: int, kernel: int, gain: float = GAIN) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(outputs, inputs, kernel, kernel))
        self.bias = nn.Parameter(torch.empty(outputs))
        self._scale = gain / sqrt(inputs * kernel * kernel)
        self._padding = kernel // 2

    def forward(self, x: Tensor) -> Tensor:
        """Return the convolved maps."""
        return convolve(x, self.weight * self._scale, self.bias, padding=self._padding)


class EqualDense(nn.Module):
    """Map [N,inputs] to [N,*shape] with equalised learning rate and one bias for each map (the first of `shape`)."""

    def __init__(self, inputs: int, shape: tuple[int, ...], gain: float = GAIN) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(prod(shape), inputs))
        self.bias = nn.Parameter(torch.empty(shape[0]))
        self._shape = shape
        self._scale = gain / sqrt(inputs)

    def forward(self, x: Tensor) -> Tensor:
        """Return the maps of vectors."""
        out = linear(x, self.weight * self._scale).reshape(-1, *self._shape)
        return out + self.bias.reshape(-1, *[1] * (len(self._shape) - 1))


def pixel_norm(x: Tensor) -> Tensor:
    """Return x divided by its root mean square over maps (dimension 1)."""
    with _own_dtype(x):
        return x * torch.rsqrt((x * x).mean(1, keepdim=True) + EPSILON)


def upsample(x: Tensor) -> Tensor:
    """Return twice the resolution, each pixel four times."""
    with _own_dtype(x):
        return interpolate(x, scale_factor=2, mode="nearest")


def _own_dtype(x: Tensor) -> torch.autocast:
    """Suspend autocast, which on CUDA makes float32 of a bfloat16 input of `rsqrt` and `interpolate`."""
    return torch.autocast(x.device.type, enabled=False)


def fade(old: Tensor, new: Tensor, alpha: float | Tensor) -> Tensor:
    """Return `old` at alpha 0 and `new` at alpha 1, exactly, in the wider of their dtypes.

    Which operations return float32 under autocast differs between devices and versions of torch, so the two may
    differ. alpha may be a tensor [] on the device.
    """
    dtype = torch.promote_types(old.dtype, new.dtype)
    return torch.lerp(old.to(dtype), new.to(dtype), alpha.to(dtype) if isinstance(alpha, Tensor) else alpha)


def mixes(alpha: float | Tensor) -> bool:
    """Whether two resolutions are mixed; a tensor, whose value is not looked at, always mixes them."""
    return isinstance(alpha, Tensor) or alpha < 1


def minibatch_deviation(x: Tensor, group: int) -> Tensor:
    """Append one map that tells how much the images of a group differ.

    It is sqrt(biased variance + 1e-8) over the group, averaged over maps and pixels. The reference strides through the
    batch where this takes neighbours, which keeps a group within one process; images come in random order either way.

    Args:
        x: float [N,C,H,W].
        group: Adjacent images that share a value; all of them where there are fewer.

    Returns:
        float [N,C+1,H,W].

    Raises:
        SettingsError: N is no multiple of the group.
    """
    n, channels, height, width = x.shape
    group = min(group, n)
    if n % group:
        raise SettingsError(f"{n} images a process do not divide into minibatch groups of {group}. Change the batch.")
    grouped = x.reshape(n // group, group, channels, height, width)
    centred = grouped - grouped.mean(1, keepdim=True)
    deviation = (centred.square().mean(1) + EPSILON).sqrt().mean((1, 2, 3))
    extra = deviation.repeat_interleave(group)[:, None, None, None].expand(n, 1, height, width)
    return torch.cat([x, extra], 1)


class PGGANGenerator(nn.Module):
    """Map latents z [N,latent] to images [N,channels,resolution,resolution], about -1..1 (toRGB is linear)."""

    def __init__(self, config: PGGANConfig) -> None:
        super().__init__()
        width = partial(maps, config.generator_width, full_until=config.full_until)
        first = width(4)
        self.dense = EqualDense(config.latent, (first, 4, 4), GAIN / 4)
        blocks = [nn.ModuleList([EqualConv2d(first, first, 3)])]
        for resolution in config.resolutions[1:]:
            inputs, outputs = width(resolution // 2), width(resolution)
            blocks.append(nn.ModuleList([EqualConv2d(inputs, outputs, 3), EqualConv2d(outputs, outputs, 3)]))
        self.blocks = nn.ModuleList(blocks)
        self.to_rgb = nn.ModuleList(
            EqualConv2d(width(resolution), config.channels, 1, gain=1.0) for resolution in config.resolutions
        )
        self._resolutions = config.resolutions

    def forward(self, z: Tensor, resolution: int, alpha: float | Tensor = 1.0) -> Tensor:
        """Return images at `resolution`; with alpha below 1, faded from those of half the resolution."""
        stage = self._resolutions.index(resolution)
        x = pixel_norm(leaky_relu(self.dense(pixel_norm(z)), NEGATIVE_SLOPE))
        before = x
        for index in range(stage + 1):
            before = x
            if index:
                x = upsample(x)
            for convolution in _layers(self.blocks[index]):
                x = pixel_norm(leaky_relu(convolution(x), NEGATIVE_SLOPE))
        images: Tensor = self.to_rgb[stage](x)
        if stage and mixes(alpha):
            images = fade(upsample(self.to_rgb[stage - 1](before)), images, alpha)
        return images


class PGGANDiscriminator(nn.Module):
    """Map images [N,channels,resolution,resolution] to scores [N], greater for real."""

    def __init__(self, config: PGGANConfig) -> None:
        super().__init__()
        width = partial(maps, config.discriminator_width, full_until=config.full_until)
        first = width(4)
        blocks = [nn.ModuleList([EqualConv2d(first + 1, first, 3)])]
        for resolution in config.resolutions[1:]:
            inputs, outputs = width(resolution), width(resolution // 2)
            blocks.append(nn.ModuleList([EqualConv2d(inputs, inputs, 3), EqualConv2d(inputs, outputs, 3)]))
        self.blocks = nn.ModuleList(blocks)
        self.from_rgb = nn.ModuleList(
            EqualConv2d(config.channels, width(resolution), 1) for resolution in config.resolutions
        )
        self.dense = EqualDense(first * 16, (first,))
        self.score = EqualDense(first, (1,), gain=1.0)
        self._resolutions = config.resolutions
        self._group = config.group

    def forward(self, images: Tensor, resolution: int, alpha: float | Tensor = 1.0) -> Tensor:
        """Return scores of images at `resolution`; with alpha below 1, faded from those of half the resolution."""
        stage = self._resolutions.index(resolution)
        x = leaky_relu(self.from_rgb[stage](images), NEGATIVE_SLOPE)
        for index in range(stage, 0, -1):
            for convolution in _layers(self.blocks[index]):
                x = leaky_relu(convolution(x), NEGATIVE_SLOPE)
            x = average_pool(x, 2)
            if index == stage and mixes(alpha):
                halved = self.from_rgb[stage - 1](average_pool(images, 2))
                x = fade(leaky_relu(halved, NEGATIVE_SLOPE), x, alpha)
        x = minibatch_deviation(x, self._group)
        for convolution in _layers(self.blocks[0]):
            x = leaky_relu(convolution(x), NEGATIVE_SLOPE)
        x = leaky_relu(self.dense(x.flatten(1)), NEGATIVE_SLOPE)
        scores: Tensor = self.score(x)
        return scores.flatten()


def _layers(block: nn.Module) -> list[nn.Module]:
    """Return the layers of a block, in order."""
    return list(block.children())


class StagedGenerator(nn.Module):
    """Map latents z [N,latent] to images at the full size, at one stage of the growth; coarse pixels are repeated."""

    def __init__(self, network: nn.Module, config: PGGANConfig, resolution: int, alpha: float) -> None:
        super().__init__()
        self.network, self._resolution, self._alpha = network, resolution, alpha
        self._factor = config.size // resolution

    def forward(self, z: Tensor) -> Tensor:
        """Return the images of latents."""
        images: Tensor = self.network(z, self._resolution, self._alpha)
        return images if self._factor == 1 else interpolate(images, scale_factor=self._factor, mode="nearest")


@torch.no_grad()
def initialise(network: nn.Module, generator: torch.Generator) -> None:
    """Draw the weights from N(0, 1); set the biases to 0."""
    for module in network.modules():
        if isinstance(module, EqualConv2d | EqualDense):
            module.weight.normal_(0.0, 1.0, generator=generator)
            module.bias.zero_()


def at_stage(generator: nn.Module, config: PGGANConfig, stage: Stage | None) -> nn.Module:
    """Return a generator that draws at the full size what it has learnt by a stage of its growth.

    Args:
        generator: A PGGANGenerator.
        config: Its configuration.
        stage: Resolution and fade; None is full grown.

    Raises:
        CheckpointError: The growth has no such stage.
    """
    resolution, alpha = stage or (config.size, 1.0)
    if resolution not in config.resolutions or not 0 <= alpha <= 1:
        raise CheckpointError(
            f"The checkpoint's stage, {resolution}x{resolution} faded by {alpha:g}, does not lead to "
            f"{config.size}x{config.size}. Train the model again."
        )
    return StagedGenerator(generator, config, resolution, alpha)
