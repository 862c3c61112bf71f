"""Training of a BigGAN: hinge loss, two learning rates, one or more discriminator updates for each of the generator.

Real and generated images pass the discriminator as one batch, so that its spectral norms follow one power iteration a
step. The moving average holds the generator's parameters, and its batch norms' means and variances and its singular
vectors as well, as they are in training. With classes, labels are those of the images, and classes are drawn with their
shares of the training set.

References:
    Brock et al. (2019), "Large Scale GAN Training for High Fidelity Natural Image Synthesis", appendix C.
    Heusel et al. (2017), "GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash Equilibrium".
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from pytest_medgan.errors import TrainingError
from pytest_medgan.gan.adversarial import AdversarialTrainer, Optimisers, initialise_all
from pytest_medgan.gan.architecture import Networks
from pytest_medgan.gan.augmentation import check_shift
from pytest_medgan.gan.batches import training_latents
from pytest_medgan.gan.biggan import BigGANDiscriminator, BigGANGenerator, choose, initialise
from pytest_medgan.gan.biggan_settings import BigGANConfig, BigGANSettings
from pytest_medgan.gan.distributed import World
from pytest_medgan.gan.losses import hinge_loss, in_float32, squared_gradient
from pytest_medgan.gan.optimisers import minimise
from pytest_medgan.records import ImageSet

LABELS = 128  # labels of image sets are int8


class BigGANTrainer(AdversarialTrainer):
    """Hold a BigGAN's networks and optimisers, and update them step by step."""

    title = "BigGAN"
    generator: BigGANGenerator

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
        check_shift(settings.shift, config.size)
        self.config, self.settings, self._augmentation = config, settings, settings.augmentation
        networks = BigGANGenerator(config), BigGANDiscriminator(config)
        initialise_all(networks, initialise, settings.seed)
        self._labels: Tensor | None = None
        self._counts = torch.ones(1)  # images of each class
        if networks[0].classes is not None:
            labels = _checked_labels(images, config.classes)
            counts = torch.bincount(labels, minlength=config.classes)
            networks[0].classes.bounds.copy_((counts.cumsum(0) / len(labels))[:-1])
            self._labels, self._counts = labels.to(device), counts
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

        Raises:
            TrainingError: The run begins, and a class has no image; a run that was begun so goes on.
        """
        if steps.start == 0:
            _check_classes(self._counts)
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
                self._update_discriminator(inputs["rows"][turn], drawn[turn], self._penalised(step))
                for turn in range(turns)
            ]
        ).mean()
        self.discriminator.requires_grad_(False)
        with self._autocast():
            fakes, classes = self._fakes(drawn[-1])
            loss_generator = -in_float32(self.discriminator(fakes, classes)).mean()
        minimise(loss_generator, self.generator, self._generator_optimiser, self._world)
        self.discriminator.requires_grad_(True)
        if self._average is not None:
            self._average.update()
        return self._means({"discriminator": loss, "generator": loss_generator})

    def _update_discriminator(self, rows: Tensor, drawn: Mapping[str, Tensor], penalised: bool) -> Tensor:
        """Update the discriminator once; return its hinge loss."""
        with self._autocast():
            with torch.no_grad():
                fakes, classes = self._fakes(drawn)
            reals = self._augmentation.apply(self._reals(rows), drawn, 0).requires_grad_(penalised)
            labels = None if self._labels is None or classes is None else torch.cat([self._labels[rows], classes])
            logits_real, logits_fake = self.discriminator(torch.cat([reals, fakes.to(reals.dtype)]), labels).chunk(2)
            loss = hinge_loss(logits_real, real=True) + hinge_loss(logits_fake, real=False)
        total = loss
        if penalised:
            weight = self.settings.penalty / 2 * self.settings.penalty_every
            total = loss + weight * squared_gradient(logits_real, reals)
        minimise(total, self.discriminator, self._discriminator_optimiser, self._world)
        return loss.detach()

    def _fakes(self, drawn: Mapping[str, Tensor]) -> tuple[Tensor, Tensor | None]:
        """Return generated images as the discriminator sees them, and their classes where there are any."""
        z = drawn["latents"].to(self._dtype)
        classes = None if self.generator.classes is None else self.generator.classes.draw(z)
        return self._augmentation.apply(self.generator(z), drawn, 1), classes


def _checked_labels(images: ImageSet, classes: int) -> Tensor:
    """Return the labels of images, int64 [N], on the CPU.

    Raises:
        TrainingError: An image has no label, or one that is no class.
    """
    found = images.labels
    if found is None or found.size == 0 or found.min() < 0 or found.max() >= classes:
        raise TrainingError(
            f"The training images do not all have a label that is a whole number of 0 to {min(classes, LABELS) - 1}. "
            "Correct the labels, leave out the images without one, or leave --classes out."
        )
    return torch.from_numpy(found.astype("int64"))


def _check_classes(counts: Tensor) -> None:
    """Raise TrainingError where a class has no image and would be drawn by weights that were never trained."""
    missing = np.flatnonzero(counts.numpy() == 0)
    if len(missing):
        more = f" and {len(missing) - 1} more" if missing[1:].size else ""
        raise TrainingError(
            f"The training images hold none of class {missing[0]}{more}. Number the classes that they hold from 0 and "
            "correct --classes, or train on more images than --limit leaves."
        )


NETWORKS = Networks(BigGANGenerator, BigGANTrainer, choose=choose)
