"""The networks of a BigGAN (Brock et al. 2019), 16x16 to 256x256: residual blocks, attention, latents at every block.

z is cut into equal parts. The first becomes maps of 4x4 by a dense layer; each other one steers the two batch norms of
a block, whose only scale and offset are linear functions of it. A generator's block doubles and a discriminator's block
halves the resolution; at one resolution all pixels of the maps attend to each other. All convolutions and dense layers
of both networks have spectral norm. Weights are orthogonal at first. The generator ends in batch norm, ReLU, a
convolution and Tanh; the discriminator adds up the pixels of its last maps and ends in one logit.

With classes, the first number of z draws the class of an image, one embedding of it joins the part of z at every block,
and the discriminator adds to the logit the product of its last maps with a vector of the class.

References:
    Brock et al. (2019), "Large Scale GAN Training for High Fidelity Natural Image Synthesis", appendix B.
    Zhang et al. (2019), "Self-Attention Generative Adversarial Networks", section 3.
    Miyato and Koyama (2018), "cGANs with Projection Discriminator", equation 3.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import max_pool2d, relu

from pytest_medgan.errors import CheckpointError
from pytest_medgan.gan.biggan_settings import BigGANConfig
from pytest_medgan.gan.classes import no_such_class
from pytest_medgan.gan.convolution import average_pool
from pytest_medgan.gan.pggan import upsample
from pytest_medgan.gan.spectral import Spectral, SpectralConv, SpectralDense, SpectralEmbedding

PLACES = 1024.0  # a class is read off the part of z behind the point, once z is multiplied by this


class SteeredNorm(nn.Module):
    """Normalise maps over the batch, then scale and move them by linear functions of a condition [N,numbers]."""

    def __init__(self, numbers: int, maps: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(maps, affine=False)
        self.gain, self.offset = SpectralDense(numbers, maps, bias=False), SpectralDense(numbers, maps, bias=False)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """Return the normalised maps; a condition of zeros gives a gain of 1 and no offset."""
        x = self.norm(x)
        gain, offset = (layer(condition)[:, :, None, None].to(x.dtype) for layer in (self.gain, self.offset))
        steered: Tensor = x * (1 + gain) + offset
        return steered


class UpBlock(nn.Module):
    """Double the resolution of maps by two convolutions, and add the enlarged input."""

    def __init__(self, inputs: int, outputs: int, numbers: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList([SteeredNorm(numbers, inputs), SteeredNorm(numbers, outputs)])
        self.first, self.second = SpectralConv(inputs, outputs, 3), SpectralConv(outputs, outputs, 3)
        self.skip = SpectralConv(inputs, outputs, 1)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """Return maps at twice the resolution."""
        before, between = self.norms
        deep: Tensor = self.first(upsample(relu(before(x, condition))))
        deep = self.second(relu(between(deep, condition)))
        return deep + upsample(self.skip(x))


class DownBlock(nn.Module):
    """Transform maps by two convolutions, and add the input; halve the resolution where wanted."""

    def __init__(self, inputs: int, outputs: int, *, down: bool, sees_images: bool) -> None:
        """Make the block.

        Args:
            inputs: Maps in.
            outputs: Maps out.
            down: Whether the output has half the resolution.
            sees_images: Whether the input are images, to which no ReLU is applied.
        """
        super().__init__()
        self.first, self.second = SpectralConv(inputs, outputs, 3), SpectralConv(outputs, outputs, 3)
        self.skip = SpectralConv(inputs, outputs, 1) if down or inputs != outputs else None
        self._down, self._sees_images = down, sees_images

    def forward(self, x: Tensor) -> Tensor:
        """Return the transformed maps."""
        deep: Tensor = self.second(relu(self.first(x if self._sees_images else relu(x))))
        if self._down:
            deep, x = average_pool(deep, 2), average_pool(x, 2)
        return deep + (x if self.skip is None else self.skip(x))


class SelfAttention(nn.Module):
    """Add to each pixel of maps a mean over all pixels, weighted by how well their features match its own.

    Keys and values come from maps of half the resolution (the greatest of four pixels). `strength` is 0 at first.
    """

    def __init__(self, maps: int) -> None:
        super().__init__()
        features, values = max(1, maps // 8), max(1, maps // 2)
        self.query, self.key = SpectralConv(maps, features, 1, bias=False), SpectralConv(maps, features, 1, bias=False)
        self.value, self.out = SpectralConv(maps, values, 1, bias=False), SpectralConv(values, maps, 1, bias=False)
        self.strength = nn.Parameter(torch.empty(()))

    def forward(self, x: Tensor) -> Tensor:
        """Return maps [N,C,H,W] of the same shape."""
        query = self.query(x).flatten(2).transpose(1, 2)
        key, value = (max_pool2d(layer(x), 2).flatten(2) for layer in (self.key, self.value))
        weights = torch.softmax(query @ key, dim=2).to(value.dtype)
        attended = (weights @ value.transpose(1, 2)).transpose(1, 2)
        out: Tensor = self.out(attended.reshape(len(x), -1, *x.shape[2:]))
        return x + (self.strength * out).to(x.dtype)


class Classes(nn.Module):
    """Draw a class for each image, with its share of the training set, and hold what stands for it.

    The fraction of 1024 z is as good as uniform in 0..1, with truncated latents as well, and the same to the bit on
    every machine.
    """

    bounds: Tensor

    def __init__(self, classes: int, numbers: int) -> None:
        super().__init__()
        self.vectors = nn.Embedding(classes, numbers)
        self.register_buffer("bounds", torch.zeros(classes - 1))  # shares of the classes before 1, 2, ...
        self.chosen: int | None = None  # the class of every image, in place of a drawn one

    def draw(self, z: Tensor) -> Tensor:
        """Return a class, int64 [N], for each latent [N,latent]."""
        if self.chosen is not None:
            return torch.full((len(z),), self.chosen, device=z.device)
        fraction = torch.remainder(z[:, :1] * PLACES, 1.0)
        return (fraction >= self.bounds).sum(1)


class BigGANGenerator(nn.Module):
    """Map latents z [N,latent] to images [N,channels,size,size] in -1..1."""

    classes: Classes | None

    def __init__(self, config: BigGANConfig) -> None:
        super().__init__()
        maps = config.generator_maps
        self._chunks, self._attends_at = config.chunks, config.attends_at
        self.classes = Classes(config.classes, config.embedding) if config.classes else None
        known = config.embedding if config.classes else 0
        self.dense = SpectralDense(config.chunks[0], maps[0] * 16)
        self.blocks = nn.ModuleList(
            UpBlock(inputs, outputs, known + numbers)
            for (inputs, outputs), numbers in zip(pairwise(maps), config.chunks[1:], strict=True)
        )
        resolutions = [8 << block for block in range(len(self.blocks))]
        self.attention = (
            SelfAttention(maps[resolutions.index(self._attends_at) + 1]) if self._attends_at in resolutions else None
        )
        self.norm = nn.BatchNorm2d(maps[-1])
        self.to_image = SpectralConv(maps[-1], config.channels, 3)

    def forward(self, z: Tensor) -> Tensor:
        """Return the images of latents."""
        parts = z if self.classes is None else z[:, 1:]
        first, *conditions = torch.split(parts, list(self._chunks), dim=1)
        if self.classes is not None:
            known = self.classes.vectors(self.classes.draw(z))
            conditions = [torch.cat([known, part], 1) for part in conditions]
        x = self.dense(first).reshape(len(z), -1, 4, 4)
        for block, condition in zip(self.blocks, conditions, strict=True):
            x = block(x, condition)
            if self.attention is not None and x.shape[2] == self._attends_at:
                x = self.attention(x)
        return torch.tanh(self.to_image(relu(self.norm(x))))


class BigGANDiscriminator(nn.Module):
    """Map images [N,channels,size,size] in -1..1 to logits [N], positive for real."""

    def __init__(self, config: BigGANConfig) -> None:
        super().__init__()
        maps, sizes = (config.channels, *config.discriminator_maps), (config.size, *config.discriminator_sizes)
        self.blocks = nn.ModuleList(
            DownBlock(*maps[block : block + 2], down=sizes[block + 1] < sizes[block], sees_images=block == 0)
            for block in range(len(maps) - 1)
        )
        self._attends_behind = sizes.index(config.attends_at) if config.attends_at in sizes else 0
        self.attention = SelfAttention(maps[self._attends_behind]) if self._attends_behind else None
        self.score = SpectralDense(maps[-1], 1)
        self.classes = SpectralEmbedding(config.classes, maps[-1]) if config.classes else None

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return the logits of images; those of a network with classes take the labels, int64 [N]."""
        x = images
        for number, block in enumerate(self.blocks, 1):
            x = block(x)
            if self.attention is not None and number == self._attends_behind:
                x = self.attention(x)
        features = relu(x).sum((2, 3))
        logits: Tensor = self.score(features)
        if self.classes is not None and labels is not None:
            logits = logits + (self.classes(labels) * features).sum(1, keepdim=True)
        return logits.flatten()


def choose(generator: nn.Module, label: int) -> None:
    """Draw images of one class alone.

    Raises:
        CheckpointError: The generator has no such class.
    """
    classes = generator.classes if isinstance(generator, BigGANGenerator) else None
    if classes is None:
        raise CheckpointError("The generator was trained without classes. Leave class= out.")
    if not 0 <= label < classes.vectors.num_embeddings:
        raise CheckpointError(no_such_class("The generator", label, classes.vectors.num_embeddings))
    classes.chosen = label


@torch.no_grad()
def initialise(network: nn.Module, generator: torch.Generator) -> None:
    """Draw orthogonal weights; set biases and the strength of attention to 0, and the classes' shares equal."""
    for module in network.modules():
        if isinstance(module, Spectral):
            nn.init.orthogonal_(module.weight, generator=generator)
            module.vector.normal_(generator=generator)
            if module.bias is not None:
                module.bias.zero_()
        elif isinstance(module, SelfAttention):
            module.strength.zero_()
        elif isinstance(module, Classes):
            nn.init.orthogonal_(module.vectors.weight, generator=generator)
            count = module.vectors.num_embeddings
            module.bounds.copy_(torch.arange(1, count) / count)
