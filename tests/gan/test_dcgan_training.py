"""One step of DCGAN training against its literal definition."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import pytest
import torch
from torch.nn.functional import binary_cross_entropy, softplus

from pytest_medgan.errors import SettingsError
from pytest_medgan.gan.augmentation import shifted
from pytest_medgan.gan.batches import training_latents
from pytest_medgan.gan.dcgan_settings import DCGANConfig, DCGANSettings
from pytest_medgan.gan.dcgan_training import DCGANTrainer
from pytest_medgan.gan.distributed import World
from pytest_medgan.gan.grey import from_grey
from pytest_medgan.gan.losses import squared_gradient
from pytest_medgan.gan.stepping import Eager
from pytest_medgan.records import ImageSet

MakeImages = Callable[..., ImageSet]
SETTINGS = DCGANSettings(steps=10, batch=8, seed=1)


def made(images: ImageSet, config: DCGANConfig, settings: DCGANSettings = SETTINGS) -> DCGANTrainer:
    return DCGANTrainer(config, settings, images, world=World(), device=torch.device("cpu"), dtype=torch.float64)


def reals(trainer: DCGANTrainer, step: int, batch: int) -> torch.Tensor:
    """uint8: the real images of a step, in the order that the seed names."""
    return trainer._batches.images(trainer._batches.rows(step * batch, 1, batch, slice(0, batch))[0])


def test_step_is_cross_entropy_of_a_sigmoid_and_adam(tiny: DCGANConfig, make_images: MakeImages) -> None:
    """The literal procedure of pytorch/examples dcgan/main.py, in float64."""
    trainer, literal = made(make_images(), tiny), made(make_images(), tiny)
    generator, discriminator = literal.generator, literal.discriminator
    options = {"lr": 2e-4, "betas": (0.5, 0.999)}
    generator_adam = torch.optim.Adam(generator.parameters(), **options)
    discriminator_adam = torch.optim.Adam(discriminator.parameters(), **options)
    everything = slice(0, 8)
    for step in range(3):
        losses = Eager(trainer).step(step)
        real = from_grey(reals(literal, step, 8)).double()
        fakes = generator(training_latents(1, range(step, step + 1), 8, 8, everything)[0].double())
        ones, zeros = torch.ones(8, dtype=torch.float64), torch.zeros(8, dtype=torch.float64)
        discriminator_adam.zero_grad()
        loss_real = binary_cross_entropy(discriminator(real).sigmoid(), ones)
        loss_fake = binary_cross_entropy(discriminator(fakes.detach()).sigmoid(), zeros)
        loss_real.backward()
        loss_fake.backward()
        discriminator_adam.step()
        generator_adam.zero_grad()
        loss_generator = binary_cross_entropy(discriminator(fakes).sigmoid(), ones)
        loss_generator.backward()
        generator_adam.step()
        torch.testing.assert_close(losses["discriminator"], (loss_real + loss_fake).detach())
        torch.testing.assert_close(losses["generator"], loss_generator.detach())
    for name, tensor in trainer.generator.state_dict().items():
        torch.testing.assert_close(tensor, generator.state_dict()[name])
    for name, tensor in trainer.discriminator.state_dict().items():
        torch.testing.assert_close(tensor, discriminator.state_dict()[name])


def test_the_discriminator_learns_at_its_own_rate(tiny: DCGANConfig, make_images: MakeImages) -> None:
    trainer = made(make_images(), tiny, replace(SETTINGS, discriminator_learning_rate=1e-15))
    networks = (trainer.generator, trainer.discriminator)
    before = [{n: p.detach().clone() for n, p in net.named_parameters()} for net in networks]
    Eager(trainer).step(0)
    moved = [
        max(float((p.detach() - old[name]).abs().max()) for name, p in net.named_parameters())
        for net, old in zip(networks, before, strict=True)
    ]
    assert moved[0] > 1e-5
    assert moved[1] < 1e-12


@pytest.mark.parametrize(
    ("falls", "rows", "converged"), [(0.0, 40, True), (0.0, 43, False), (0.0, 30, False), (0.01, 40, False)]
)
def test_losses_have_converged_once_whole_windows_of_them_agree(
    tiny: DCGANConfig, make_images: MakeImages, falls: float, rows: int, converged: bool
) -> None:
    """200 steps, each logged: windows of 10 rows, four of which must agree within 2%."""
    trainer = made(make_images(), tiny, replace(SETTINGS, steps=200, tolerance=0.02))
    history = [{"discriminator": 1.0, "generator": 2.0 - falls * row} for row in range(rows)]
    assert trainer.converged(history, 1) is converged


def test_noise_falls_to_nothing_over_the_run(tiny: DCGANConfig, make_images: MakeImages) -> None:
    trainer = made(make_images(), tiny, replace(SETTINGS, noise=0.5, batch=64))
    spreads = [[float(noise.std()) for noise in trainer._noise(step)] for step in (0, 5, 9)]
    for (real, fake), expected in zip(spreads, (0.5, 0.25, 0.05), strict=True):
        assert real == pytest.approx(expected, rel=0.05)
        assert fake == pytest.approx(expected, rel=0.05)
    assert not trainer._noise(10).any()
    sooner = made(make_images(), tiny, replace(SETTINGS, noise=0.5, noise_share=0.4, batch=64))
    assert float(sooner._noise(2)[0].std()) == pytest.approx(0.25, rel=0.05)
    assert not sooner._noise(4).any()
    first, second = trainer._noise(3)
    assert not torch.equal(first, second)
    assert torch.equal(first, trainer._noise(3)[0])


def test_penalty_is_the_squared_gradient_at_real_images(tiny: DCGANConfig, make_images: MakeImages) -> None:
    """Against finite differences of the sum of logits, in float64."""
    trainer = made(make_images(), tiny)
    images = from_grey(reals(trainer, 0, 8)).double().requires_grad_()
    squared = squared_gradient(trainer.discriminator(images), images)
    step, expected = 1e-5, 0.0
    with torch.no_grad():
        for index in range(images[0].numel()):
            for image in range(8):
                moved = images.detach().clone()
                moved[image].view(-1)[index] += step
                up = trainer.discriminator(moved).sum()
                moved[image].view(-1)[index] -= 2 * step
                expected += float((up - trainer.discriminator(moved).sum()) / (2 * step)) ** 2 / 8
    assert squared.item() == pytest.approx(expected, rel=1e-6)


def test_penalty_enters_the_loss_on_its_own_steps_only(tiny: DCGANConfig, make_images: MakeImages) -> None:
    """Literally: BCE, and on every third step 3 * weight / 2 times the squared gradient."""
    settings = replace(SETTINGS, penalty=50.0, penalty_every=3)
    trainer, literal = made(make_images(), tiny, settings), made(make_images(), tiny, settings)
    adam = torch.optim.Adam(literal.discriminator.parameters(), lr=2e-4, betas=(0.5, 0.999))
    everything = slice(0, 8)
    for step in range(5):
        literal.generator.load_state_dict(trainer.generator.state_dict())
        real = from_grey(reals(literal, step, 8)).double().requires_grad_()
        fakes = literal.generator(training_latents(1, range(step, step + 1), 8, 8, everything)[0].double()).detach()
        logits = literal.discriminator(real)
        loss = softplus(-logits).mean() + softplus(literal.discriminator(fakes)).mean()
        if step in (0, 3):
            (gradient,) = torch.autograd.grad(logits.sum(), real, create_graph=True)
            loss = loss + 3 * 50.0 / 2 * gradient.square().sum((1, 2, 3)).mean()
        adam.zero_grad()
        loss.backward()
        adam.step()
        Eager(trainer).step(step)
        for name, parameter in trainer.discriminator.named_parameters():
            torch.testing.assert_close(parameter, literal.discriminator.get_parameter(name))


def test_both_networks_see_moved_images(tiny: DCGANConfig, make_images: MakeImages) -> None:
    """Literally: real and generated images, each moved by its own draw, in all three losses of a step."""
    settings = replace(SETTINGS, shift=3, batch=64)
    trainer, literal = made(make_images(), tiny, settings), made(make_images(), tiny, settings)
    real, fake = literal.inputs(range(2, 3))["moves"][0]
    everything = slice(0, 64)
    shown = shifted(from_grey(reals(literal, 2, 64)).double(), real)
    fakes = shifted(literal.generator(training_latents(1, range(2, 3), 64, 8, everything)[0].double()), fake)
    losses = Eager(trainer).step(2)
    expected = softplus(-literal.discriminator(shown)).mean() + softplus(literal.discriminator(fakes)).mean()
    torch.testing.assert_close(losses["discriminator"], expected.detach())
    torch.testing.assert_close(losses["generator"], softplus(-trainer.discriminator(fakes)).mean().detach())


def test_shift_beyond_the_image_is_refused(tiny: DCGANConfig, make_images: MakeImages) -> None:
    with pytest.raises(SettingsError, match="shift 16 is not possible for images of 16 pixels"):
        made(make_images(), tiny, replace(SETTINGS, shift=16))


def test_average_follows_weights_and_moments(tiny: DCGANConfig, make_images: MakeImages) -> None:
    trainer = made(make_images(), tiny, replace(SETTINGS, average=0.9))
    expected: Mapping[str, torch.Tensor] = {n: t.clone() for n, t in trainer.generator.state_dict().items()}
    for step in range(3):
        Eager(trainer).step(step)
        now = trainer.generator.state_dict()
        expected = {n: 0.9 * t + 0.1 * now[n] if t.is_floating_point() else now[n] for n, t in expected.items()}
    state = trainer.state()
    for name, tensor in expected.items():
        torch.testing.assert_close(state[f"generator.{name}"], tensor)
    assert not torch.equal(state["generator.layers.0.weight"], state["trained_generator.layers.0.weight"])
    other = made(make_images(), tiny, replace(SETTINGS, average=0.9))
    other.restore(state)
    Eager(trainer).step(3)
    Eager(other).step(3)
    ours, theirs = trainer.state(), other.state()
    assert [name for name in ours if not torch.equal(ours[name], theirs[name])] == []


def test_bfloat16_forward_passes_stay_near_float32(tiny: DCGANConfig, make_images: MakeImages) -> None:
    images, losses = make_images(), {}
    for precision in ("float32", "bfloat16"):
        trainer = DCGANTrainer(
            tiny, replace(SETTINGS, precision=precision), images, world=World(), device=torch.device("cpu")
        )
        losses[precision] = [Eager(trainer).step(step) for step in range(5)][-1]
        assert {tensor.dtype for tensor in trainer.generator.parameters()} == {torch.float32}
    for name, value in losses["float32"].items():
        assert float(losses["bfloat16"][name]) == pytest.approx(float(value), rel=0.05)
        assert float(losses["bfloat16"][name]) != float(value)


def test_settings_that_cannot_be_used_are_refused() -> None:
    for build in (
        lambda: DCGANSettings(noise=-1.0),
        lambda: DCGANSettings(average=1.0),
        lambda: DCGANSettings(noise_share=0.0),
        lambda: DCGANSettings(penalty=-1.0),
        lambda: DCGANSettings(penalty_every=0),
        lambda: DCGANSettings(shift=-1),
        lambda: DCGANSettings(cutout=1.0),
    ):
        with pytest.raises(SettingsError):
            build()
