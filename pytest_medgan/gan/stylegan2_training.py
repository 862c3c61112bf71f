"""Training of a StyleGAN2: logistic loss, R1 and path length on some steps, adaptive augmentation.

The discriminator is updated first, and the generator on the images that it has just seen. A penalty is added to the
loss of its step, weighted by as many steps as lie between two, where the reference takes an optimiser step of its own
and changes Adam's constants to make up for it. R1 is taken at the augmented images, since the transforms can be
differentiated once only.

References:
    Karras et al. (2020), "Analyzing and Improving the Image Quality of StyleGAN", section 3.2 and appendix B.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from concurrent.futures import ThreadPoolExecutor
from math import sqrt

import torch
from torch import Tensor, nn

from pytest_medgan.gan.adaptive import ADAPT_EVERY, Adaptation, Transforms, seen
from pytest_medgan.gan.adversarial import AdversarialTrainer, Optimisers, check_minibatch_groups, initialise_all
from pytest_medgan.gan.architecture import Networks
from pytest_medgan.gan.batches import training_latents
from pytest_medgan.gan.convolution import without_weights
from pytest_medgan.gan.distributed import World
from pytest_medgan.gan.latents import uniform_by_step
from pytest_medgan.gan.losses import in_float32, logistic_loss, squared_gradient
from pytest_medgan.gan.optimisers import minimise
from pytest_medgan.gan.state import TrainingState
from pytest_medgan.gan.stylegan2 import (
    Noise,
    StyleGAN2Discriminator,
    StyleGAN2Generator,
    initialise,
    truncate,
)
from pytest_medgan.gan.stylegan2_settings import StyleGAN2Config, StyleGAN2Settings
from pytest_medgan.ground.processes import available_cores
from pytest_medgan.records import ImageSet

MEAN_KEPT = 0.998  # of the mean of w, a step
_SECOND_LATENTS, _MIXING = 106, 107  # numbers of independent streams of one seed


class Controls(nn.Module):
    """Hold the numbers that training adapts: the augmentation's probability and the mean path length."""

    path_length: Tensor

    def __init__(self, settings: StyleGAN2Settings) -> None:
        super().__init__()
        self.augmentation = Adaptation(settings.target, settings.batch, settings.adapt_images)
        self.register_buffer("path_length", torch.zeros(()))


class StyleGAN2Trainer(AdversarialTrainer):
    """Hold a StyleGAN2's networks, optimisers and adapted numbers, and update them step by step."""

    title = "StyleGAN2"
    generator: StyleGAN2Generator

    def __init__(
        self,
        config: StyleGAN2Config,
        settings: StyleGAN2Settings,
        images: ImageSet,
        *,
        world: World,
        device: torch.device,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        check_minibatch_groups(world, settings.batch, config.group)
        self.config, self.settings = config, settings
        s = settings
        self._transforms = Transforms(s.shift, s.rotation, s.zoom, s.flip, s.gain)
        self.controls = Controls(settings).to(device, dtype)
        networks = StyleGAN2Generator(config), StyleGAN2Discriminator(config)
        initialise_all(networks, initialise, settings.seed)
        super().__init__(config, settings, images, *networks, world=world, device=device, dtype=dtype)

    def _make_optimisers(self) -> Optimisers:
        """Return new optimisers of both networks."""
        s = self.settings
        return self._adam(s.learning_rate, (s.beta1, s.beta2))

    @property
    def steps(self) -> int:
        """Generator updates."""
        return self.settings.steps

    def mode(self, step: int) -> tuple[Hashable, Hashable]:
        """Return the name of the step's shapes, and within these of its kernels: what it takes and adapts."""
        return "all", (self._penalised(step), self._measures_paths(step), self._adapts(step))

    def _measures_paths(self, step: int) -> bool:
        """Return whether a step takes the path length penalty."""
        return self.settings.path > 0 and step % self.settings.path_every == 0

    def _adapts(self, step: int) -> bool:
        """Return whether a step changes the augmentation's probability."""
        return step % ADAPT_EVERY == ADAPT_EVERY - 1

    def inputs(self, steps: range) -> dict[str, Tensor]:
        """Return rows of real images, two latents for each style, the layer where they change, noise and transforms."""
        s, share, config = self.settings, self._share, self.config
        second = uniform_by_step(s.seed, _MIXING, steps, s.batch, 2)[:, share]
        # with probability `mixing` the layers from 1..layers-1 on take the second latent, otherwise none does
        cuts = (1 + second[..., 1] * (config.layers - 1)).astype("int64")
        cuts[second[..., 0] >= s.mixing] = config.layers
        drawn = {name: both[:, :, share] for name, both in self._transforms.draw(s.seed, steps, s.batch).items()}
        return {
            "rows": self._batches.rows(steps.start * s.batch, len(steps), s.batch, share),
            "latents": training_latents(s.seed, steps, s.batch, config.latent, share),
            "second": training_latents(s.seed, steps, s.batch, config.latent, share, stream=_SECOND_LATENTS),
            "cuts": torch.from_numpy(cuts),
            "noise": self._draw_noise(steps)[:, share],
            **drawn,
        }

    def _draw_noise(self, steps: range) -> Tensor:
        """Return the noise of all layers and of the path length's images, float32 [steps, batch, numbers].

        Each step has a generator of its own, so the steps can be drawn side by side: one thread is slower than a GPU.
        """
        drawn = torch.empty(len(steps), self.settings.batch, self.config.noise + self._image_numbers)

        def draw(row: int) -> None:
            """Fill a row."""
            seeded = torch.Generator().manual_seed(self.settings.seed * 1_000_003 + steps[row])
            drawn[row].normal_(generator=seeded)

        with ThreadPoolExecutor(available_cores()) as pool:
            list(pool.map(draw, range(len(steps))))
        return drawn

    @property
    def _image_numbers(self) -> int:
        """Pixels of an image, over all channels."""
        return self.config.channels * self.config.size**2

    def _split(self, noise: Tensor) -> tuple[Noise, Tensor]:
        """Return the noise of each layer, and that of the path length's images."""
        config = self.config
        layers, images = torch.split(noise, [config.noise, self._image_numbers], 1)
        return self.generator.synthesis.split(layers), images.reshape(-1, config.channels, config.size, config.size)

    def update(self, step: int, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Update both networks with a step's inputs; return the losses, averaged over the processes."""
        penalised, measured = self._penalised(step), self._measures_paths(step)
        chance = self.controls.augmentation.probability
        layers, directions = self._split(inputs["noise"].to(self._dtype))
        with self._autocast():
            styles = self._styles(inputs)
            images = self.generator.synthesis(styles, layers)
            fakes = seen(self._transforms, images, inputs, 1, chance)
            reals = seen(self._transforms, self._reals(inputs["rows"]), inputs, 0, chance)
            reals = reals.detach().requires_grad_(penalised)
            logits = self.discriminator(reals)
            loss = logistic_loss(logits, real=True) + logistic_loss(self.discriminator(fakes.detach()), real=False)
        losses = {"discriminator": loss, "augmentation": chance.clone()}
        if penalised:
            weight = self.settings.penalty / 2 * self.settings.penalty_every
            loss = loss + weight * squared_gradient(logits, reals)
        minimise(loss, self.discriminator, self._discriminator_optimiser, self._world)
        self.controls.augmentation.note(self._world.mean(torch.sign(in_float32(logits)).mean()))
        if self._adapts(step):
            self.controls.augmentation.adapt()

        self.discriminator.requires_grad_(False)
        with self._autocast():
            loss = logistic_loss(self.discriminator(fakes), real=True)
        losses["generator"] = loss
        if measured:
            weight = self.settings.path * self.settings.path_every
            loss = loss + weight * self._path_penalty(images, styles, directions)
        minimise(loss, self.generator, self._generator_optimiser, self._world)
        self.discriminator.requires_grad_(True)
        if self._average is not None:
            self._average.update()
        return self._means(losses)

    def _styles(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """Return one style for each layer, [N,layers,style], mixed of two latents; follow the mean of w."""
        first, second = (self.generator.mapping(inputs[name].to(self._dtype)) for name in ("latents", "second"))
        with torch.no_grad():
            mean = self.generator.mapping.mean
            mean.lerp_(self._world.mean(first.to(mean.dtype).mean(0)), 1 - MEAN_KEPT)
        layer = torch.arange(self.config.layers, device=first.device)
        takes_first = (layer < inputs["cuts"][:, None])[:, :, None]
        return torch.where(takes_first, first[:, None], second[:, None])

    def _path_penalty(self, images: Tensor, styles: Tensor, directions: Tensor) -> Tensor:
        """Return the mean of (|J^T y| - a)^2: J of the images by the styles, y random images, a the mean so far."""
        lengths = path_lengths(images, styles, directions)
        mean = self.controls.path_length
        with torch.no_grad():
            mean.lerp_(self._world.mean(lengths.mean()).to(mean.dtype), self.settings.path_decay)
        return (lengths - mean).square().mean()

    def _state(self) -> TrainingState:
        """Return the networks, the adapted numbers and the optimisers as checkpoints name them."""
        state = super()._state()
        return TrainingState({**state.networks, "controls": self.controls}, state.optimisers)


def path_lengths(images: Tensor, styles: Tensor, directions: Tensor) -> Tensor:
    """Return |J^T y| of each image, to be differentiated: the root mean square over layers of the gradient's norm.

    Args:
        images: float [N,C,H,W].
        styles: [N,layers,style], which the images were drawn from.
        directions: y, [N,C,H,W], standard normal; they are divided by the root of the number of pixels.
    """
    projected = (images * directions / sqrt(images.shape[2] * images.shape[3])).sum()
    with without_weights():
        (gradient,) = torch.autograd.grad(projected, styles, create_graph=True)
    return in_float32(gradient).square().sum(2).mean(1).sqrt()


def _noise(config: StyleGAN2Config) -> int:
    """Return how many random numbers the layers add to an image."""
    return config.noise


NETWORKS = Networks(StyleGAN2Generator, StyleGAN2Trainer, truncate=truncate, noise=_noise)
