"""Training of a DCGAN: binary cross-entropy on logits, Adam, the discriminator first.

As in pytorch/examples dcgan/main.py, real and generated images pass the discriminator separately, so that each have
batch-norm moments of their own, and the generator is updated on the images that the discriminator has just seen.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from copy import deepcopy

import numpy as np
import torch
from torch import Tensor

from pytest_medgan.errors import SettingsError
from pytest_medgan.gan.architecture import Networks
from pytest_medgan.gan.batches import Batches, training_latents
from pytest_medgan.gan.dcgan import DCGANDiscriminator, DCGANGenerator, initialise
from pytest_medgan.gan.dcgan_settings import DCGANConfig, DCGANSettings
from pytest_medgan.gan.distributed import World, share_batch_norm
from pytest_medgan.gan.grey import from_grey
from pytest_medgan.gan.losses import logistic_loss, squared_gradient
from pytest_medgan.gan.optimisers import MovingAverage, adam, minimise
from pytest_medgan.gan.state import TrainingState
from pytest_medgan.records import ImageSet


class DCGANTrainer:
    """Hold a DCGAN's networks and optimisers, and update them step by step."""

    explodes = 100.0  # a mean loss beyond this is divergence: a logit of 100 with the wrong sign

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
            raise SettingsError(
                f"shift {settings.shift} is not possible for images of {config.size} pixels. Choose less than that."
            )
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
        """Generator updates at most."""
        return self.settings.steps

    def describe(self) -> str:
        """Return what a progress line calls the training."""
        return "training the DCGAN"

    def stage(self, step: int) -> None:
        """Return None: a DCGAN does not grow."""

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
        """Return how many real images were shown before `step`."""
        return step * self.settings.batch

    def mode(self, step: int) -> tuple[Hashable, Hashable]:
        """Return the name of the step's shapes, and within these of its kernels: whether it takes the penalty."""
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
            loss_real = logistic_loss(logits_real, real=True)
            loss_fake = logistic_loss(self.discriminator(fakes.detach()), real=False)
        loss = loss_real + loss_fake
        if penalised:
            weight = self.settings.penalty / 2 * self.settings.penalty_every
            loss = loss + weight * squared_gradient(logits_real, shown)
        minimise(loss, self.discriminator, self._discriminator_optimiser, self._world)

        self.discriminator.requires_grad_(False)
        with autocast:
            loss_generator = logistic_loss(self.discriminator(fakes), real=True)
        minimise(loss_generator, self.generator, self._generator_optimiser, self._world)
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

    def _state(self) -> TrainingState:
        """Return the networks and optimisers as checkpoints name them; `generator` is what is sampled."""
        averaged = {} if self.averaged is None else {"generator": self.averaged}
        return TrainingState(
            {
                "generator" if self.averaged is None else "trained_generator": self.generator,
                **averaged,
                "discriminator": self.discriminator,
            },
            {
                "generator_optimiser": self._generator_optimiser,
                "discriminator_optimiser": self._discriminator_optimiser,
            },
        )

    def state(self) -> dict[str, Tensor]:
        """Return everything the next step depends on; `generator.*` is what is sampled."""
        return self._state().tensors()

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Load what `state` returned."""
        self._state().restore(tensors)


NETWORKS = Networks(DCGANGenerator, DCGANTrainer)
