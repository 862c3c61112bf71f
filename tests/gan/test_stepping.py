"""Steps run eagerly and as CUDA graphs; batches of inputs are those of single steps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from pytest_medgan.gan.architecture import NetworkConfig, TrainingSettings
from pytest_medgan.gan.batches import Batches, mixing_weights, training_latents
from pytest_medgan.gan.biggan_settings import BigGANConfig, BigGANSettings
from pytest_medgan.gan.dcgan_settings import DCGANConfig, DCGANSettings
from pytest_medgan.gan.distributed import World
from pytest_medgan.gan.latents import Stream
from pytest_medgan.gan.pggan_settings import PGGANConfig, PGGANSettings
from pytest_medgan.gan.stepping import Eager, Replayed, own_stream, stepper
from pytest_medgan.gan.stylegan2_settings import StyleGAN2Config, StyleGAN2Settings
from pytest_medgan.gan.training import make_trainer
from pytest_medgan.records import ImageSet

if TYPE_CHECKING:
    from pytest_medgan.gan.architecture import Trainer

MakeImages = Callable[..., ImageSet]
Recipe = tuple[NetworkConfig, TrainingSettings]
DCGAN: Recipe = (
    DCGANConfig(16, latent=8, generator_width=4, discriminator_width=4),
    DCGANSettings(steps=90, batch=8, penalty=1.0, penalty_every=8, shift=2, cutout=0.3, brightness=0.1, average=0.9),
)
# 4x4, the fade to 8x8, 8x8, the fade to 16x16, 16x16: 18 steps each
PGGAN: Recipe = (
    PGGANConfig(16, latent=8, generator_width=8, discriminator_width=8),
    PGGANSettings(fading=144, stable=144, batch=8, average=0.9),
)
LOGISTIC = (PGGAN[0], replace(PGGAN[1], loss="logistic", penalty=1.0, penalty_every=4, shift=2))
STYLEGAN2 = (
    StyleGAN2Config(16, latent=8, style=8, mapping=2, generator_width=8, discriminator_width=8),
    StyleGAN2Settings(steps=90, batch=8, penalty_every=8, path_every=4, adapt_images=400),
)
BIGGAN = (
    BigGANConfig(16, latent=8, generator_width=2, discriminator_width=2),
    BigGANSettings(steps=90, batch=8, discriminator_steps=2, shift=2, cutout=0.3, average=0.9),
)
RECIPES = pytest.mark.parametrize(
    "recipe",
    [DCGAN, PGGAN, LOGISTIC, STYLEGAN2, BIGGAN],
    ids=["dcgan", "wgan-gp", "logistic", "stylegan2", "biggan"],
)


def trainer(recipe: Recipe, images: ImageSet, device: str = "cpu") -> Trainer:
    return make_trainer(*recipe, images, world=World(), device=torch.device(device), dtype=torch.float32)


@RECIPES
def test_inputs_of_many_steps_are_those_of_each(recipe: Recipe, make_images: MakeImages) -> None:
    made = trainer(recipe, make_images())
    for first in (0, 19, 37):
        together = made.inputs(range(first, first + 8))
        for index in range(8):
            alone = made.inputs(range(first + index, first + index + 1))
            assert alone.keys() == together.keys()
            assert all(torch.equal(alone[name][0], together[name][index]) for name in alone)


def test_rows_walk_through_every_image_in_a_new_order_each_epoch(make_images: MakeImages) -> None:
    batches = Batches(make_images(40), size=16, channels=1, seed=3, device=torch.device("cpu"))
    epochs = [batches.rows(40 * epoch, 5, 8, slice(0, 8)).flatten().tolist() for epoch in range(3)]
    assert [sorted(rows) for rows in epochs] == [list(range(40))] * 3
    assert len({tuple(rows) for rows in epochs}) == 3
    assert batches.rows(36, 1, 8, slice(2, 6)).tolist() == [epochs[0][38:] + epochs[1][:2]]
    other = Batches(make_images(40), size=16, channels=1, seed=4, device=torch.device("cpu"))
    assert other.rows(0, 5, 8, slice(0, 8)).flatten().tolist() != epochs[0]


def test_latents_and_mixing_weights_are_those_of_their_streams() -> None:
    everything = slice(0, 4)
    latents = training_latents(5, range(2, 4), 4, 6, everything).numpy()
    np.testing.assert_array_equal(latents, [Stream(5, 102, step).normal(4, 6) for step in (2, 3)])
    mixing = mixing_weights(5, range(2, 4), 4, everything).numpy()
    np.testing.assert_array_equal(mixing, [Stream(5, 103, step).uniform(4) for step in (2, 3)])
    np.testing.assert_array_equal(training_latents(5, range(2, 4), 4, 6, slice(1, 3)).numpy(), latents[:, 1:3])


def test_stepper_uses_graphs_on_a_gpu_alone(make_images: MakeImages) -> None:
    assert isinstance(stepper(trainer(DCGAN, make_images()), graph=True), Eager)


@pytest.mark.medgan_gpu
@RECIPES
def test_replayed_steps_equal_eager_steps_on_a_gpu(recipe: Recipe, make_images: MakeImages) -> None:
    """Ninety steps; the losses stay together as far as float32 lets two orders of addition stay."""
    images = make_images()
    eager, replayed = trainer(recipe, images, "cuda"), trainer(recipe, images, "cuda")
    one, other = Eager(eager), Replayed(replayed)
    with (
        torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False),
        own_stream(torch.device("cuda")),
    ):
        for step in range(90):
            expected, found = one.step(step), other.step(step)
            assert found.keys() == expected.keys()
            if step < 40:
                for name in found:
                    torch.testing.assert_close(found[name].float(), expected[name].float(), rtol=2e-2, atol=2e-2)
        assert other._graphs
        apart = [
            float((a.float() - b.float()).norm() / (a.float().norm() + 1e-6))
            for a, b in zip(eager.state().values(), replayed.state().values(), strict=True)
        ]
    assert float(np.median(apart)) < 0.05
