"""Generators: networks, their training and checkpoints, and the way from one string to images.

This room knows no metric: training calls back with the step and the generator as it stands.
"""

from __future__ import annotations

from pytest_medgan.gan.dcgan import DCGANConfig
from pytest_medgan.gan.dcgan_training import DCGANSettings
from pytest_medgan.gan.loading import load_generator
from pytest_medgan.gan.pggan import PGGANConfig
from pytest_medgan.gan.pggan_training import PGGANSettings
from pytest_medgan.gan.training import train_or_load

__all__ = ["DCGANConfig", "DCGANSettings", "PGGANConfig", "PGGANSettings", "load_generator", "train_or_load"]
