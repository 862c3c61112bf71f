"""Generators: networks, their training and checkpoints, and the way from one string to images.

This room knows no metric: training calls back with the step and the generator as it stands.
"""

from __future__ import annotations

from pytest_medgan.gan.loading import load_generator

__all__ = ["load_generator"]
