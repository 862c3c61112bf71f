"""The growing schedule, the gradient penalty, resumption across a change of resolution."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.functional import avg_pool2d, softplus

from pytest_medgan.errors import SettingsError
from pytest_medgan.gan import load_generator
from pytest_medgan.gan.checkpoint import load
from pytest_medgan.gan.distributed import World
from pytest_medgan.gan.grey import from_grey
from pytest_medgan.gan.loop import RunSettings
from pytest_medgan.gan.losses import gradient_penalty
from pytest_medgan.gan.pggan import PGGANDiscriminator, initialise
from pytest_medgan.gan.pggan_settings import PGGANConfig, PGGANSettings, schedule
from pytest_medgan.gan.pggan_training import PGGANTrainer
from pytest_medgan.gan.sampling import NetworkGenerator
from pytest_medgan.gan.stepping import Eager
from pytest_medgan.gan.training import train
from pytest_medgan.records import ImageSet

CONFIG = PGGANConfig(16, latent=8, generator_width=8, discriminator_width=8)
SETTINGS = PGGANSettings(fading=24, stable=24, batch=8, seed=1)
RUN = RunSettings(checkpoint_every=2, log_every=3, grid_every=0, keep=9)
CPU = torch.device("cpu")
MakeImages = Callable[..., ImageSet]


def trainer(images: ImageSet, settings: PGGANSettings = SETTINGS, dtype: torch.dtype = torch.float32) -> PGGANTrainer:
    return PGGANTrainer(CONFIG, settings, images, world=World(), device=CPU, dtype=dtype)


def test_schedule_is_that_of_the_reference() -> None:
    phases = schedule(PGGANConfig(128), PGGANSettings())
    assert [(p.resolution, p.fading) for p in phases] == [
        (4, False),
        *((resolution, fading) for resolution in (8, 16, 32, 64, 128) for fading in (True, False)),
    ]
    assert {p.batch for p in phases} == {16}
    assert all(p.steps == 50_000 for p in phases)
    assert [p.first_step for p in phases] == [50_000 * i for i in range(11)]
    assert phases[1].alpha(50_000) == 0.0
    assert phases[1].alpha(75_000) == 0.5
    assert phases[2].alpha(100_000) == 1.0


def test_schedule_with_a_batch_per_resolution_counts_images() -> None:
    table = ((4, 128), (8, 128), (16, 128), (32, 64), (64, 32), (128, 16))
    phases = schedule(PGGANConfig(128), PGGANSettings(fading=600_000, stable=600_000, batches=table))
    assert [p.batch for p in phases] == [128, 128, 128, 128, 128, 64, 64, 32, 32, 16, 16]
    assert phases[-1].first_image == pytest.approx(10 * 600_000, abs=1000)
    assert phases[-1].seen(phases[-1].first_step + 2) == phases[-1].first_image + 32


def test_schedule_with_a_longer_stage_lengthens_it_alone() -> None:
    usual = schedule(CONFIG, SETTINGS)
    longer = schedule(CONFIG, replace(SETTINGS, stables=((16, 80),)))
    assert [p.steps for p in usual] == [3, 3, 3, 3, 3]
    assert longer[:-1] == usual[:-1]
    assert longer[-1] == replace(usual[-1], steps=10)


def test_logistic_bfloat16_steps_across_fades_stay_near_float32(make_images: MakeImages) -> None:
    """Losses of every step of the schedule, with and without R1, fading and stable."""
    images, losses = make_images(), {}
    for precision in ("float32", "bfloat16"):
        settings = replace(SETTINGS, loss="logistic", penalty=1.0, penalty_every=2, shift=2, precision=precision)
        made = trainer(images, settings)
        run = Eager(made)
        losses[precision] = torch.tensor(
            [[float(loss) for loss in run.step(step).values()] for step in range(made.steps)]
        )
    assert losses["float32"].shape == (15, 3)
    torch.testing.assert_close(losses["bfloat16"], losses["float32"], rtol=0.1, atol=0.05)
    assert not torch.equal(losses["bfloat16"], losses["float32"])


def test_gradient_penalty_equals_finite_differences() -> None:
    """Check the gradient of the summed scores in each pixel, and that of the penalty in some weights."""
    discriminator = PGGANDiscriminator(replace(CONFIG, discriminator_width=2))
    initialise(discriminator, torch.Generator().manual_seed(0))
    discriminator.double()
    images = torch.randn(4, 1, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    stage, step = (8, 0.6), 1e-6

    def literal() -> torch.Tensor:
        gradient = torch.zeros_like(images)
        with torch.no_grad():
            for pixel in np.ndindex(*images.shape):
                up, down = images.clone(), images.clone()
                up[pixel] += step
                down[pixel] -= step
                gradient[pixel] = (discriminator(up, *stage) - discriminator(down, *stage)).sum() / (2 * step)
        return (gradient.flatten(1).square().sum(1).sqrt() - 1).square().mean()

    penalty = gradient_penalty(discriminator, images, *stage)
    torch.testing.assert_close(penalty.detach(), literal(), rtol=1e-6, atol=0)
    penalty.backward()
    weight = discriminator.blocks[1][0].weight
    assert weight.grad is not None
    for index in ((0, 0, 1, 1), (1, 1, 0, 2), (1, 0, 2, 0)):
        values = []
        for sign in (1, -1):
            with torch.no_grad():
                weight[index] += sign * 1e-5
            values.append(float(gradient_penalty(discriminator, images, *stage).detach()))
            with torch.no_grad():
                weight[index] -= sign * 1e-5
        assert float(weight.grad[index]) == pytest.approx((values[0] - values[1]) / 2e-5, rel=1e-4, abs=1e-8)


def test_real_images_fade_with_the_networks(make_images: MakeImages) -> None:
    made = trainer(make_images())
    pixels = torch.from_numpy(make_images().pixels[:2])
    full = pixels.double() / 127.5 - 1
    at8 = full.reshape(2, 1, 8, 2, 8, 2).mean((3, 5))
    at4 = at8.reshape(2, 1, 4, 2, 4, 2).mean((3, 5)).repeat_interleave(2, 2).repeat_interleave(2, 3)
    for alpha in (0.0, 0.3, 1.0):
        expected = (alpha * at8 + (1 - alpha) * at4).float()
        torch.testing.assert_close(made._shrink(pixels, 8, alpha), expected)


def literal_step(made: PGGANTrainer, step: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, tuple[int, float]]:
    """Real and generated images of a step, the fade's mixing weights, and the stage, before the step is taken."""
    phase = made.phase(step)
    inputs = {name: rows[0] for name, rows in made.inputs(range(step, step + 1)).items()}
    alpha = phase.alpha(step)
    real = avg_pool2d(from_grey(made._batches.images(inputs["rows"])).double(), 16 // phase.resolution)
    coarse = avg_pool2d(real, 2).repeat_interleave(2, 2).repeat_interleave(2, 3)
    real = alpha * real + (1 - alpha) * coarse
    stage = (phase.resolution, alpha)
    fake = made.generator(inputs["latents"].double(), *stage).detach()
    return real, fake, inputs.get("mixing", torch.empty(0)), stage


@pytest.mark.parametrize(("penalty", "target", "drift"), [(10.0, 1.0, 1e-3), (3.0, 2.0, 0.7)])
def test_wasserstein_loss_is_that_of_the_paper(
    make_images: MakeImages, penalty: float, target: float, drift: float
) -> None:
    """Scores, penalty / target^2 * (|gradient| - target)^2 at mixed images, drift * score^2 of real ones."""
    made = trainer(make_images(), replace(SETTINGS, penalty=penalty, target=target, drift=drift), dtype=torch.float64)
    for step in (0, 4, 13):
        real, fake, mixing, stage = literal_step(made, step)
        mixed = (real + (fake - real) * mixing[:, None, None, None]).requires_grad_()
        (gradient,) = torch.autograd.grad(made.discriminator(mixed, *stage).sum(), mixed)
        norms = gradient.square().sum((1, 2, 3)).sqrt()
        score = made.discriminator(real, *stage).detach()
        wasserstein = made.discriminator(fake, *stage).detach().mean() - score.mean()
        expected = wasserstein + penalty / target**2 * (norms - target).square().mean() + drift * (score**2).mean()
        losses = Eager(made).step(step)
        torch.testing.assert_close(losses["discriminator"], expected.detach())
        torch.testing.assert_close(losses["distance"], -wasserstein)
        after = made.discriminator(fake, *stage).detach().mean()  # the generator's loss uses the updated discriminator
        torch.testing.assert_close(losses["generator"], -after)


def test_logistic_loss_takes_its_penalty_on_its_own_steps_weighted_by_pixels(make_images: MakeImages) -> None:
    """Definition: every third step, 3 * weight / 2 * (resolution / size)^2 times the squared gradient."""
    settings = replace(SETTINGS, loss="logistic", penalty=4.0, penalty_every=3)
    made = trainer(make_images(), settings, dtype=torch.float64)
    for step in range(15):
        real, fake, _, stage = literal_step(made, step)
        real.requires_grad_()
        score = made.discriminator(real, *stage)
        expected = softplus(-score).mean() + softplus(made.discriminator(fake, *stage)).mean()
        if step % 3 == 0:
            (gradient,) = torch.autograd.grad(score.sum(), real)
            expected = expected + 3 * 2.0 * (stage[0] / 16) ** 2 * gradient.square().sum((1, 2, 3)).mean()
        losses = Eager(made).step(step)
        torch.testing.assert_close(losses["discriminator"], expected.detach())


def test_optimisers_are_new_when_a_fade_begins_and_when_it_ends(make_images: MakeImages) -> None:
    made = trainer(make_images())
    counts = []
    for step in range(made.steps):
        Eager(made).step(step)
        state = made._generator_optimiser.state_dict()["state"]
        counts.append(int(state[0]["step"]))
    assert counts == [1, 2, 3] * 5


def test_average_follows_the_generator(make_images: MakeImages) -> None:
    made = trainer(make_images(), replace(SETTINGS, average=0.75))
    expected = {name: p.detach().clone() for name, p in made.averaged.named_parameters()}
    for step in range(4):
        Eager(made).step(step)
        now = dict(made.generator.named_parameters())
        expected = {name: 0.75 * value + 0.25 * now[name].detach() for name, value in expected.items()}
    for name, value in made.averaged.named_parameters():
        torch.testing.assert_close(value, expected[name])
    assert torch.equal(made.state()["generator.dense.weight"], made.averaged.dense.weight)


def test_run_resumed_at_any_step_ends_with_the_same_weights(make_images: MakeImages, tmp_path: Path) -> None:
    """Fifteen steps over three resolutions: checkpoints lie before, at and after each change."""
    images = make_images()
    whole = train(CONFIG, SETTINGS, images, tmp_path / "whole", run=RUN)
    assert load(tmp_path / "whole" / "generator.safetensors").step == 15
    checkpoints = sorted((tmp_path / "whole").glob("checkpoint-*"))
    assert len(checkpoints) == 8
    for checkpoint in checkpoints[:-1]:
        folder = tmp_path / checkpoint.stem
        folder.mkdir()
        (folder / checkpoint.name).write_bytes(checkpoint.read_bytes())
        resumed = train(CONFIG, SETTINGS, images, folder, run=RUN, resume=True)
        assert resumed.identity == whole.identity
        ours, uninterrupted = (load(f / "checkpoint-00000015.safetensors") for f in (folder, tmp_path / "whole"))
        assert [n for n in uninterrupted.tensors if not torch.equal(ours.tensors[n], uninterrupted.tensors[n])] == []
        assert ours.progress == uninterrupted.progress


def test_unfinished_checkpoint_draws_its_own_stage(make_images: MakeImages, tmp_path: Path) -> None:
    seen: dict[int, NetworkGenerator] = {}
    train(CONFIG, SETTINGS, make_images(), tmp_path, run=RUN, on_checkpoint=lambda s, g: seen.update({s: g}))
    for step, pixels_alike in ((2, 4), (8, 2), (14, 1)):  # 4x4, 8x8 and 16x16, shown at 16x16
        file = load_generator(str(tmp_path / f"checkpoint-{step:08d}.safetensors"))
        images = file(4, 0)
        assert images.shape == (4, 1, 16, 16)
        np.testing.assert_array_equal(images, seen[step](4, 0))
        coarse = images[:, :, ::pixels_alike, ::pixels_alike]
        np.testing.assert_array_equal(coarse.repeat(pixels_alike, 2).repeat(pixels_alike, 3), images)
        assert pixels_alike == 1 or len(np.unique(coarse)) > 1
    assert load(tmp_path / "checkpoint-00000004.safetensors").stage == (8, 0.0)
    assert load(tmp_path / "checkpoint-00000006.safetensors").stage == (8, pytest.approx(2 / 3))
    assert load(tmp_path / "generator.safetensors").stage == (16, 1.0)
    assert len({generator.identity for generator in seen.values()}) == len(seen)


@pytest.mark.slow
def test_training_approaches_mean_and_spread_of_real_images(make_images: MakeImages) -> None:
    """After growing to 16x16 the mean picture is close to the real one, and pictures vary as real ones do."""
    images = make_images(200)
    settings = PGGANSettings(fading=2000, stable=3000, batch=16, learning_rate=3e-3, average=0.98)
    made = PGGANTrainer(
        replace(CONFIG, generator_width=16, discriminator_width=16), settings, images, world=World(), device=CPU
    )
    for step in range(made.steps):
        Eager(made).step(step)
    with torch.no_grad():
        z = torch.randn(256, 8, generator=torch.Generator().manual_seed(0))
        drawn = (made.averaged(z, 16) * 127.5 + 127.5).numpy()
    real = images.pixels.astype(float)
    assert np.abs(drawn.mean(0) - real.mean(0)).mean() < 15
    assert 0.6 < drawn.std(0).mean() / real.std(0).mean() < 1.4


def test_settings_that_cannot_be_used_are_refused(make_images: MakeImages) -> None:
    for build in (
        lambda: PGGANSettings(stable=0),
        lambda: PGGANSettings(fading=-1),
        lambda: PGGANSettings(batches=((4, 0),)),
        lambda: PGGANSettings(stables=((4, 0),)),
        lambda: PGGANSettings(average=1.0),
        lambda: trainer(make_images(), replace(SETTINGS, batch=6)),
    ):
        with pytest.raises(SettingsError):
            build()
