"""A generator network with the weights of a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from pytest_medgan.errors import CheckpointError
from pytest_medgan.gan.architecture import NetworkConfig, Stage
from pytest_medgan.gan.architectures import architecture_of


class TruncatedNetwork(nn.Module):
    """Draw with a network that truncates its latents itself."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, z: Tensor, noise: Tensor | None = None) -> Tensor:
        """Return the images of latents [N,latent], and of noise where the network takes any."""
        images: Tensor = self.network(z) if noise is None else self.network(z, noise)
        return images


class Joined(nn.Module):
    """Draw with a network whose latents hold the noise of its layers as their last numbers."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, z: Tensor, noise: Tensor) -> Tensor:
        """Return the images of latents [N,latent] and noise [N,noise]."""
        images: Tensor = self.network(torch.cat([z, noise], 1))
        return images


def restore_generator(
    config: NetworkConfig,
    weights: Mapping[str, Tensor],
    stage: Stage | None = None,
    truncation: float | None = None,
    label: int | None = None,
) -> nn.Module:
    """Return the generator with these weights, in eval mode.

    Args:
        config: Shape of the networks.
        weights: Name -> tensor.
        stage: Resolution and fade that a growing generator has reached; None is full grown.
        truncation: For an architecture that truncates latents in its own way; None keeps all.
        label: The class to draw; None draws all, as often as they were among the training images.

    Returns:
        z [N,latent] -> images [N,C,size,size]; for an architecture that takes noise also (z, noise) -> images.

    Raises:
        CheckpointError: The weights have other shapes, or are not finite, or the growth has no such stage, or the
            generator no such class.
    """
    row = architecture_of(config)
    with torch.device("meta"):  # a wrong configuration must not claim memory before the shapes are compared
        network = row.networks.generator(config)
    try:
        network.load_state_dict(dict(weights), strict=True, assign=True)
    except RuntimeError as error:
        raise CheckpointError(
            f"The weights are not those of a {row.title} at {config.size}x{config.size} as configured. "
            "Correct the configuration, or train the model again."
        ) from error
    if not all(bool(torch.isfinite(tensor).all()) for tensor in weights.values()):
        raise CheckpointError("The weights hold NaN or infinity. Use an earlier checkpoint.")
    network.eval().requires_grad_(False)
    if label is not None:
        if row.networks.choose is None:
            raise CheckpointError(f"A {row.title} has no classes. Leave class= out.")
        row.networks.choose(network, label)
    if truncation is not None and row.networks.truncate is not None:
        row.networks.truncate(network, truncation)
        return TruncatedNetwork(network)
    return row.networks.at_stage(network, config, stage)


def noise_of(config: NetworkConfig) -> int:
    """Return how many standard normal numbers a generator takes for each image after its latent; 0 for none."""
    noise = architecture_of(config).networks.noise
    return 0 if noise is None else noise(config)
