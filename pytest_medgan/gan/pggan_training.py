"""Training of a PGGAN (Karras et al. 2018, appendix A; tkarras/progressive_growing_of_gans) on growing images.

At each resolution beyond 4x4 the new layers fade in, real images fading with them, and then train on. The optimisers
start anew when a fade begins and when it ends. There is one discriminator step for each generator step. The moving
average of the generator is what is sampled.

The published loss, WGAN-GP, differentiates a gradient on every step and needs float32. `loss="logistic"` with the R1
penalty on some steps (Karras et al. 2020, "Analyzing and Improving the Image Quality of StyleGAN", appendix B) takes
half the time and works in bfloat16.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping

import torch
from torch import Tensor

from pytest_medgan.gan.adversarial import AdversarialTrainer, Optimisers, check_minibatch_groups, initialise_all
from pytest_medgan.gan.architecture import Networks
from pytest_medgan.gan.augmentation import Augmentation
from pytest_medgan.gan.batches import mixing_weights, training_latents
from pytest_medgan.gan.convolution import average_pool
from pytest_medgan.gan.distributed import World
from pytest_medgan.gan.grey import from_grey
from pytest_medgan.gan.losses import gradient_penalty, in_float32, logistic_loss, squared_gradient
from pytest_medgan.gan.optimisers import minimise
from pytest_medgan.gan.pggan import PGGANDiscriminator, PGGANGenerator, at_stage, fade, initialise, mixes, upsample
from pytest_medgan.gan.pggan_settings import PGGANConfig, PGGANSettings, Phase, schedule
from pytest_medgan.records import ImageSet

StepStage = tuple[int, float | Tensor]  # resolution and fade of a step


class PGGANTrainer(AdversarialTrainer):
    """Hold a PGGAN's networks and optimisers, and update them step by step."""

    title = "PGGAN"

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
        self.config, self.settings = config, settings
        self.phases = schedule(config, settings)
        for phase in self.phases:
            check_minibatch_groups(world, phase.batch, config.group)
        networks = PGGANGenerator(config), PGGANDiscriminator(config)
        initialise_all(networks, initialise, settings.seed)
        super().__init__(config, settings, images, *networks, world=world, device=device, dtype=dtype)

    def _make_optimisers(self) -> Optimisers:
        """Return new optimisers of both networks."""
        s = self.settings
        return self._adam(s.learning_rate, (s.beta1, s.beta2), epsilon=s.epsilon)

    @property
    def steps(self) -> int:
        """Generator updates in all."""
        return self.phases[-1].first_step + self.phases[-1].steps

    def phase(self, step: int) -> Phase:
        """Return the phase of update number `step` (from 0); the last phase for steps after the end."""
        return next((p for p in self.phases if step < p.first_step + p.steps), self.phases[-1])

    def images_seen(self, step: int) -> int:
        """Return how many real images were shown before `step`."""
        return self.phase(step).seen(step)

    def stage(self, step: int) -> tuple[int, float]:
        """Return resolution and fade of the generator after `step` updates."""
        phase = self.phase(max(step - 1, 0))
        return phase.resolution, phase.alpha(max(step - 1, 0))

    def mode(self, step: int) -> tuple[Hashable, Hashable]:
        """Return the name of the step's shapes, its phase, and within it of its kernels: whether R1 is taken."""
        return self.phase(step), self._penalised(step)

    def inputs(self, steps: range) -> dict[str, Tensor]:
        """Return rows of real images, latents and fades of some steps of a phase, and what loss and changes draw."""
        s, phase = self.settings, self.phase(steps.start)
        share = self._world.share(phase.batch)
        drawn = {
            "rows": self._batches.rows(phase.seen(steps.start), len(steps), phase.batch, share),
            "latents": training_latents(s.seed, steps, phase.batch, self.config.latent, share),
        }
        if phase.fading:
            drawn["alpha"] = torch.tensor([phase.alpha(step) for step in steps], dtype=torch.float64)
        if s.loss == "wgan-gp":
            drawn["mixing"] = mixing_weights(s.seed, steps, phase.batch, share)
        for name, both in self._augmentation_at(phase).draw(s.seed, steps, phase.batch).items():
            drawn[name] = both[:, :, share]
        return drawn

    def _augmentation_at(self, phase: Phase) -> Augmentation:
        """Return the changes of a phase: small images are not changed, as a pixel is large there."""
        return self.settings.augmentation if phase.resolution == self.config.size else Augmentation()

    def update(self, step: int, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Update both networks with a step's inputs; return the losses, averaged over the processes."""
        phase = self.phase(step)
        if step == phase.first_step and step:
            self._generator_optimiser, self._discriminator_optimiser = self._make_optimisers()
        alpha = inputs["alpha"].to(self._dtype) if phase.fading else 1.0
        reals = self._shrink(self._batches.images(inputs["rows"]), phase.resolution, alpha)
        autocast = self._autocast()
        augmentation = self._augmentation_at(phase)
        stage = (phase.resolution, alpha)
        with autocast:
            fakes = augmentation.apply(self.generator(inputs["latents"].to(self._dtype), *stage), inputs, 1)
            reals = augmentation.apply(reals, inputs, 0)
            losses = (self._wasserstein if self.settings.loss == "wgan-gp" else self._logistic)(
                step, reals, fakes.detach(), inputs, stage
            )
        minimise(losses["discriminator"], self.discriminator, self._discriminator_optimiser, self._world)

        self.discriminator.requires_grad_(False)
        with autocast:
            scores = self.discriminator(fakes, *stage)
            wasserstein = self.settings.loss == "wgan-gp"
            loss_generator = -scores.mean() if wasserstein else logistic_loss(scores, real=True)
        minimise(loss_generator, self.generator, self._generator_optimiser, self._world)
        self.discriminator.requires_grad_(True)
        if self._average is not None:
            self._average.update()
        return self._means({**losses, "generator": loss_generator})

    def _wasserstein(
        self, step: int, reals: Tensor, fakes: Tensor, inputs: Mapping[str, Tensor], stage: StepStage
    ) -> dict[str, Tensor]:
        """Return the discriminator's WGAN-GP loss and its parts."""
        s = self.settings
        scores_real, scores_fake = self.discriminator(reals, *stage), self.discriminator(fakes, *stage)
        mixed = torch.lerp(reals, fakes, inputs["mixing"].to(self._dtype)[:, None, None, None])
        penalty = gradient_penalty(self.discriminator, mixed, *stage, target=s.target)
        distance = scores_real.mean() - scores_fake.mean()
        loss = s.penalty / s.target**2 * penalty + s.drift * scores_real.square().mean() - distance
        return {"discriminator": loss, "distance": distance, "penalty": penalty}

    def _logistic(
        self, step: int, reals: Tensor, fakes: Tensor, inputs: Mapping[str, Tensor], stage: StepStage
    ) -> dict[str, Tensor]:
        """Return the discriminator's logistic loss with R1, whose weight falls with the number of pixels.

        A pixel of half the resolution has four times the gradient, and there are a quarter of them: their squares add
        up to four times as much for the same change of the image.
        """
        s = self.settings
        penalised = self._penalised(step)
        reals = reals.detach().requires_grad_(penalised)
        scores_real, scores_fake = self.discriminator(reals, *stage), self.discriminator(fakes, *stage)
        distance = in_float32(scores_real).mean() - in_float32(scores_fake).mean()
        loss = logistic_loss(scores_real, real=True) + logistic_loss(scores_fake, real=False)
        if penalised:
            weight = s.penalty / 2 * s.penalty_every * (stage[0] / self.config.size) ** 2
            loss = loss + weight * squared_gradient(scores_real, reals)
        return {"discriminator": loss, "distance": distance}

    def _shrink(self, pixels: Tensor, resolution: int, alpha: float | Tensor) -> Tensor:
        """Return uint8 images of the full size as float -1..1 at `resolution`, faded as the networks are."""
        images = average_pool(from_grey(pixels).to(self._dtype), self.config.size // resolution)
        return fade(upsample(average_pool(images, 2)), images, alpha) if mixes(alpha) else images


NETWORKS = Networks(PGGANGenerator, PGGANTrainer, at_stage)
