"""One step of DCGAN's training: binary cross-entropy on logits, Adam, the discriminator first.

As pytorch/examples dcgan/main.py: real and generated images pass the discriminator apart, so that each has batch-norm
moments of its own, and the generator is updated on the images the discriminator has just seen.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from copy import deepcopy
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from pytest_medgan.errors import SettingsError
from pytest_medgan.gan.augmentation import Augmentation
from pytest_medgan.gan.batches import Batches, training_latents
from pytest_medgan.gan.dcgan import DCGANConfig, DCGANDiscriminator, DCGANGenerator, initialise
from pytest_medgan.gan.distributed import World, share_batch_norm
from pytest_medgan.gan.optimisers import MovingAverage, adam
from pytest_medgan.gan.penalties import squared_gradient
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
    shift: int = 0  # what the discriminator sees is moved by so many pixels at most; this and the next three
    brightness: float = 0.0  # are those of augmentation.Augmentation, and none of them was published
    contrast: float = 0.0
    cutout: float = 0.0
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
        if self.penalty < 0 or self.penalty_every < 1:
            raise SettingsError("penalty must not be negative, penalty_every at least 1")
        if self.precision not in ("float32", "bfloat16"):
            raise SettingsError(f"precision {self.precision!r} must be float32 or bfloat16")
        _ = self.augmentation  # checks its ranges

    @property
    def augmentation(self) -> Augmentation:
        """How what the discriminator sees is changed."""
        return Augmentation(self.shift, self.brightness, self.contrast, self.cutout)


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
        self.config, self.settings, self._world, self.device, self._dtype = config, settings, world, device, dtype
        self._augmentation = settings.augmentation
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
        self._average = (
            None if self.averaged is None else MovingAverage(self.averaged, self.generator, settings.average)
        )
        betas = (settings.beta1, settings.beta2)
        self._generator_optimiser = adam(self.generator, settings.learning_rate, betas)
        self._discriminator_optimiser = adam(
            self.discriminator, settings.discriminator_learning_rate or settings.learning_rate, betas
        )

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

    def mode(self, step: int) -> tuple[Hashable, Hashable]:
        """Return what names the step's shapes, and within these its kernels: whether it takes the penalty."""
        return "all", self._penalised(step)

    def _penalised(self, step: int) -> bool:
        """Return whether a step takes the gradient penalty."""
        return self.settings.penalty > 0 and step % self.settings.penalty_every == 0

    def inputs(self, steps: range) -> dict[str, Tensor]:
        """Return rows of real images, latents, and the numbers of noise and augmentation of some steps."""
        s, share = self.settings, self._share
        drawn = self._augmentation.draw(s.seed, steps, s.batch)
        if s.noise:
            drawn["noise"] = torch.stack([self._noise(step) for step in steps])
        return {
            "rows": self._batches.rows(steps.start * s.batch, len(steps), s.batch, share),
            "latents": training_latents(s.seed, steps, s.batch, self.config.latent, share),
            **{name: both[:, :, share] for name, both in drawn.items()},
        }

    def update(self, step: int, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Update both networks with a step's inputs; return the losses, averaged over the processes."""
        reals = from_grey(self._batches.images(inputs["rows"])).to(self._dtype)
        autocast = torch.autocast(self.device.type, torch.bfloat16, enabled=self.settings.precision == "bfloat16")
        penalised = self._penalised(step)
        with autocast:
            fakes = self._shown(self.generator(inputs["latents"].to(self._dtype)), inputs, side=1)
            shown = self._shown(reals, inputs, side=0).requires_grad_(penalised)
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
        if self._average is not None:
            self._average.update()
        return {
            "discriminator": self._world.mean(loss_real + loss_fake),
            "generator": self._world.mean(loss_generator),
        }

    def _shown(self, images: Tensor, inputs: Mapping[str, Tensor], *, side: int) -> Tensor:
        """Return what the discriminator sees of real (side 0) or generated images (side 1)."""
        images = self._augmentation.apply(images, inputs, side)
        return images + inputs["noise"][side].to(self._dtype) if "noise" in inputs else images

    def _noise(self, step: int) -> Tensor:
        """Return instance noise (Sønderby et al. 2017, section 3), float32 [2,batch,C,H,W]."""
        s, config = self.settings, self.config
        sd = max(0.0, s.noise * (1.0 - step / (s.noise_share * s.steps)))
        seeded = torch.Generator().manual_seed(s.seed * 1_000_003 + step)
        return torch.randn(2, s.batch, config.channels, config.size, config.size, generator=seeded) * sd

    def _update(self, network: nn.Module, optimiser: torch.optim.Optimizer, loss: Tensor) -> None:
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self._world.average_gradients(network.parameters())
        optimiser.step()

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


def _loss(logits: Tensor, *, real: bool) -> Tensor:
    """Binary cross-entropy of sigmoid(logits) with 1 (real) or 0, in float32 at least."""
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    return softplus(-logits if real else logits).mean()
