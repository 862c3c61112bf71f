"""The architectures. A new one is a row here, a module of its settings and a module of its networks and trainer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from pytest_medgan.errors import CheckpointError, SettingsError
from pytest_medgan.gan.architecture import Architecture, NetworkConfig
from pytest_medgan.gan.biggan_settings import BigGANConfig, BigGANSettings
from pytest_medgan.gan.dcgan_settings import DCGANConfig, DCGANSettings
from pytest_medgan.gan.described import added_fields
from pytest_medgan.gan.pggan_settings import PGGANConfig, PGGANSettings
from pytest_medgan.gan.stylegan2_settings import StyleGAN2Config, StyleGAN2Settings
from pytest_medgan.records import Scalar

_ROWS = (
    Architecture("dcgan", "DCGAN", DCGANConfig, DCGANSettings, "pytest_medgan.gan.dcgan_training"),
    Architecture("pggan", "PGGAN", PGGANConfig, PGGANSettings, "pytest_medgan.gan.pggan_training"),
    Architecture("stylegan2", "StyleGAN2", StyleGAN2Config, StyleGAN2Settings, "pytest_medgan.gan.stylegan2_training"),
    Architecture("biggan", "BigGAN", BigGANConfig, BigGANSettings, "pytest_medgan.gan.biggan_training"),
)
ARCHITECTURES: Mapping[str, Architecture] = {row.name: row for row in _ROWS}


def architecture_of(config: NetworkConfig) -> Architecture:
    """Return the row of a configuration's architecture.

    Raises:
        SettingsError: It is no configuration of a generator.
    """
    for row in ARCHITECTURES.values():
        if type(config) is row.config:
            return row
    known = ", ".join(row.title for row in ARCHITECTURES.values())
    raise SettingsError(f"{type(config).__name__} is no configuration of a generator. Give one of a {known}.")


def read_configuration(name: str, values: Mapping[str, Scalar]) -> NetworkConfig:
    """Return the configuration that the fields of a checkpoint describe.

    Raises:
        CheckpointError: The architecture is unknown, or the fields do not describe one.
    """
    if name not in ARCHITECTURES:
        raise CheckpointError(
            f"The checkpoint's architecture {name!r} is unknown. This version knows {', '.join(ARCHITECTURES)}."
        )
    row = ARCHITECTURES[name]
    kind: Any = row.config
    known, added = {field.name for field in fields(kind)}, set(added_fields(kind))
    if {*values} | added != known or not all(type(value) is int for value in values.values()):
        raise CheckpointError(f"The checkpoint's configuration is not that of a {row.title}. Train the model again.")
    try:
        return row.config(**values)
    except SettingsError as error:
        raise CheckpointError(f"The checkpoint's configuration cannot be used. {error}") from error
