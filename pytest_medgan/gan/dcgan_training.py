"""Training of a DCGAN: binary cross-entropy on logits, Adam, the discriminator first.

As in pytorch/examples dcgan/main.py, real and generated images pass the discriminator separately, so that each have
batch-norm moments of their own, and the generator is updated on the images that the discriminator has just seen.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from pytest_medgan.gan.adversarial import AdversarialTrainer, Optimisers, initialise_all
from pytest_medgan.gan.architecture import Networks
from pytest_medgan.gan.augmentation import check_shift
from pytest_medgan.gan.batches import training_latents
from pytest_medgan.gan.dcgan import DCGANDiscriminator, DCGANGenerator, initialise
from pytest_medgan.gan.dcgan_settings import DCGANConfig, DCGANSettings
from pytest_medgan.gan.distributed import World
from pytest_medgan.gan.losses import logistic_loss, squared_gradient
from pytest_medgan.gan.optimisers import minimise
from pytest_medgan.records import ImageSet


class DCGANTrainer(AdversarialTrainer):
    """Hold a DCGAN's networks and optimisers, and update them step by step."""

    title = "DCGAN"
    explodes = 100.0  # a logit of 100 with the wrong sign

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
        check_shift(settings.shift, config.size)
        self.config, self.settings, self._augmentation = config, settings, settings.augmentation
        networks = DCGANGenerator(config), DCGANDiscriminator(config)
        initialise_all(networks, initialise, settings.seed)
        super().__init__(config, settings, images, *networks, world=world, device=device, dtype=dtype)

    def _make_optimisers(self) -> Optimisers:
        """Return new optimisers of both networks."""
        s = self.settings
        return self._adam(s.learning_rate, (s.beta1, s.beta2), discriminator_rate=s.discriminator_learning_rate)

    @property
    def steps(self) -> int:
        """Generator updates at most."""
        return self.settings.steps

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
        reals = self._reals(inputs["rows"])
        autocast = self._autocast()
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
        return self._means({"discriminator": loss_real + loss_fake, "generator": loss_generator})

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


NETWORKS = Networks(DCGANGenerator, DCGANTrainer)
