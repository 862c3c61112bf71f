"""What equal settings train to: whoever changes it raises the revision of the architecture's row.

`python tests/gan/test_golden.py` records the numbers again.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from pytest_medgan.gan import (
    BigGANConfig,
    BigGANSettings,
    DCGANConfig,
    DCGANSettings,
    PGGANConfig,
    PGGANSettings,
    StyleGAN2Config,
    StyleGAN2Settings,
)
from pytest_medgan.gan.architecture import NetworkConfig, TrainingSettings
from pytest_medgan.gan.architectures import ARCHITECTURES, architecture_of
from pytest_medgan.gan.distributed import World
from pytest_medgan.gan.stepping import Eager
from pytest_medgan.gan.training import make_trainer
from pytest_medgan.records import ImageSet

FILE = Path(__file__).with_name("golden.json")
STEPS = 6
RUNS: dict[str, tuple[NetworkConfig, TrainingSettings]] = {
    "dcgan": (
        DCGANConfig(16, latent=8, generator_width=4, discriminator_width=4),
        DCGANSettings(batch=8, seed=3, learning_rate=3e-3, noise=0.1, average=0.9),
    ),
    "dcgan, R1 and changed images": (
        DCGANConfig(16, latent=8, generator_width=4, discriminator_width=4),
        DCGANSettings(batch=8, penalty=0.5, penalty_every=2, shift=2, brightness=0.2, contrast=0.2, cutout=0.3),
    ),
    "pggan": (
        PGGANConfig(8, latent=8, generator_width=8, discriminator_width=8),
        PGGANSettings(fading=16, stable=16, batch=8, seed=3, learning_rate=1e-2),
    ),
    "pggan, logistic": (
        PGGANConfig(8, latent=8, generator_width=8, discriminator_width=8),
        PGGANSettings(fading=16, stable=16, batch=8, loss="logistic", penalty=0.5, penalty_every=2, shift=1),
    ),
    "stylegan2": (
        StyleGAN2Config(8, latent=8, style=8, mapping=2, generator_width=8, discriminator_width=8),
        StyleGAN2Settings(batch=8, seed=3, penalty_every=3, path_every=2, adapt_images=100, flip=0.5, average=0.9),
    ),
    "biggan": (
        BigGANConfig(16, latent=8, generator_width=2, discriminator_width=2),
        BigGANSettings(batch=8, seed=3, discriminator_steps=2, penalty=0.5, penalty_every=2, shift=2, average=0.9),
    ),
}


def measured(name: str) -> dict[str, float]:
    """Losses of six steps, and the sum of the squared weights that are sampled after them."""
    config, settings = RUNS[name]
    pixels = np.random.default_rng(0).integers(0, 256, (12, 1, config.size, config.size), dtype=np.uint8)
    images = ImageSet(pixels, np.full(12, ""), "golden")
    trainer = make_trainer(config, settings, images, world=World(), device=torch.device("cpu"), dtype=torch.float64)
    run, found = Eager(trainer), {}
    for step in range(STEPS):
        found |= {f"{loss} {step}": float(value) for loss, value in run.step(step).items()}
    sampled = [t.double().square().sum() for n, t in trainer.state().items() if n.startswith("generator.")]
    return {**found, "sampled weights": float(sum(sampled))}


@pytest.mark.parametrize("name", RUNS)
def test_equal_settings_train_to_the_recorded_numbers(name: str) -> None:
    recorded = json.loads(FILE.read_text())[name]
    assert measured(name) == pytest.approx(recorded["numbers"], rel=1e-6), "raise the architecture's revision"
    assert recorded["revision"] == architecture_of(RUNS[name][0]).revision


def test_every_architecture_is_recorded() -> None:
    assert {architecture_of(config).name for config, _ in RUNS.values()} == {*ARCHITECTURES}
    assert {*json.loads(FILE.read_text())} == {*RUNS}


if __name__ == "__main__":
    content = {name: {"revision": architecture_of(RUNS[name][0]).revision, "numbers": measured(name)} for name in RUNS}
    FILE.write_text(json.dumps(content, indent=1) + "\n")
