"""Generators: networks, their training and checkpoints, and the way from one string to images.

This room knows no metric: training calls back with the step and the generator as it is. The names are imported when
first used: the command line reads the options of all architectures without torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_medgan.gan.biggan_settings import BigGANConfig, BigGANSettings
    from pytest_medgan.gan.dcgan_settings import DCGANConfig, DCGANSettings
    from pytest_medgan.gan.loading import load_generator
    from pytest_medgan.gan.pggan_settings import PGGANConfig, PGGANSettings
    from pytest_medgan.gan.stylegan2_settings import StyleGAN2Config, StyleGAN2Settings
    from pytest_medgan.gan.training import train_or_load

__all__ = [
    "BigGANConfig",
    "BigGANSettings",
    "DCGANConfig",
    "DCGANSettings",
    "PGGANConfig",
    "PGGANSettings",
    "StyleGAN2Config",
    "StyleGAN2Settings",
    "load_generator",
    "train_or_load",
]

_HOMES = {"load_generator": "loading", "train_or_load": "training"}


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    settings = f"{name.removesuffix('Config').removesuffix('Settings').lower()}_settings"
    return getattr(import_module(f"{__name__}.{_HOMES.get(name, settings)}"), name)
