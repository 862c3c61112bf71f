"""What an architecture consists of: one row of `architectures.ARCHITECTURES` for each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from pytest_medgan.gan.distributed import World
    from pytest_medgan.gan.stepping import Steps
    from pytest_medgan.records import ImageSet

    class Trainer(Steps, Protocol):
        """Networks, optimisers and the step that updates them."""

        explodes: float  # a mean loss beyond this is divergence

        def describe(self) -> str:
            """Return what a progress line calls the training."""
            ...

        def images_seen(self, step: int) -> int:
            """Return how many real images were shown before `step`."""
            ...

        def stage(self, step: int) -> Stage | None:
            """Return what the generator has grown to after `step` updates; None where it does not grow."""
            ...

        def converged(self, history: list[dict[str, float]], log_every: int) -> bool:
            """Whether the losses have stopped moving, so that the run ends early."""
            ...

        def state(self) -> dict[str, Tensor]:
            """Return everything the next step depends on; `generator.*` is what is sampled."""
            ...

        def restore(self, tensors: Mapping[str, Tensor]) -> None:
            """Take up what `state` returned."""
            ...


Stage = tuple[int, float]  # resolution and fade of a growing generator


class NetworkConfig(Protocol):
    """The shape of the networks: a frozen dataclass of whole numbers."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def size(self) -> int:
        """Pixels a side."""
        ...

    @property
    def channels(self) -> int:
        """Channels of an image."""
        ...

    @property
    def latent(self) -> int:
        """Dimensions of z."""
        ...


class TrainingSettings(Protocol):
    """How networks are trained: a frozen dataclass of plain values."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def seed(self) -> int:
        """Seed of weights, latents and order."""
        ...

    @property
    def extendable(self) -> frozenset[str]:
        """Settings that may differ when a run is continued."""
        ...


def _full_grown(generator: nn.Module, config: Any, stage: Stage | None) -> nn.Module:
    """Return the generator itself: it does not grow."""
    return generator


@dataclass(frozen=True)
class Networks:
    """The parts of an architecture that need torch."""

    generator: Callable[[Any], nn.Module]  # config -> z [N,latent] -> images [N,C,size,size] in about -1..1
    trainer: TrainerMaker
    at_stage: Callable[[nn.Module, Any, Stage | None], nn.Module] = _full_grown
    # (generator, config, stage) -> z [N,latent] -> images at the full size; raises CheckpointError for a false stage
    truncate: Callable[[nn.Module, float], None] | None = None
    # (generator, truncation); None: numbers of z beyond the truncation are drawn again
    noise: Callable[[Any], int] | None = None
    # config -> standard normal numbers that the generator takes for each image after z, [N,noise]; None: it takes none
    choose: Callable[[nn.Module, int], None] | None = None
    # (generator, class): draw that class alone; raises CheckpointError where it has none. None: it never has classes


class TrainerMaker(Protocol):
    """Make a trainer."""

    def __call__(
        self,
        config: Any,
        settings: Any,
        images: ImageSet,
        *,
        world: World,
        device: torch.device,
        dtype: torch.dtype = ...,
    ) -> Trainer:
        """Return a trainer whose networks are initialised; raise TrainingError or SettingsError for what cannot be."""
        ...


@dataclass(frozen=True)
class Architecture:
    """One kind of generator. Its networks are imported when they are first used."""

    name: str  # in checkpoints and on the command line
    title: str  # in text
    config: Callable[..., NetworkConfig]  # a frozen dataclass
    settings: Callable[..., TrainingSettings]  # a frozen dataclass
    module: str  # where NETWORKS stands
    revision: int = 1  # raised when equal settings and images come to train to other weights

    @property
    def networks(self) -> Networks:
        """The parts that need torch."""
        networks: Networks = import_module(self.module).NETWORKS
        return networks
