"""The networks of a DCGAN (Radford et al. 2016), any power of two, as pytorch/examples dcgan/main.py builds them.

Kernels are 4x4 with stride 2 and padding 1, except the generator's first and the discriminator's last layer (stride 1,
padding 0). There is no bias. Batch norm stands everywhere but in the generator's last and the discriminator's first and
last layers. The generator ends in Tanh, the discriminator in one logit. Every doubling beyond 64x64 adds a block: the
generator starts at, and the discriminator ends at, twice as many maps.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pytest_medgan.gan.dcgan_settings import DCGANConfig

NEGATIVE_SLOPE = 0.2


class DCGANGenerator(nn.Module):
    """Map latents z [N,latent] to images [N,channels,size,size] in -1..1."""

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
        """Return the images of latents."""
        images: Tensor = self.layers(z[:, :, None, None])
        return images


class DCGANDiscriminator(nn.Module):
    """Map images [N,channels,size,size] in -1..1 to logits [N], positive for real."""

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
        """Return the logits of images."""
        logits: Tensor = self.layers(images)
        return logits.flatten()


@torch.no_grad()
def initialise(network: nn.Module, generator: torch.Generator) -> None:
    """Draw the weights as Radford et al. (2016, section 4) do.

    Weights are N(0, 0.02), scales of batch norm N(1, 0.02), offsets of batch norm 0.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            module.weight.normal_(0.0, 0.02, generator=generator)
        elif isinstance(module, nn.BatchNorm2d):
            module.weight.normal_(1.0, 0.02, generator=generator)
            module.bias.zero_()
