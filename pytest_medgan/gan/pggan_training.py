"""PGGAN's training (Karras et al. 2018, appendix A; tkarras/progressive_growing_of_gans): WGAN-GP on growing images.

At each resolution beyond 4x4 the new layers fade in, real images fading with them, and then train on; the optimisers
start afresh when a fade begins and when it ends. One discriminator step a generator step. What is sampled is the moving
average of the generator.

The paper's loss differentiates a gradient on every step and wants float32. `loss="logistic"` with a lazy R1 penalty
(Karras et al. 2020, "Analyzing and Improving the Image Quality of StyleGAN", appendix B) costs half and bears bfloat16.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from copy import deepcopy
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, softplus

from pytest_medgan.errors import SettingsError
from pytest_medgan.gan.augmentation import Augmentation
from pytest_medgan.gan.batches import Batches, mixing_weights, training_latents
from pytest_medgan.gan.distributed import World
from pytest_medgan.gan.optimisers import MovingAverage, adam
from pytest_medgan.gan.penalties import gradient_penalty, squared_gradient
from pytest_medgan.gan.pggan import PGGANConfig, PGGANDiscriminator, PGGANGenerator, fade, initialise, mixes, upsample
from pytest_medgan.gan.sampling import from_grey
from pytest_medgan.gan.state import network_state, optimiser_state, restore_network, restore_optimiser
from pytest_medgan.records import ImageSet

Stage = tuple[int, float | Tensor]  # resolution and fade


@dataclass(frozen=True)
class PGGANSettings:
    """How a PGGAN is trained; with the configuration and the images it determines the weights."""

    fading: int = 800_000  # real images shown while a resolution fades in
    stable: int = 800_000  # real images shown at a resolution thereafter (preset-v1-1gpu, which fits batch 16)
    stables: tuple[tuple[int, int], ...] = ()  # (resolution, stable) where it differs, as ((128, 2_000_000),)
    batch: int = 16  # images a step, over all processes
    batches: tuple[tuple[int, int], ...] = ()  # (resolution, batch) where it differs, as ((4, 128), (8, 128))
    learning_rate: float = 1e-3
    beta1: float = 0.0
    beta2: float = 0.99
    epsilon: float = 1e-8
    loss: str = "wgan-gp"  # or "logistic", with R1
    penalty: float = (
        10.0  # weight of the loss's penalty: on the gradient's norm (wgan-gp), or R1 at full size (logistic)
    )
    penalty_every: int = 1  # steps; R1's weight then counts as often over
    target: float = 1.0  # the gradient norm that wgan-gp pulls towards
    drift: float = 1e-3  # weight of the squared score of real images, of wgan-gp
    average: float = 0.999  # of the generator, kept a step
    shift: int = 0  # what the discriminator sees is moved by so many pixels at most; this and the next three
    brightness: float = 0.0  # are those of augmentation.Augmentation, at the full resolution alone, and none of them
    contrast: float = 0.0  # was published
    cutout: float = 0.0
    precision: str = "float32"  # or "bfloat16": autocast of the forward passes, of the logistic loss
    seed: int = 0

    def __post_init__(self) -> None:
        if self.fading < 0 or self.stable < 1 or self.learning_rate <= 0 or self.seed < 0:
            raise SettingsError("images fading and the seed must not be negative, stable and the learning rate above 0")
        if min(self.batch, *(batch for _, batch in self.batches), 1) < 1:
            raise SettingsError("every batch must be at least 1")
        if min((stable for _, stable in self.stables), default=1) < 1:
            raise SettingsError("A PGGAN's stables hold a number below 1. Give each resolution 1 image or more.")
        if not 0 <= self.average < 1:
            raise SettingsError(f"average {self.average} must lie between 0 and 1")
        if self.loss not in ("wgan-gp", "logistic") or self.precision not in ("float32", "bfloat16"):
            raise SettingsError("A PGGAN's loss or precision is unknown. Use wgan-gp or logistic, float32 or bfloat16.")
        if self.loss == "wgan-gp" and (self.penalty_every != 1 or self.precision != "float32"):
            raise SettingsError("A PGGAN's wgan-gp loss takes float32 and a penalty on every step. Use loss logistic.")
        if self.penalty < 0 or self.penalty_every < 1:
            raise SettingsError("penalty must not be negative, penalty_every at least 1")
        _ = self.augmentation  # checks its ranges

    @property
    def augmentation(self) -> Augmentation:
        """How what the discriminator sees is changed at the full resolution."""
        return Augmentation(self.shift, self.brightness, self.contrast, self.cutout)

    def batch_at(self, resolution: int) -> int:
        """Images a step at a resolution, over all processes."""
        return dict(self.batches).get(resolution, self.batch)

    def stable_at(self, resolution: int) -> int:
        """Real images shown at a resolution after its fade."""
        return dict(self.stables).get(resolution, self.stable)


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
        for fading, images in ((True, settings.fading), (False, settings.stable_at(resolution))):
            steps = -(-images // batch)
            if steps == 0 or (fading and resolution == config.resolutions[0]):
                continue
            phases.append(Phase(resolution, fading, step, steps, batch, image))
            step, image = step + steps, image + steps * batch
    return tuple(phases)


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
        self.config, self.settings, self._world, self.device, self._dtype = config, settings, world, device, dtype
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
        self._average = MovingAverage(self.averaged, self.generator, settings.average)
        self._reset_optimisers()

    def _reset_optimisers(self) -> None:
        s = self.settings
        self._generator_optimiser, self._discriminator_optimiser = (
            adam(network, s.learning_rate, (s.beta1, s.beta2), s.epsilon)
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

    def mode(self, step: int) -> tuple[Hashable, Hashable]:
        """Return what names the step's shapes, its phase, and within it the kernels: whether R1 is taken."""
        return self.phase(step), self._penalised(step)

    def _penalised(self, step: int) -> bool:
        """Return whether a step takes the gradient penalty."""
        return self.settings.penalty > 0 and step % self.settings.penalty_every == 0

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
            self._reset_optimisers()
        alpha = inputs["alpha"].to(self._dtype) if phase.fading else 1.0
        reals = self._shrink(self._batches.images(inputs["rows"]), phase.resolution, alpha)
        autocast = torch.autocast(self.device.type, torch.bfloat16, enabled=self.settings.precision == "bfloat16")
        augmentation = self._augmentation_at(phase)
        stage = (phase.resolution, alpha)
        with autocast:
            fakes = augmentation.apply(self.generator(inputs["latents"].to(self._dtype), *stage), inputs, 1)
            reals = augmentation.apply(reals, inputs, 0)
            losses = (self._wasserstein if self.settings.loss == "wgan-gp" else self._logistic)(
                step, reals, fakes.detach(), inputs, stage
            )
        self._update(self.discriminator, self._discriminator_optimiser, losses["discriminator"])

        self.discriminator.requires_grad_(False)
        with autocast:
            scores = self.discriminator(fakes, *stage)
            loss_generator = -scores.mean() if self.settings.loss == "wgan-gp" else softplus(-_wide(scores)).mean()
        self._update(self.generator, self._generator_optimiser, loss_generator)
        self.discriminator.requires_grad_(True)
        self._average.update()
        losses["generator"] = loss_generator
        return {name: self._world.mean(loss.detach()) for name, loss in losses.items()}

    def _wasserstein(
        self, step: int, reals: Tensor, fakes: Tensor, inputs: Mapping[str, Tensor], stage: Stage
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
        self, step: int, reals: Tensor, fakes: Tensor, inputs: Mapping[str, Tensor], stage: Stage
    ) -> dict[str, Tensor]:
        """Return the discriminator's logistic loss with R1, whose weight falls with the number of pixels.

        A pixel of half the resolution has four times the gradient, and there are a quarter of them: their squares add
        up to four times as much for the same change of the image.
        """
        s = self.settings
        penalised = self._penalised(step)
        reals = reals.detach().requires_grad_(penalised)
        scores_real, scores_fake = self.discriminator(reals, *stage), self.discriminator(fakes, *stage)
        distance = _wide(scores_real).mean() - _wide(scores_fake).mean()
        loss = softplus(-_wide(scores_real)).mean() + softplus(_wide(scores_fake)).mean()
        if penalised:
            weight = s.penalty / 2 * s.penalty_every * (stage[0] / self.config.size) ** 2
            loss = loss + weight * squared_gradient(scores_real, reals)
        return {"discriminator": loss, "distance": distance}

    def _shrink(self, pixels: Tensor, resolution: int, alpha: float | Tensor) -> Tensor:
        """uint8 at full size -> float -1..1 at `resolution`, faded from half of it as the networks are."""
        images = from_grey(pixels).to(self._dtype)
        images = avg_pool2d(images, self.config.size // resolution)
        return fade(upsample(avg_pool2d(images, 2)), images, alpha) if mixes(alpha) else images

    def _update(self, network: nn.Module, optimiser: torch.optim.Optimizer, loss: Tensor) -> None:
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self._world.average_gradients(network.parameters())
        optimiser.step()

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


def _wide(scores: Tensor) -> Tensor:
    """Return scores in float32 at least."""
    return scores.to(torch.promote_types(scores.dtype, torch.float32))
