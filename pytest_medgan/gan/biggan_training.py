"""Training of a BigGAN: hinge loss, two learning rates, one or more discriminator updates for each of the generator.

Real and generated images pass the discriminator as one batch, so that its spectral norms follow one power iteration a
step. The moving average holds the generator's parameters, and its batch norms' means and variances and its singular
vectors as well, as they are in training.

References:
    Brock et al. (2019), "Large Scale GAN Training for High Fidelity Natural Image Synthesis", appendix C.
    Heusel et al. (2017), "GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash Equilibrium".
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from pytest_medgan.errors import SettingsError
from pytest_medgan.gan.adversarial import AdversarialTrainer, Optimisers, initialise_all
from pytest_medgan.gan.architecture import Networks
from pytest_medgan.gan.batches import training_latents
from pytest_medgan.gan.biggan import BigGANDiscriminator, BigGANGenerator, initialise
from pytest_medgan.gan.biggan_settings import BigGANConfig, BigGANSettings
from pytest_medgan.gan.distributed import World
from pytest_medgan.gan.losses import hinge_loss, in_float32, squared_gradient
from pytest_medgan.gan.optimisers import minimise
from pytest_medgan.records import ImageSet


class BigGANTrainer(AdversarialTrainer):
    """Hold a BigGAN's networks and optimisers, and update them step by step."""

    title = "BigGAN"

    def __init__(
        self,
        config: BigGANConfig,
        settings: BigGANSettings,
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
        self.config, self.settings, self._augmentation = config, settings, settings.augmentation
        networks = BigGANGenerator(config), BigGANDiscriminator(config)
        initialise_all(networks, initialise, settings.seed)
        super().__init__(config, settings, images, *networks, world=world, device=device, dtype=dtype)

    def _make_optimisers(self) -> Optimisers:
        """Return new optimisers of both networks."""
        s = self.settings
        return self._adam(
            s.learning_rate,
            (s.beta1, s.beta2),
            discriminator_rate=s.discriminator_learning_rate,
            epsilon=s.epsilon,
        )

    @property
    def steps(self) -> int:
        """Generator updates."""
        return self.settings.steps

    def images_seen(self, step: int) -> int:
        """Return how many real images were shown before `step`."""
        return step * self.settings.batch * self.settings.discriminator_steps

    def inputs(self, steps: range) -> dict[str, Tensor]:
        """Return rows of real images, latents and the augmentation's numbers, [steps, updates, ...].

        The updates are those of the discriminator and, for all but the rows, that of the generator behind them.
        """
        s, share, turns = self.settings, self._share, self.settings.discriminator_steps
        updates = range(steps.start * (turns + 1), steps.stop * (turns + 1))
        rows = self._batches.rows(steps.start * turns * s.batch, len(steps) * turns, s.batch, share)
        latents = training_latents(s.seed, updates, s.batch, self.config.latent, share)
        drawn = {name: both[:, :, share] for name, both in self._augmentation.draw(s.seed, updates, s.batch).items()}
        return {
            "rows": rows.reshape(len(steps), turns, -1),
            **{n: of.reshape(len(steps), turns + 1, *of.shape[1:]) for n, of in {"latents": latents, **drawn}.items()},
        }

    def update(self, step: int, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Update both networks with a step's inputs; return the losses, averaged over the processes."""
        turns = self.settings.discriminator_steps
        drawn = [{name: of[turn] for name, of in inputs.items() if name != "rows"} for turn in range(turns + 1)]
        loss = torch.stack(
            [
                self._update_discriminator(self._reals(inputs["rows"][turn]), drawn[turn], self._penalised(step))
                for turn in range(turns)
            ]
        ).mean()
        self.discriminator.requires_grad_(False)
        with self._autocast():
            loss_generator = -in_float32(self.discriminator(self._fakes(drawn[-1]))).mean()
        minimise(loss_generator, self.generator, self._generator_optimiser, self._world)
        self.discriminator.requires_grad_(True)
        if self._average is not None:
            self._average.update()
        return self._means({"discriminator": loss, "generator": loss_generator})

    def _update_discriminator(self, reals: Tensor, drawn: Mapping[str, Tensor], penalised: bool) -> Tensor:
        """Update the discriminator once; return its hinge loss."""
        with self._autocast():
            with torch.no_grad():
                fakes = self._fakes(drawn)
            reals = self._augmentation.apply(reals, drawn, 0).requires_grad_(penalised)
            logits_real, logits_fake = self.discriminator(torch.cat([reals, fakes.to(reals.dtype)])).chunk(2)
            loss = hinge_loss(logits_real, real=True) + hinge_loss(logits_fake, real=False)
        total = loss
        if penalised:
            weight = self.settings.penalty / 2 * self.settings.penalty_every
            total = loss + weight * squared_gradient(logits_real, reals)
        minimise(total, self.discriminator, self._discriminator_optimiser, self._world)
        return loss.detach()

    def _fakes(self, drawn: Mapping[str, Tensor]) -> Tensor:
        """Return generated images as the discriminator sees them."""
        return self._augmentation.apply(self.generator(drawn["latents"].to(self._dtype)), drawn, 1)


NETWORKS = Networks(BigGANGenerator, BigGANTrainer)
