"""Which networks an architecture's name and configuration stand for."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from pytest_medgan.errors import CheckpointError, SettingsError
from pytest_medgan.gan.dcgan import DCGANConfig, DCGANGenerator
from pytest_medgan.records import Scalar

Config = DCGANConfig

ARCHITECTURES = ("dcgan",)


def architecture_of(config: Config) -> str:
    """The name that checkpoints and the command line use."""
    return "dcgan"


def configuration(architecture: str, fields: Mapping[str, Scalar]) -> Config:
    """The configuration that a checkpoint's fields describe.

    Raises
    ------
    CheckpointError
        The architecture is unknown or the fields do not describe one.
    """
    if architecture not in ARCHITECTURES:
        raise CheckpointError(f"architecture {architecture!r} is not one of {', '.join(ARCHITECTURES)}")
    try:
        return DCGANConfig(**fields)  # type: ignore[arg-type]
    except (TypeError, SettingsError) as error:
        raise CheckpointError(f"its configuration cannot be used: {error}") from error


def generator_network(config: Config) -> nn.Module:
    """The generator, freshly made."""
    return DCGANGenerator(config)


def restore_generator(config: Config, weights: Mapping[str, Tensor]) -> nn.Module:
    """The generator with these weights, in eval mode.

    Raises
    ------
    CheckpointError
        The weights are not those of this configuration, or are not finite.
    """
    with torch.device("meta"):  # a false configuration must not claim memory before the shapes are compared
        network = generator_network(config)
    try:
        network.load_state_dict(dict(weights), strict=True, assign=True)
    except RuntimeError as error:
        raise CheckpointError(
            f"its weights are not those of a {architecture_of(config)} at {config.size}x{config.size} as configured"
        ) from error
    if not all(bool(torch.isfinite(t).all()) for t in weights.values()):
        raise CheckpointError("its weights hold NaN or infinity; use an earlier checkpoint")
    return network.eval().requires_grad_(False)


def digest(*parts: object) -> str:
    """Hex digest of plain data."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
