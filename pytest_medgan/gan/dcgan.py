"""DCGAN (Radford et al. 2016) as PyTorch's own example builds it (pytorch/examples dcgan/main.py), any power of two.

4x4 kernels, stride 2, padding 1, except the generator's first and the discriminator's last layer (stride 1, padding 0);
no bias; batch norm everywhere but in the generator's last and the discriminator's first and last layers; the generator
ends in Tanh, the discriminator in one logit (BCE on logits is BCE behind a Sigmoid). Every doubling beyond 64x64 adds a
block: the generator starts at, and the discriminator ends at, twice as many maps.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pytest_medgan.errors import SettingsError

NEGATIVE_SLOPE = 0.2
MAX_SIZE = 1024


@dataclass(frozen=True)
class DCGANConfig:
    """Everything that determines the two networks' shapes."""

    size: int = 128  # pixels of the square image, a power of two from 8
    channels: int = 1
    latent: int = 100  # dimensions of z
    generator_width: int = 64  # maps before the last layer; doubled at each halving of the resolution
    discriminator_width: int = 64  # maps after the first layer; doubled likewise

    def __post_init__(self) -> None:
        if self.size not in [2**power for power in range(3, MAX_SIZE.bit_length())]:
            raise SettingsError(f"size {self.size} must be a power of two from 8 to {MAX_SIZE}")
        for name in ("channels", "latent", "generator_width", "discriminator_width"):
            value = getattr(self, name)
            if not 1 <= value <= 4096:
                raise SettingsError(f"{name} {value} must lie between 1 and 4096")

    @property
    def blocks(self) -> int:
        """Layers that double (or halve) the resolution between 4x4 and half the size."""
        return self.size.bit_length() - 4


class DCGANGenerator(nn.Module):
    """z [N,latent] -> images [N,channels,size,size] in -1..1."""

    def __init__(self, config: DCGANConfig) -> None:
        super().__init__()
        width = config.generator_width * 2**config.blocks
        layers: list[nn.Module] = [
            nn.ConvTranspose2d(config.latent, width, 4, 1, 0, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
        ]
        for _ in range(config.blocks):
            layers += [
                nn.ConvTranspose2d(width, width // 2, 4, 2, 1, bias=False),
                nn.BatchNorm2d(width // 2),
                nn.ReLU(inplace=True),
            ]
            width //= 2
        layers += [nn.ConvTranspose2d(width, config.channels, 4, 2, 1, bias=False), nn.Tanh()]
        self.layers = nn.Sequential(*layers)

    def forward(self, z: Tensor) -> Tensor:
        images: Tensor = self.layers(z[:, :, None, None])
        return images


class DCGANDiscriminator(nn.Module):
    """Images [N,channels,size,size] in -1..1 -> logits [N], positive for real."""

    def __init__(self, config: DCGANConfig) -> None:
        super().__init__()
        width = config.discriminator_width
        layers: list[nn.Module] = [
            nn.Conv2d(config.channels, width, 4, 2, 1, bias=False),
            nn.LeakyReLU(NEGATIVE_SLOPE, inplace=True),
        ]
        for _ in range(config.blocks):
            layers += [
                nn.Conv2d(width, width * 2, 4, 2, 1, bias=False),
                nn.BatchNorm2d(width * 2),
                nn.LeakyReLU(NEGATIVE_SLOPE, inplace=True),
            ]
            width *= 2
        layers.append(nn.Conv2d(width, 1, 4, 1, 0, bias=False))
        self.layers = nn.Sequential(*layers)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.layers(images)
        return logits.flatten()


@torch.no_grad()
def initialise(network: nn.Module, generator: torch.Generator) -> None:
    """Weights N(0, .02), batch-norm scales N(1, .02), batch-norm offsets 0 (Radford et al. 2016, section 4)."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            module.weight.normal_(0.0, 0.02, generator=generator)
        elif isinstance(module, nn.BatchNorm2d):
            module.weight.normal_(1.0, 0.02, generator=generator)
            module.bias.zero_()
