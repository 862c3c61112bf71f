"""The networks of StyleGAN2 (Karras et al. 2020), any power of two: skip generator, residual discriminator.

z is normalised and mapped to w by dense layers. Each convolution of the generator scales its input maps by a style, an
affine function of w, and divides its output by the norm that its weights then have (demodulation); noise of a learnt
strength is added to every map. toRGB layers are modulated and not demodulated, and their images are summed, each
enlarged to the next resolution. All weights have an equalised learning rate: N(0, 1) at rest, scaled by
1 / sqrt(fan-in) when used, with a gain of sqrt(2) behind the LeakyReLU. LeakyReLU(a x) is a LeakyReLU(x) for a > 0, so
that gain multiplies weights instead of maps, which are many times larger.

StyleGAN 1 is left out: its networks differ in more than AdaIN (progressive growing, and noise and bias behind the
normalisation), and its successor replaces it in practice.

References:
    Karras et al. (2019), "A Style-Based Generator Architecture for Generative Adversarial Networks".
    Karras et al. (2020), "Analyzing and Improving the Image Quality of StyleGAN".
"""

from __future__ import annotations

from functools import partial
from itertools import pairwise
from math import sqrt

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu, linear

from pytest_medgan.gan.convolution import convolve, convolve_transposed
from pytest_medgan.gan.pggan import maps, minibatch_deviation, pixel_norm
from pytest_medgan.gan.resampling import blur, enlarge
from pytest_medgan.gan.stylegan2_settings import StyleGAN2Config

EPSILON = 1e-8
GAIN, SLOPE = sqrt(2.0), 0.2  # of each LeakyReLU
MAPPING_RATE = 0.01  # of the mapping's learning rate to that of the rest
Noise = dict[str, Tensor]  # name of a convolution -> [N,1,RESOLUTION,RESOLUTION]


def activate(x: Tensor) -> Tensor:
    """Return LeakyReLU(x) with its gain."""
    return leaky_relu(x, SLOPE) * GAIN


class Dense(nn.Module):
    """Map [N,inputs] to [N,outputs] with equalised learning rate."""

    def __init__(self, inputs: int, outputs: int, *, bias: float = 0.0, rate: float = 1.0) -> None:
        """Make the layer.

        Args:
            inputs: Numbers in.
            outputs: Numbers out.
            bias: Initial bias.
            rate: Learning rate, relative to that of the other layers.
        """
        super().__init__()
        self.weight = nn.Parameter(torch.empty(outputs, inputs))
        self.bias = nn.Parameter(torch.empty(outputs))
        self.initial_bias, self.rate = bias, rate
        self._scale = rate / sqrt(inputs)

    def forward(self, x: Tensor) -> Tensor:
        """Return the transformed vectors."""
        return linear(x, self.weight * self._scale, self.bias * self.rate)


class Mapping(nn.Module):
    """Map latents z [N,latent] to styles w [N,style]; `mean` is the moving average of w, for truncation."""

    mean: Tensor

    def __init__(self, config: StyleGAN2Config) -> None:
        super().__init__()
        sizes = [config.latent, *[config.style] * config.mapping]
        self.layers = nn.ModuleList(Dense(inputs, outputs, rate=MAPPING_RATE) for inputs, outputs in pairwise(sizes))
        self.register_buffer("mean", torch.zeros(config.style))

    def forward(self, z: Tensor) -> Tensor:
        """Return the styles of latents."""
        w = pixel_norm(z)
        for layer in self.layers:
            w = activate(layer(w))
        return w


def demodulation(weight: Tensor, style: Tensor) -> Tensor:
    """Return 1 over the norm that an output map's weights have once its input maps are scaled by the style.

    Args:
        weight: [outputs,inputs,k,k].
        style: [N,inputs].

    Returns:
        [N,outputs], float32 at least: weight * style * this has unit norm for each image and output map.
    """
    wide = torch.promote_types(style.dtype, torch.float32)
    with torch.autocast(style.device.type, enabled=False):
        squared = weight.to(wide).square().sum((2, 3))
        return torch.rsqrt(style.to(wide).square() @ squared.T + EPSILON)


class StyledConv(nn.Module):
    """Convolve maps [N,inputs,r,r] by weights that a style modulates, and demodulate them."""

    constant_noise: Tensor

    def __init__(self, inputs: int, outputs: int, style: int, resolution: int, *, up: bool) -> None:
        """Make the layer.

        Args:
            inputs: Maps in.
            outputs: Maps out.
            style: Dimensions of w.
            resolution: Of the output.
            up: Whether the input has half the resolution.
        """
        super().__init__()
        self.affine = Dense(style, inputs, bias=1.0)
        self.weight = nn.Parameter(torch.empty(outputs, inputs, 3, 3))
        self.bias = nn.Parameter(torch.empty(outputs))
        self.strength = nn.Parameter(torch.empty(()))
        self.register_buffer("constant_noise", torch.zeros(resolution, resolution))
        self._scale, self._up = 1 / sqrt(inputs * 9), up

    def forward(self, x: Tensor, w: Tensor, noise: Tensor | None = None) -> Tensor:
        """Return maps [N,outputs,resolution,resolution]; without noise [N,1,...] the layer's constant one is added."""
        style = self.affine(w)
        weight = self.weight * self._scale
        x = x * style[:, :, None, None].to(x.dtype)
        if self._up:
            x = blur(convolve_transposed(x, weight.transpose(0, 1), stride=2), padding=1, gain=4.0)
        else:
            x = convolve(x, weight, padding=1)
        drawn = self.constant_noise if noise is None else noise
        factor, drawn = GAIN * demodulation(weight, style), drawn * (GAIN * self.strength)
        x = torch.addcmul(drawn.to(x.dtype), x, factor[:, :, None, None].to(x.dtype))
        return leaky_relu(x + (GAIN * self.bias)[:, None, None].to(x.dtype), SLOPE)


class ToRGB(nn.Module):
    """Turn maps [N,inputs,r,r] into images [N,channels,r,r] by 1x1 weights that a style modulates."""

    def __init__(self, inputs: int, channels: int, style: int) -> None:
        super().__init__()
        self.affine = Dense(style, inputs, bias=1.0)
        self.weight = nn.Parameter(torch.empty(channels, inputs, 1, 1))
        self.bias = nn.Parameter(torch.empty(channels))
        self._scale = 1 / sqrt(inputs)

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        """Return the images."""
        style = self.affine(w) * self._scale
        return convolve(x * style[:, :, None, None].to(x.dtype), self.weight, self.bias)


class Synthesis(nn.Module):
    """Draw images from one style for each layer."""

    def __init__(self, config: StyleGAN2Config) -> None:
        super().__init__()
        width = partial(maps, config.generator_width, full_until=config.full_until)
        self.constant = nn.Parameter(torch.empty(1, width(4), 4, 4))
        convolutions: dict[str, nn.Module] = {}
        for resolution in config.resolutions:
            inputs, outputs = width(max(4, resolution // 2)), width(resolution)
            if resolution > 4:
                convolutions[f"{resolution}_up"] = StyledConv(inputs, outputs, config.style, resolution, up=True)
            convolutions[f"{resolution}"] = StyledConv(outputs, outputs, config.style, resolution, up=False)
        self.convolutions = nn.ModuleDict(convolutions)
        self.to_rgb = nn.ModuleDict(
            {f"{r}": ToRGB(width(r), config.channels, config.style) for r in config.resolutions}
        )

    def forward(self, styles: Tensor, noise: Noise | None = None) -> Tensor:
        """Return images [N,channels,size,size], about -1..1.

        Args:
            styles: [N,layers,style].
            noise: Name of a convolution -> [N,1,r,r]; None takes the constant noise of each.
        """
        x = self.constant.expand(len(styles), -1, -1, -1)
        images: Tensor | None = None
        for layer, (name, convolution) in enumerate(self.convolutions.items()):
            x = convolution(x, styles[:, layer], None if noise is None else noise[name])
            if name in self.to_rgb:
                drawn = self.to_rgb[name](x, styles[:, layer + 1])
                images = drawn if images is None else enlarge(images) + drawn
        return x if images is None else images

    def split(self, noise: Tensor) -> Noise:
        """Return standard normal numbers [N,StyleGAN2Config.noise] as the noise of each convolution."""
        sides = {name: int(name.removesuffix("_up")) for name in self.convolutions}
        parts = torch.split(noise, [side**2 for side in sides.values()], 1)
        return {name: part.reshape(-1, 1, sides[name], sides[name]) for name, part in zip(sides, parts, strict=True)}


class StyleGAN2Generator(nn.Module):
    """Map latents z [N,latent] to images [N,channels,size,size], about -1..1."""

    def __init__(self, config: StyleGAN2Config) -> None:
        super().__init__()
        self.mapping, self.synthesis = Mapping(config), Synthesis(config)
        self.psi = 1.0  # truncation: share of w's distance from its mean that is kept
        self._layers = config.layers

    def forward(self, z: Tensor, noise: Tensor | None = None) -> Tensor:
        """Return the images of latents.

        Args:
            z: [N,latent].
            noise: Standard normal numbers [N,StyleGAN2Config.noise]; None takes the constant noise of each layer,
                the same for all images, which training never uses.
        """
        mean = self.mapping.mean
        w = mean + self.psi * (self.mapping(z) - mean) if self.psi < 1 else self.mapping(z)
        layers = None if noise is None else self.synthesis.split(noise)
        images: Tensor = self.synthesis(w[:, None].expand(-1, self._layers, -1), layers)
        return images


def truncate(generator: nn.Module, truncation: float) -> None:
    """Keep this share of the distance between styles and their mean (Karras et al. 2019, appendix B)."""
    if isinstance(generator, StyleGAN2Generator):
        generator.psi = min(truncation, 1.0)


class EqualConv(nn.Module):
    """Convolve with equalised learning rate and multiply by `gain`; `down` blurs and halves the resolution."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int, *, gain: float = GAIN, bias: bool = True, down: bool = False
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(outputs, inputs, kernel, kernel))
        self.bias = nn.Parameter(torch.empty(outputs)) if bias else None
        self._gain, self._scale = gain, gain / sqrt(inputs * kernel * kernel)
        self._kernel, self._down = kernel, down

    def forward(self, x: Tensor) -> Tensor:
        """Return the convolved maps."""
        weight = self.weight * self._scale
        bias = None if self.bias is None else self.bias * self._gain
        if not self._down:
            return convolve(x, weight, bias, padding=self._kernel // 2)
        if self._kernel == 1:
            return convolve(blur(x, padding=1, stride=2), weight, bias)
        return convolve(blur(x, padding=2), weight, bias, stride=2)


class ResidualBlock(nn.Module):
    """Halve the resolution of maps by two convolutions, and add the blurred input."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        # both gains include the factor 1 / sqrt(2) that keeps the variance of the sum
        self.first = EqualConv(inputs, inputs, 3)
        self.second = EqualConv(inputs, outputs, 3, gain=GAIN / sqrt(2.0), down=True)
        self.skip = EqualConv(inputs, outputs, 1, gain=1 / sqrt(2.0), bias=False, down=True)

    def forward(self, x: Tensor) -> Tensor:
        """Return the maps at half the resolution."""
        deep = leaky_relu(self.second(leaky_relu(self.first(x), SLOPE)), SLOPE)
        skipped: Tensor = self.skip(x)
        return deep + skipped


class StyleGAN2Discriminator(nn.Module):
    """Map images [N,channels,size,size] to logits [N], positive for real."""

    def __init__(self, config: StyleGAN2Config) -> None:
        super().__init__()
        width = partial(maps, config.discriminator_width, full_until=config.full_until)
        self.from_rgb = EqualConv(config.channels, width(config.size), 1)
        self.blocks = nn.ModuleList(ResidualBlock(width(r), width(r // 2)) for r in config.resolutions[:0:-1])
        self.last = EqualConv(width(4) + 1, width(4), 3)
        self.dense, self.score = Dense(width(4) * 16, width(4)), Dense(width(4), 1)
        self._group = config.group

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits of images."""
        x = leaky_relu(self.from_rgb(images), SLOPE)
        for block in self.blocks:
            x = block(x)
        x = leaky_relu(self.last(minibatch_deviation(x, self._group)), SLOPE)
        logits: Tensor = self.score(activate(self.dense(x.flatten(1))))
        return logits.flatten()


@torch.no_grad()
def initialise(network: nn.Module, generator: torch.Generator) -> None:
    """Draw weights and constants from N(0, 1); set biases to 0, those of styles to 1, and noise strengths to 0."""
    for module in network.modules():
        if isinstance(module, Dense):
            module.weight.normal_(0.0, 1 / module.rate, generator=generator)
            module.bias.fill_(module.initial_bias)
        elif isinstance(module, EqualConv | StyledConv | ToRGB):
            module.weight.normal_(0.0, 1.0, generator=generator)
            if module.bias is not None:
                module.bias.zero_()
        elif isinstance(module, Synthesis):
            module.constant.normal_(0.0, 1.0, generator=generator)
        if isinstance(module, StyledConv):
            module.strength.zero_()
            module.constant_noise.normal_(0.0, 1.0, generator=generator)
