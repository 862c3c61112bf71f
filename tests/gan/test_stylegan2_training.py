"""Steps of a StyleGAN2 against their literal definition; penalties against finite differences."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.functional import softplus

from pytest_medgan.errors import SettingsError
from pytest_medgan.gan.checkpoint import load
from pytest_medgan.gan.distributed import World
from pytest_medgan.gan.loading import load_generator
from pytest_medgan.gan.loop import RunSettings
from pytest_medgan.gan.losses import squared_gradient
from pytest_medgan.gan.stepping import Eager
from pytest_medgan.gan.stylegan2 import StyleGAN2Discriminator, StyleGAN2Generator, initialise
from pytest_medgan.gan.stylegan2_settings import StyleGAN2Config, StyleGAN2Settings
from pytest_medgan.gan.stylegan2_training import StyleGAN2Trainer, path_lengths
from pytest_medgan.gan.training import train
from pytest_medgan.records import ImageSet

CONFIG = StyleGAN2Config(16, latent=6, style=7, mapping=2, generator_width=8, discriminator_width=8, full_until=8)
SETTINGS = StyleGAN2Settings(
    steps=10, batch=8, seed=1, penalty=3.0, penalty_every=3, path_every=2, target=0.05, adapt_images=128
)
MakeImages = Callable[..., ImageSet]


def trainer(
    images: ImageSet, settings: StyleGAN2Settings = SETTINGS, dtype: torch.dtype = torch.float64
) -> StyleGAN2Trainer:
    return StyleGAN2Trainer(CONFIG, settings, images, world=World(), device=torch.device("cpu"), dtype=dtype)


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def test_path_lengths_equal_finite_differences() -> None:
    """Of the projected image in every number of every style, and of the penalty in the weights."""
    generator = StyleGAN2Generator(replace(CONFIG, size=8, style=3, generator_width=2))
    initialise(generator, torch.Generator().manual_seed(0))
    generator.double()
    layers = 4
    styles, directions = normal(2, layers, 3, seed=1), normal(2, 1, 8, 8, seed=2)

    def literal() -> torch.Tensor:
        gradient = torch.zeros_like(styles)
        with torch.no_grad():
            for place in np.ndindex(*styles.shape):
                up, down = styles.clone(), styles.clone()
                up[place] += 1e-6
                down[place] -= 1e-6
                change = (generator.synthesis(up) - generator.synthesis(down))[place[0]] / 2e-6
                gradient[place] = (change * directions[place[0]]).sum() / 8
        return gradient.square().sum(2).mean(1).sqrt()

    def measured() -> torch.Tensor:
        tracked = styles.clone().requires_grad_()
        return path_lengths(generator.synthesis(tracked), tracked, directions)

    torch.testing.assert_close(measured().detach(), literal(), rtol=1e-6, atol=0)
    weight = generator.synthesis.convolutions["8_up"].weight
    (measured() - 0.1).square().mean().backward()
    for index in ((0, 1, 1, 1), (1, 0, 0, 2)):
        values = []
        for sign in (1, -1):
            with torch.no_grad():
                weight[index] += sign * 1e-5
            values.append(float((measured() - 0.1).square().mean().detach()))
            with torch.no_grad():
                weight[index] -= sign * 1e-5
        assert float(weight.grad[index]) == pytest.approx((values[0] - values[1]) / 2e-5, rel=1e-4, abs=1e-9)


def test_gradient_penalty_equals_finite_differences() -> None:
    discriminator = StyleGAN2Discriminator(replace(CONFIG, size=8, discriminator_width=2))
    initialise(discriminator, torch.Generator().manual_seed(0))
    discriminator.double()
    images = normal(4, 1, 8, 8).requires_grad_()
    found = squared_gradient(discriminator(images), images)
    expected = 0.0
    with torch.no_grad():
        for place in np.ndindex(*images.shape):
            step = torch.zeros_like(images)
            step[place] = 1e-6
            slope = (discriminator(images + step) - discriminator(images - step)).sum() / 2e-6
            expected += float(slope) ** 2 / 4
    assert found.item() == pytest.approx(expected, rel=1e-6)


def test_losses_are_their_literal_definitions(make_images: MakeImages) -> None:
    """Logistic losses of mixed styles and drawn noise, at the transforms' probability of the step."""
    made = trainer(make_images())
    with torch.no_grad():
        for layer in made.generator.synthesis.convolutions.values():
            layer.strength.fill_(0.2)
    for step in range(6):
        inputs = {name: rows[0] for name, rows in made.inputs(range(step, step + 1)).items()}
        first, second = (made.generator.mapping(inputs[name].double()) for name in ("latents", "second"))
        styles = torch.stack(
            [
                torch.stack([first[n] if layer < inputs["cuts"][n] else second[n] for layer in range(CONFIG.layers)])
                for n in range(8)
            ]
        )
        layers, start = {}, 0
        for name, layer in made.generator.synthesis.convolutions.items():
            side = layer.constant_noise.shape[0]
            layers[name] = inputs["noise"][:, start : start + side * side].reshape(8, 1, side, side).double()
            start += side * side
        drawn = made.generator.synthesis(styles, layers)
        chance = made.controls.augmentation.probability.clone()
        fake, real = (
            made._transforms.apply(pixels, inputs["chances"][side], inputs["amounts"][side], chance)
            for side, pixels in ((1, drawn), (0, made._reals(inputs["rows"])))
        )
        expected = softplus(-made.discriminator(real)).mean() + softplus(made.discriminator(fake)).mean()
        losses = Eager(made).step(step)
        torch.testing.assert_close(losses["discriminator"], expected.detach())
        torch.testing.assert_close(losses["generator"], softplus(-made.discriminator(fake)).mean().detach())
        torch.testing.assert_close(losses["augmentation"], chance)
    assert float(made.controls.path_length) > 0
    assert float(made.generator.mapping.mean.abs().sum()) > 0


@pytest.mark.parametrize(("field", "every"), [("penalty", 3), ("path", 2)])
def test_penalty_weighs_as_its_steps(make_images: MakeImages, field: str, every: int) -> None:
    """The optimiser sees the loss and, on the penalty's steps, its weight times the steps between two."""
    seen: list[tuple[int, bool]] = []
    made = trainer(make_images())
    taken = made._penalised if field == "penalty" else made._measures_paths
    for step in range(7):
        seen.append((step, taken(step)))
    assert [step for step, on in seen if on] == list(range(0, 7, every))
    without = trainer(make_images(), replace(SETTINGS, **{field: 0.0}))
    once = trainer(make_images(), replace(SETTINGS, **{f"{field}_every": 1, field: every * getattr(SETTINGS, field)}))
    for one in (made, without, once):
        Eager(one).step(0)
    network = "discriminator" if field == "penalty" else "generator"
    weights, none, equal = (dict(getattr(one, network).named_parameters()) for one in (made, without, once))
    assert any(not torch.equal(weights[name], none[name]) for name in weights)
    assert all(torch.equal(weights[name], equal[name]) for name in weights)


def test_mean_path_length_follows_that_of_its_steps(make_images: MakeImages) -> None:
    made = trainer(make_images(), replace(SETTINGS, path_decay=0.25))
    expected = 0.0
    for step in range(5):
        before = float(made.controls.path_length)
        Eager(made).step(step)
        after = float(made.controls.path_length)
        if step % 2:
            assert after == before
        else:
            assert after != before
            expected = after
    assert float(made.controls.path_length) == expected > 0


def test_share_of_images_takes_a_second_latent(make_images: MakeImages) -> None:
    made = trainer(make_images(), replace(SETTINGS, batch=400, mixing=0.75))
    cuts = made.inputs(range(1))["cuts"][0].numpy()
    assert 0.15 < (cuts == CONFIG.layers).mean() < 0.35
    assert set(cuts[cuts < CONFIG.layers].tolist()) == set(range(1, CONFIG.layers))
    never = trainer(make_images(), replace(SETTINGS, mixing=0.0)).inputs(range(1))["cuts"]
    assert set(never.flatten().tolist()) == {CONFIG.layers}


def test_run_resumed_at_any_checkpoint_ends_as_if_it_had_not_stopped(make_images: MakeImages, tmp_path: Path) -> None:
    """Average, mean of w, mean path length and the augmentation's probability are part of the state."""
    images = make_images()
    run = RunSettings(checkpoint_every=3, log_every=3, grid_every=0, keep=9)
    whole = train(CONFIG, SETTINGS, images, tmp_path / "whole", run=run)
    files = sorted((tmp_path / "whole").glob("checkpoint-*"))
    assert [load(path).step for path in files] == [3, 6, 9, 10]
    assert float(load(files[-1]).tensors["controls.augmentation.probability"]) > 0
    for path in files[:-1]:
        folder = tmp_path / path.stem
        folder.mkdir()
        (folder / path.name).write_bytes(path.read_bytes())
        assert train(CONFIG, SETTINGS, images, folder, run=run, resume=True).identity == whole.identity
        ours, theirs = (load(where / files[-1].name) for where in (folder, tmp_path / "whole"))
        assert [n for n in theirs.tensors if not torch.equal(ours.tensors[n], theirs.tensors[n])] == []


def test_truncation_of_a_checkpoint_is_that_of_styles(make_images: MakeImages, tmp_path: Path) -> None:
    run = RunSettings(grid_every=0)
    whole = train(CONFIG, SETTINGS, make_images(), tmp_path, run=run)
    path = tmp_path / "generator.safetensors"
    cut = load_generator(f"{path},truncation=0.02")
    assert cut.identity != whole.identity
    assert load_generator(f"{path},truncation=1").identity not in (cut.identity, whole.identity)
    spread = [float(one(64, 0).std(axis=0).mean()) for one in (whole, cut)]
    assert spread[1] < 0.2 * spread[0]


def test_bfloat16_forward_passes_stay_near_float32(make_images: MakeImages) -> None:
    images, losses = make_images(), {}
    for precision in ("float32", "bfloat16"):
        made = trainer(images, replace(SETTINGS, precision=precision), torch.float32)
        losses[precision] = [Eager(made).step(step) for step in range(4)][-1]
        assert {tensor.dtype for tensor in made.generator.parameters()} == {torch.float32}
    for name in ("discriminator", "generator"):
        value = float(losses["float32"][name])
        assert float(losses["bfloat16"][name]) == pytest.approx(value, rel=0.1)
        assert float(losses["bfloat16"][name]) != value


@pytest.mark.slow
def test_training_approaches_mean_and_spread_of_real_images(make_images: MakeImages) -> None:
    """After 600 steps the mean picture is close to the real one, and pictures vary as real ones do."""
    images = make_images(200)
    settings = StyleGAN2Settings(batch=16, learning_rate=2e-3, average=0.98, penalty=0.1, adapt_images=50_000)
    config = replace(CONFIG, generator_width=16, discriminator_width=16, latent=16, style=16)
    made = StyleGAN2Trainer(config, settings, images, world=World(), device=torch.device("cpu"))
    for step in range(600):
        Eager(made).step(step)
    with torch.no_grad():
        z = torch.randn(256, 16, generator=torch.Generator().manual_seed(0))
        drawn = (made.averaged(z) * 127.5 + 127.5).numpy()
    real = images.pixels.astype(float)
    assert np.abs(drawn.mean(0) - real.mean(0)).mean() < 20
    assert 0.5 < drawn.std(0).mean() / real.std(0).mean() < 1.5


@pytest.mark.parametrize(
    "changes",
    [{"steps": 0}, {"path": -1.0}, {"mixing": 1.1}, {"average": 1.0}, {"precision": "float8"}, {"rotation": 200.0}],
)
def test_settings_out_of_range_are_refused(changes: dict[str, object]) -> None:
    with pytest.raises(SettingsError):
        replace(SETTINGS, **changes)


def test_batch_that_does_not_divide_into_groups_is_refused(make_images: MakeImages) -> None:
    with pytest.raises(SettingsError, match="6 images a process do not divide into minibatch groups of 4"):
        trainer(make_images(), replace(SETTINGS, batch=6))
