"""The networks are those of the reference."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from pytest_medgan.errors import SettingsError
from pytest_medgan.gan.dcgan import DCGANDiscriminator, DCGANGenerator, initialise
from pytest_medgan.gan.dcgan_settings import DCGANConfig


def count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize(
    ("config", "generator", "discriminator"),
    [
        (DCGANConfig(64, channels=3), 3_576_704, 2_765_568),
        (DCGANConfig(64), 3_574_656, 2_763_520),
        (DCGANConfig(128), 12_784_512, 11_162_368),
        (DCGANConfig(128, discriminator_width=32), 12_784_512, 2_795_904),
        (DCGANConfig(128, generator_width=32, discriminator_width=32), 3_606_976, 2_795_904),
    ],
)
def test_parameter_counts_are_those_of_the_reference(config: DCGANConfig, generator: int, discriminator: int) -> None:
    with torch.device("meta"):
        assert count(DCGANGenerator(config)) == generator
        assert count(DCGANDiscriminator(config)) == discriminator


@pytest.mark.parametrize("size", [8, 16, 64, 256])
def test_any_power_of_two_goes_through_both_networks(size: int) -> None:
    config = DCGANConfig(size, channels=2, latent=7, generator_width=1, discriminator_width=2)
    images = DCGANGenerator(config)(torch.zeros(3, 7))
    assert images.shape == (3, 2, size, size)
    assert images.abs().max() <= 1
    assert DCGANDiscriminator(config)(images).shape == (3,)


@pytest.mark.parametrize("size", [0, 4, 100, 2048])
def test_other_sizes_are_refused(size: int) -> None:
    with pytest.raises(SettingsError, match=f"size {size} is not possible"):
        DCGANConfig(size)


def test_batch_norm_stands_where_pytorchs_own_example_has_it() -> None:
    config = DCGANConfig(64, generator_width=2, discriminator_width=2)
    generator = [type(layer).__name__ for layer in DCGANGenerator(config).layers]
    discriminator = [type(layer).__name__ for layer in DCGANDiscriminator(config).layers]
    assert generator == ["ConvTranspose2d", "BatchNorm2d", "ReLU"] * 4 + ["ConvTranspose2d", "Tanh"]
    assert discriminator == [
        "Conv2d",
        "LeakyReLU",
        *["Conv2d", "BatchNorm2d", "LeakyReLU"] * 3,
        "Conv2d",
    ]


def test_initial_weights_follow_the_paper_and_the_seed() -> None:
    config = DCGANConfig(64, generator_width=8, discriminator_width=8)
    networks = [DCGANGenerator(config), DCGANGenerator(config)]
    for network in networks:
        initialise(network, torch.Generator().manual_seed(3))
    first, second = (dict(network.named_parameters()) for network in networks)
    assert all(torch.equal(first[name], second[name]) for name in first)
    convolutions = torch.cat([m.weight.flatten() for m in networks[0].modules() if isinstance(m, nn.ConvTranspose2d)])
    assert convolutions.std().item() == pytest.approx(0.02, rel=0.02)
    scales = torch.cat([m.weight for m in networks[0].modules() if isinstance(m, nn.BatchNorm2d)])
    assert scales.mean().item() == pytest.approx(1.0, abs=0.01)
    assert scales.std().item() == pytest.approx(0.02, rel=0.3)
