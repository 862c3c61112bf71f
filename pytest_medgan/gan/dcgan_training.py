"""One step of DCGAN's training: binary cross-entropy on logits, Adam, the discriminator first.

As pytorch/examples dcgan/main.py: real and generated images pass the discriminator apart, so that each has batch-norm
moments of its own, and the generator is updated on the images the discriminator has just seen.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from pytest_medgan.errors import SettingsError
from pytest_medgan.gan.batches import Batches, training_latents
from pytest_medgan.gan.dcgan import DCGANConfig, DCGANDiscriminator, DCGANGenerator, initialise
from pytest_medgan.gan.distributed import World, share_batch_norm
from pytest_medgan.gan.sampling import from_grey
from pytest_medgan.gan.state import network_state, optimiser_state, restore_network, restore_optimiser
from pytest_medgan.records import ImageSet


@dataclass(frozen=True)
class DCGANSettings:
    """How a DCGAN is trained; with the configuration and the images it determines the weights."""

    steps: int = 20_000  # generator updates at most
    batch: int = 64  # images a step, over all processes
    learning_rate: float = 2e-4  # of the generator
    discriminator_learning_rate: float | None = None  # None: the generator's
    beta1: float = 0.5
    beta2: float = 0.999
    noise: float = 0.0  # sd of the noise on what the discriminator sees at first
    noise_share: float = 1.0  # of the run, over which the noise falls to 0
    shift: int = 0  # pixels by which what the discriminator sees is moved at most, up, down and sideways
    penalty: float = 0.0  # weight of R1, the squared gradient of the logits at real images; 0 as published
    penalty_every: int = 8  # steps; the weight then counts as often over, so that it does not change with this
    average: float = 0.0  # moving average of the generator kept a step; 0 samples the generator itself, as published
    seed: int = 0
    tolerance: float = 0.01  # converged when the smoothed losses change by less, relatively; 0 never stops early
    precision: str = "float32"  # or "bfloat16": autocast of the forward passes

    def __post_init__(self) -> None:
        if self.steps < 1 or self.batch < 2 or self.learning_rate <= 0 or self.seed < 0:
            raise SettingsError("steps must be at least 1, batch 2, the learning rate above 0, the seed not negative")
        if not 0 <= self.average < 1 or self.noise < 0 or not 0 < self.noise_share <= 1:
            raise SettingsError("average and noise_share must lie between 0 and 1, noise must not be negative")
        if self.penalty < 0 or self.penalty_every < 1 or self.shift < 0:
            raise SettingsError("penalty and shift must not be negative, penalty_every at least 1")
        if self.precision not in ("float32", "bfloat16"):
            raise SettingsError(f"precision {self.precision!r} must be float32 or bfloat16")


class DCGANTrainer:
    """Networks, optimisers and the step that updates them."""

    explodes = 100.0  # a mean loss beyond this is divergence: BCE of a logit 100 on the wrong side

    def __init__(
        self,
        config: DCGANConfig,
        settings: DCGANSettings,
        images: ImageSet,
        *,
        world: World,
        device: torch.device,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        if settings.shift >= config.size:
            raise SettingsError(f"shift {settings.shift} must be less than the {config.size} pixels of an image")
        self.config, self.settings, self._world, self._device, self._dtype = config, settings, world, device, dtype
        self._share = world.share(settings.batch)
        self._batches = Batches(images, size=config.size, channels=config.channels, seed=settings.seed, device=device)
        seeded = torch.Generator().manual_seed(settings.seed)
        generator, discriminator = DCGANGenerator(config), DCGANDiscriminator(config)
        for network in (generator, discriminator):
            initialise(network, seeded)
        twice = settings.penalty > 0
        self.generator, self.discriminator = (
            # this layout is faster on CUDA, and by a tenth to a fifth on the CPU
            share_batch_norm(network, world, device, differentiated_twice=twice)
            .to(device, dtype)
            .to(memory_format=torch.channels_last)
            for network in (generator, discriminator)
        )
        self.averaged = deepcopy(self.generator).requires_grad_(False) if settings.average else None
        self._generator_optimiser = self._adam(self.generator, settings.learning_rate)
        self._discriminator_optimiser = self._adam(
            self.discriminator, settings.discriminator_learning_rate or settings.learning_rate
        )

    def _adam(self, network: nn.Module, rate: float) -> torch.optim.Adam:
        return torch.optim.Adam(network.parameters(), lr=rate, betas=(self.settings.beta1, self.settings.beta2))

    @property
    def steps(self) -> int:
        return self.settings.steps

    def describe(self) -> str:
        """What a progress line calls the training."""
        return "training the DCGAN"

    def stage(self, step: int) -> None:
        """A DCGAN does not grow."""

    def converged(self, history: list[dict[str, float]], log_every: int) -> bool:
        """Whether both losses, smoothed over windows of a twentieth of the budget, have stopped moving."""
        window, patience = max(1, self.settings.steps // 20 // log_every), 4
        if not self.settings.tolerance or len(history) < window * patience or len(history) % window:
            return False
        recent = history[-window * patience :]
        for name in ("discriminator", "generator"):
            means = np.array([row[name] for row in recent]).reshape(patience, window).mean(axis=1)
            if np.ptp(means) > self.settings.tolerance * abs(float(means.mean())):
                return False
        return True

    def images_seen(self, step: int) -> int:
        """Real images shown before `step`."""
        return step * self.settings.batch

    def step(self, step: int) -> dict[str, Tensor]:
        """Update number `step` (from 0); the losses, averaged over the processes."""
        batch = self.settings.batch
        reals = from_grey(self._batches.reals(step * batch, batch, self._share)).to(self._dtype)
        z = training_latents(self.settings.seed, step, batch, self.config.latent, self._share)
        autocast = torch.autocast(self._device.type, torch.bfloat16, enabled=self.settings.precision == "bfloat16")

        noise_real, noise_fake = self._noise(step, reals)
        by_real, by_fake = self._shifts(step)
        with autocast:
            fakes = shifted(self.generator(z.to(self._device, self._dtype)), by_fake) + noise_fake
            penalised = self.settings.penalty > 0 and step % self.settings.penalty_every == 0
            shown = (shifted(reals, by_real) + noise_real).requires_grad_(penalised)
            logits_real = self.discriminator(shown)
            loss_real = _loss(logits_real, real=True)
            loss_fake = _loss(self.discriminator(fakes.detach()), real=False)
        loss = loss_real + loss_fake
        if penalised:
            weight = self.settings.penalty / 2 * self.settings.penalty_every
            loss = loss + weight * squared_gradient(logits_real, shown)
        self._update(self.discriminator, self._discriminator_optimiser, loss)

        self.discriminator.requires_grad_(False)
        with autocast:
            loss_generator = _loss(self.discriminator(fakes), real=True)
        self._update(self.generator, self._generator_optimiser, loss_generator)
        self.discriminator.requires_grad_(True)
        self._move_average()
        return {
            "discriminator": self._world.mean(loss_real + loss_fake),
            "generator": self._world.mean(loss_generator),
        }

    def _noise(self, step: int, like: Tensor) -> tuple[Tensor, Tensor] | tuple[float, float]:
        """Instance noise (Sønderby et al. 2017, section 3) for real and generated images in -1..1."""
        sd = self.settings.noise * (1.0 - step / (self.settings.noise_share * self.settings.steps))
        if sd <= 0:
            return 0.0, 0.0
        seeded = torch.Generator().manual_seed(self.settings.seed * 1_000_003 + step)
        noise = torch.randn(2, self.settings.batch, *like.shape[1:], generator=seeded)[:, self._share] * sd
        real, fake = noise.to(self._device, self._dtype)
        return real, fake

    def _shifts(self, step: int) -> tuple[Tensor, Tensor]:
        """By how many pixels each real and each generated image is moved: int64 [n,2] each, rows and columns."""
        seeded = torch.Generator().manual_seed(self.settings.seed * 1_000_003 + step)
        most = self.settings.shift
        drawn = torch.randint(-most, most + 1, (2, self.settings.batch, 2), generator=seeded)[:, self._share]
        return drawn[0], drawn[1]

    def _update(self, network: nn.Module, optimiser: torch.optim.Optimizer, loss: Tensor) -> None:
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self._world.average_gradients(network.parameters())
        optimiser.step()

    @torch.no_grad()
    def _move_average(self) -> None:
        """Weights and batch-norm moments alike; the count of batches is copied."""
        if self.averaged is None:
            return
        now = self.generator.state_dict()
        for name, average in self.averaged.state_dict().items():
            if average.is_floating_point():
                average.lerp_(now[name], 1.0 - self.settings.average)
            else:
                average.copy_(now[name])

    def state(self) -> dict[str, Tensor]:
        """Everything the next step depends on; `generator.*` is what is sampled."""
        sampled = {} if self.averaged is None else network_state("generator", self.averaged)
        return {
            **network_state("generator" if self.averaged is None else "trained_generator", self.generator),
            **sampled,
            **network_state("discriminator", self.discriminator),
            **optimiser_state("generator_optimiser", self._generator_optimiser),
            **optimiser_state("discriminator_optimiser", self._discriminator_optimiser),
        }

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """The inverse of `state`."""
        restore_network("generator" if self.averaged is None else "trained_generator", self.generator, tensors)
        if self.averaged is not None:
            restore_network("generator", self.averaged, tensors)
        restore_network("discriminator", self.discriminator, tensors)
        restore_optimiser("generator_optimiser", self._generator_optimiser, tensors)
        restore_optimiser("discriminator_optimiser", self._discriminator_optimiser, tensors)


def shifted(images: Tensor, by: Tensor) -> Tensor:
    """Images [N,C,H,W] moved by `by` int64 [N,2] pixels (rows, columns), mirrored at the border; differentiable.

    All losses see moved images, real and generated alike, so that the discriminator cannot learn the training images by
    heart and the generator need not learn to move its own: the translation of Zhao et al. (2020), "Differentiable
    augmentation for data-efficient GAN training", who fill with zeros, which here would be a frame of mid-grey.
    """
    if not by.any():
        return images
    rows, columns = (_mirrored(by[:, axis], images.shape[2 + axis]).to(images.device) for axis in (0, 1))
    number = torch.arange(len(images), device=images.device)[:, None, None]
    moved: Tensor = images.movedim(1, -1)[number, rows[:, :, None], columns[:, None, :]].movedim(-1, 1)
    return moved


def _mirrored(by: Tensor, size: int) -> Tensor:
    """int64 [N,size]: where each row (or column) of the moved image comes from."""
    place = (torch.arange(size, device=by.device) - by[:, None]).abs()
    return torch.where(place < size, place, 2 * (size - 1) - place)


def squared_gradient(logits: Tensor, images: Tensor) -> Tensor:
    """Mean over images of |d logits / d image|^2, to be differentiated: R1 is half its weight times this.

    Mescheder, Geiger and Nowozin (2018), "Which training methods for GANs do actually converge?", equation 9; on every
    eighth step or so, with the weight as many times over, as Karras et al. (2020), appendix B. Batch norm lets the
    images of a batch touch, so the gradient is that of the sum of their logits. `logits` [N] of `images` float
    [N,C,H,W], which require a gradient.
    """
    (gradient,) = torch.autograd.grad(logits.sum(), images, create_graph=True)
    squared: Tensor = gradient.to(torch.promote_types(gradient.dtype, torch.float32)).square().sum((1, 2, 3)).mean()
    return squared


def _loss(logits: Tensor, *, real: bool) -> Tensor:
    """Binary cross-entropy of sigmoid(logits) with 1 (real) or 0, in float32 at least."""
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    return softplus(-logits if real else logits).mean()
