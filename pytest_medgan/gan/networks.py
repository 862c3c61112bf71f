"""Which networks an architecture's name and configuration stand for."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import fields

import torch
from torch import Tensor, nn

from pytest_medgan.errors import CheckpointError, SettingsError
from pytest_medgan.gan.dcgan import DCGANConfig, DCGANGenerator
from pytest_medgan.gan.pggan import PGGANConfig, PGGANGenerator, StagedGenerator
from pytest_medgan.records import Scalar

Config = DCGANConfig | PGGANConfig

LATER = {"full_until"}  # fields of a configuration that older checkpoints lack
CONFIGS: dict[str, type[DCGANConfig] | type[PGGANConfig]] = {"dcgan": DCGANConfig, "pggan": PGGANConfig}


def architecture_of(config: Config) -> str:
    """The name that checkpoints and the command line use."""
    return "pggan" if isinstance(config, PGGANConfig) else "dcgan"


def configuration(architecture: str, values: Mapping[str, Scalar]) -> Config:
    """The configuration that a checkpoint's fields describe.

    Raises
    ------
    CheckpointError
        The architecture is unknown or the fields do not describe one.
    """
    if architecture not in CONFIGS:
        raise CheckpointError(f"architecture {architecture!r} is not one of {', '.join(CONFIGS)}")
    kind = CONFIGS[architecture]
    known = {field.name for field in fields(kind)}
    # a field that came later was at its default then
    if {*values} | LATER != known | LATER or not all(type(v) is int for v in values.values()):
        raise CheckpointError(f"its configuration is not that of a {architecture}; train it anew")
    try:
        return kind(**values)  # type: ignore[arg-type]
    except SettingsError as error:
        raise CheckpointError(f"its configuration cannot be used: {error}") from error


def restore_generator(
    config: Config, weights: Mapping[str, Tensor], stage: tuple[int, float] | None = None
) -> nn.Module:
    """The generator z [N,latent] -> images [N,C,size,size] with these weights, in eval mode.

    `stage` is the resolution and the fade that a growing generator has reached; None is full grown.

    Raises
    ------
    CheckpointError
        The weights are not those of this configuration, or are not finite, or there is no such stage.
    """
    with torch.device("meta"):  # a false configuration must not claim memory before the shapes are compared
        network = PGGANGenerator(config) if isinstance(config, PGGANConfig) else DCGANGenerator(config)
    try:
        network.load_state_dict(dict(weights), strict=True, assign=True)
    except RuntimeError as error:
        raise CheckpointError(
            f"its weights are not those of a {architecture_of(config)} at {config.size}x{config.size} as configured"
        ) from error
    if not all(bool(torch.isfinite(t).all()) for t in weights.values()):
        raise CheckpointError("its weights hold NaN or infinity; use an earlier checkpoint")
    network.eval().requires_grad_(False)
    if isinstance(config, PGGANConfig) and isinstance(network, PGGANGenerator):
        resolution, alpha = stage or (config.size, 1.0)
        if resolution not in config.resolutions or not 0 <= alpha <= 1:
            raise CheckpointError(f"a stage of {resolution}x{resolution} is not on the way to {config.size}")
        return StagedGenerator(network, config, resolution, alpha)
    return network


def digest(*parts: object) -> str:
    """Hex digest of plain data."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
