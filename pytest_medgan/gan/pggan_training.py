"""PGGAN's training (Karras et al. 2018, appendix A; tkarras/progressive_growing_of_gans): WGAN-GP on growing images.

At each resolution beyond 4x4 the new layers fade in, real images fading with them, and then train on; the optimisers
start afresh when a fade begins and when it ends. One discriminator step a generator step. What is sampled is the moving
average of the generator.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d

from pytest_medgan.errors import SettingsError
from pytest_medgan.gan.batches import Batches, mixing_weights, training_latents
from pytest_medgan.gan.distributed import World
from pytest_medgan.gan.pggan import PGGANConfig, PGGANDiscriminator, PGGANGenerator, fade, initialise, upsample
from pytest_medgan.gan.sampling import from_grey
from pytest_medgan.gan.state import network_state, optimiser_state, restore_network, restore_optimiser
from pytest_medgan.records import ImageSet


@dataclass(frozen=True)
class PGGANSettings:
    """How a PGGAN is trained; with the configuration and the images it determines the weights."""

    fading: int = 800_000  # real images shown while a resolution fades in
    stable: int = 800_000  # real images shown at a resolution thereafter (preset-v1-1gpu, which fits batch 16)
    batch: int = 16  # images a step, over all processes
    batches: tuple[tuple[int, int], ...] = ()  # (resolution, batch) where it differs, as ((4, 128), (8, 128))
    learning_rate: float = 1e-3
    beta1: float = 0.0
    beta2: float = 0.99
    epsilon: float = 1e-8
    penalty: float = 10.0  # weight of the gradient penalty
    target: float = 1.0  # the gradient norm it pulls towards
    drift: float = 1e-3  # weight of the squared score of real images
    average: float = 0.999  # of the generator, kept a step
    seed: int = 0

    def __post_init__(self) -> None:
        if self.fading < 0 or self.stable < 1 or self.learning_rate <= 0 or self.seed < 0:
            raise SettingsError("images fading and the seed must not be negative, stable and the learning rate above 0")
        if min(self.batch, *(batch for _, batch in self.batches), 1) < 1:
            raise SettingsError("every batch must be at least 1")
        if not 0 <= self.average < 1:
            raise SettingsError(f"average {self.average} must lie between 0 and 1")

    def batch_at(self, resolution: int) -> int:
        """Images a step at a resolution, over all processes."""
        return dict(self.batches).get(resolution, self.batch)


@dataclass(frozen=True)
class Phase:
    """A stretch of steps with one set of layers and one pair of optimisers."""

    resolution: int
    fading: bool
    first_step: int
    steps: int
    batch: int
    first_image: int  # real images shown before it

    def alpha(self, step: int) -> float:
        """How far the new layers have faded in at a step; the first step of a fade is at 0."""
        return (step - self.first_step) / self.steps if self.fading else 1.0

    def seen(self, step: int) -> int:
        """Real images shown before a step."""
        return self.first_image + (step - self.first_step) * self.batch


def schedule(config: PGGANConfig, settings: PGGANSettings) -> tuple[Phase, ...]:
    """4x4 stable, then each resolution fading and stable."""
    phases: list[Phase] = []
    step = image = 0
    for resolution in config.resolutions:
        batch = settings.batch_at(resolution)
        for fading, images in ((True, settings.fading), (False, settings.stable)):
            steps = -(-images // batch)
            if steps == 0 or (fading and resolution == config.resolutions[0]):
                continue
            phases.append(Phase(resolution, fading, step, steps, batch, image))
            step, image = step + steps, image + steps * batch
    return tuple(phases)


def gradient_penalty(discriminator: nn.Module, images: Tensor, *args: float, target: float = 1.0) -> Tensor:
    """Mean over images of (|d score / d image| - target)^2 (Gulrajani et al. 2017, equation 3), to be differentiated.

    `images` float [N,C,H,W]; `args` are handed to the discriminator behind them.
    """
    images = images.detach().requires_grad_(True)
    scores = discriminator(images, *args)
    (gradient,) = torch.autograd.grad(scores.sum(), images, create_graph=True)
    norms = gradient.flatten(1).norm(dim=1)
    penalty: Tensor = (norms - target).square().mean()
    return penalty


class PGGANTrainer:
    """Networks, optimisers and the step that updates them."""

    explodes = 1e6  # a mean loss beyond this is divergence

    def __init__(
        self,
        config: PGGANConfig,
        settings: PGGANSettings,
        images: ImageSet,
        *,
        world: World,
        device: torch.device,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.config, self.settings, self._world, self._device, self._dtype = config, settings, world, device, dtype
        self.phases = schedule(config, settings)
        for phase in self.phases:
            share = world.share(phase.batch)
            each = share.stop - share.start
            if each % min(config.group, each):
                raise SettingsError(f"{each} images a process cannot be shared by minibatch groups of {config.group}")
        self._batches = Batches(images, size=config.size, channels=config.channels, seed=settings.seed, device=device)
        seeded = torch.Generator().manual_seed(settings.seed)
        generator, discriminator = PGGANGenerator(config), PGGANDiscriminator(config)
        for network in (generator, discriminator):
            initialise(network, seeded)
        self.generator = generator.to(device, dtype).to(memory_format=torch.channels_last)
        self.discriminator = discriminator.to(device, dtype).to(memory_format=torch.channels_last)
        self.averaged = deepcopy(self.generator).requires_grad_(False)
        self._reset_optimisers()

    def _reset_optimisers(self) -> None:
        s = self.settings
        self._generator_optimiser, self._discriminator_optimiser = (
            torch.optim.Adam(network.parameters(), lr=s.learning_rate, betas=(s.beta1, s.beta2), eps=s.epsilon)
            for network in (self.generator, self.discriminator)
        )

    @property
    def steps(self) -> int:
        """Generator updates in all."""
        return self.phases[-1].first_step + self.phases[-1].steps

    def phase(self, step: int) -> Phase:
        """The phase that update number `step` (from 0) belongs to; the last one behind the end."""
        return next((p for p in self.phases if step < p.first_step + p.steps), self.phases[-1])

    def describe(self) -> str:
        """What a progress line calls the training."""
        return "training the PGGAN"

    def images_seen(self, step: int) -> int:
        """Real images shown before `step`."""
        return self.phase(step).seen(step)

    def stage(self, step: int) -> tuple[int, float]:
        """Resolution and fade of the generator after `step` updates."""
        phase = self.phase(max(step - 1, 0))
        return phase.resolution, phase.alpha(max(step - 1, 0))

    def converged(self, history: list[dict[str, float]], log_every: int) -> bool:
        """Never: the schedule says when it ends."""
        return False

    def step(self, step: int) -> dict[str, Tensor]:
        """Update number `step` (from 0); the losses, averaged over the processes."""
        phase = self.phase(step)
        if step == phase.first_step and step:
            self._reset_optimisers()
        s, share, alpha = self.settings, self._world.share(phase.batch), phase.alpha(step)
        reals = self._shrink(self._batches.reals(phase.seen(step), phase.batch, share), phase.resolution, alpha)
        z = training_latents(s.seed, step, phase.batch, self.config.latent, share).to(self._device, self._dtype)
        mixing = mixing_weights(s.seed, step, phase.batch, share).to(self._device, self._dtype)
        stage = (phase.resolution, alpha)

        fakes = self.generator(z, *stage)
        scores_real, scores_fake = self.discriminator(reals, *stage), self.discriminator(fakes.detach(), *stage)
        mixed = torch.lerp(reals, fakes.detach(), mixing[:, None, None, None])
        penalty = gradient_penalty(self.discriminator, mixed, *stage, target=s.target)
        distance = scores_real.mean() - scores_fake.mean()
        loss = s.penalty / s.target**2 * penalty + s.drift * scores_real.square().mean() - distance
        self._update(self.discriminator, self._discriminator_optimiser, loss)

        self.discriminator.requires_grad_(False)
        loss_generator = -self.discriminator(fakes, *stage).mean()
        self._update(self.generator, self._generator_optimiser, loss_generator)
        self.discriminator.requires_grad_(True)
        self._move_average()
        mean = self._world.mean
        return {
            "discriminator": mean(loss),
            "generator": mean(loss_generator),
            "distance": mean(distance),
            "penalty": mean(penalty),
        }

    def _shrink(self, pixels: Tensor, resolution: int, alpha: float) -> Tensor:
        """uint8 at full size -> float -1..1 at `resolution`, faded from half of it as the networks are."""
        images = from_grey(pixels).to(self._dtype)
        images = avg_pool2d(images, self.config.size // resolution)
        return images if alpha >= 1 else fade(upsample(avg_pool2d(images, 2)), images, alpha)

    def _update(self, network: nn.Module, optimiser: torch.optim.Optimizer, loss: Tensor) -> None:
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self._world.average_gradients(network.parameters())
        optimiser.step()

    @torch.no_grad()
    def _move_average(self) -> None:
        for average, now in zip(self.averaged.parameters(), self.generator.parameters(), strict=True):
            average.lerp_(now, 1.0 - self.settings.average)

    def state(self) -> dict[str, Tensor]:
        """Everything the next step depends on; `generator.*`, the average, is what is sampled."""
        return {
            **network_state("generator", self.averaged),
            **network_state("trained_generator", self.generator),
            **network_state("discriminator", self.discriminator),
            **optimiser_state("generator_optimiser", self._generator_optimiser),
            **optimiser_state("discriminator_optimiser", self._discriminator_optimiser),
        }

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """The inverse of `state`."""
        restore_network("generator", self.averaged, tensors)
        restore_network("trained_generator", self.generator, tensors)
        restore_network("discriminator", self.discriminator, tensors)
        restore_optimiser("generator_optimiser", self._generator_optimiser, tensors)
        restore_optimiser("discriminator_optimiser", self._discriminator_optimiser, tensors)
