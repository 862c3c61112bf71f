"""What the trainers of all architectures share: two networks, their optimisers, the moving average and the state."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterable, Mapping
from copy import deepcopy
from typing import ClassVar, Protocol

import torch
from torch import Tensor, nn

from pytest_medgan.errors import SettingsError
from pytest_medgan.gan.architecture import NetworkConfig, Stage
from pytest_medgan.gan.batches import Batches
from pytest_medgan.gan.distributed import World, share_batch_norm
from pytest_medgan.gan.grey import from_grey
from pytest_medgan.gan.optimisers import MovingAverage, adam
from pytest_medgan.gan.state import TrainingState
from pytest_medgan.records import ImageSet

Optimisers = tuple[torch.optim.Adam, torch.optim.Adam]  # of the generator, of the discriminator


class SharedSettings(Protocol):
    """The settings that every architecture has."""

    @property
    def batch(self) -> int:
        """Images a step, over all processes."""
        ...

    @property
    def average(self) -> float:
        """Moving average of the generator kept a step."""
        ...

    @property
    def penalty(self) -> float:
        """Weight of the gradient penalty."""
        ...

    @property
    def penalty_every(self) -> int:
        """Steps between two penalties."""
        ...

    @property
    def precision(self) -> str:
        """Of the forward passes."""
        ...

    @property
    def seed(self) -> int:
        """Of weights, latents and order."""
        ...


class AdversarialTrainer(ABC):
    """Hold two networks that train against each other; an architecture adds `steps`, `inputs` and `update`."""

    title: ClassVar[str]  # of the architecture, in progress lines
    explodes: float = 1e6  # a mean loss beyond this is divergence

    def __init__(
        self,
        config: NetworkConfig,
        settings: SharedSettings,
        images: ImageSet,
        generator: nn.Module,
        discriminator: nn.Module,
        *,
        world: World,
        device: torch.device,
        dtype: torch.dtype,
    ) -> None:
        """Move initialised networks to the device.

        Args:
            config: Shape of the networks.
            settings: How they are trained.
            images: uint8 [N,C,size,size].
            generator: z -> images.
            discriminator: Images -> logits, positive for real.
            world: The processes that train together.
            device: Where the networks are.
            dtype: Of the weights.

        Raises:
            TrainingError: The images do not fit the networks.
            SettingsError: The batch cannot be divided by the processes.
        """
        self._shared, self._world, self.device, self._dtype = settings, world, device, dtype
        self._share = world.share(settings.batch)
        self._batches = Batches(images, size=config.size, channels=config.channels, seed=settings.seed, device=device)
        self.generator, self.discriminator = (
            # this layout is faster on CUDA, and by a tenth to a fifth on the CPU
            share_batch_norm(network, world, device, differentiated_twice=settings.penalty > 0)
            .to(device, dtype)
            .to(memory_format=torch.channels_last)
            for network in (generator, discriminator)
        )
        self.averaged = deepcopy(self.generator).requires_grad_(False) if settings.average else None
        self._average = (
            None if self.averaged is None else MovingAverage(self.averaged, self.generator, settings.average)
        )
        self._generator_optimiser, self._discriminator_optimiser = self._make_optimisers()

    @abstractmethod
    def _make_optimisers(self) -> Optimisers:
        """Return new optimisers of both networks."""

    @abstractmethod
    def inputs(self, steps: range) -> dict[str, Tensor]:
        """Return everything random of some steps, drawn on the CPU, as a function of the seed and the step."""

    @abstractmethod
    def update(self, step: int, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Update both networks with a step's inputs; return the losses, averaged over the processes."""

    def _adam(
        self,
        rate: float,
        betas: tuple[float, float],
        *,
        discriminator_rate: float | None = None,
        epsilon: float = 1e-8,
    ) -> Optimisers:
        """Return Adam for both networks, with a learning rate of the discriminator's own where one is given."""
        return (
            adam(self.generator, rate, betas, epsilon),
            adam(self.discriminator, discriminator_rate or rate, betas, epsilon),
        )

    def describe(self) -> str:
        """Return what a progress line calls the training."""
        return f"training the {self.title}"

    def images_seen(self, step: int) -> int:
        """Return how many real images were shown before `step`."""
        return step * self._shared.batch

    def stage(self, step: int) -> Stage | None:
        """Return None: the generator does not grow."""
        return None

    def converged(self, history: list[dict[str, float]], log_every: int) -> bool:
        """Return False: the settings say when the training ends."""
        return False

    def mode(self, step: int) -> tuple[Hashable, Hashable]:
        """Return the name of the step's shapes, and within these of its kernels: whether it takes the penalty."""
        return "all", self._penalised(step)

    def _penalised(self, step: int) -> bool:
        """Return whether a step takes the gradient penalty."""
        return self._shared.penalty > 0 and step % self._shared.penalty_every == 0

    def _reals(self, rows: Tensor) -> Tensor:
        """Return real images as float [N,C,size,size] in -1..1, by their rows."""
        return from_grey(self._batches.images(rows)).to(self._dtype)

    def _autocast(self) -> torch.autocast:
        """Return the context of the forward passes."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self._shared.precision == "bfloat16")

    def _means(self, losses: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return losses averaged over the processes, detached."""
        return {name: self._world.mean(loss.detach()) for name, loss in losses.items()}

    def _state(self) -> TrainingState:
        """Return the networks and optimisers as checkpoints name them."""
        sampled = (
            {"generator": self.generator}
            if self.averaged is None
            else {"generator": self.averaged, "trained_generator": self.generator}
        )
        optimisers = {
            "generator_optimiser": self._generator_optimiser,
            "discriminator_optimiser": self._discriminator_optimiser,
        }
        return TrainingState({**sampled, "discriminator": self.discriminator}, optimisers)

    def state(self) -> dict[str, Tensor]:
        """Return everything the next step depends on; `generator.*` is what is sampled."""
        return self._state().tensors()

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Load what `state` returned."""
        self._state().restore(tensors)


def initialise_all(
    networks: Iterable[nn.Module], initialise: Callable[[nn.Module, torch.Generator], None], seed: int
) -> None:
    """Draw the weights of networks, one network after the other, by what an architecture's `initialise` does."""
    generator = torch.Generator().manual_seed(seed)
    for network in networks:
        initialise(network, generator)


def check_minibatch_groups(world: World, batch: int, group: int) -> None:
    """Raise SettingsError where a process's images do not divide into the groups of a minibatch deviation."""
    share = world.share(batch)
    each = share.stop - share.start
    if each % min(group, each):
        raise SettingsError(
            f"{each} images a process do not divide into minibatch groups of {group}. Change the batch."
        )
