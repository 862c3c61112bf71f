"""A PGGAN's shape, how it is trained, and the schedule of its growth. Importing this module is cheap."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, nextafter

from pytest_medgan.errors import SettingsError
from pytest_medgan.gan.described import (
    PRECISIONS,
    AugmentationSettings,
    check_between,
    check_choice,
    check_size,
    described,
)

LOSSES = ("wgan-gp", "logistic")


@dataclass(frozen=True)
class PGGANConfig:
    """Everything that determines the shapes of the two networks."""

    size: int = described(128, "pixels a side, a power of two from 8")
    channels: int = 1
    latent: int = described(512, "dimensions of z")
    generator_width: int = described(512, "maps at 4x4 and up to --full-until, halved with each doubling beyond")
    discriminator_width: int = described(512, "maps at 4x4 and up to --full-until, halved with each doubling beyond")
    full_until: int = described(32, "largest resolution that has all maps", added=True)
    group: int = 4  # images that share a minibatch standard deviation

    def __post_init__(self) -> None:
        check_size(self.size)
        widths = {"generator_width": self.generator_width, "discriminator_width": self.discriminator_width}
        others = {"full_until": self.full_until, "group": self.group}
        check_between(1, 4096, channels=self.channels, latent=self.latent, **widths, **others)

    @property
    def resolutions(self) -> tuple[int, ...]:
        """4, 8, ... size."""
        return tuple(2**power for power in range(2, self.size.bit_length()))


@dataclass(frozen=True)
class PGGANSettings(AugmentationSettings):
    """How a PGGAN is trained. With the configuration and the images it determines the weights."""

    fading: int = described(800_000, "images shown while a resolution fades in")
    # 800,000 as in preset-v1-1gpu, which fits batch 16
    stable: int = described(800_000, "images shown at a resolution after its fading")
    stables: tuple[tuple[int, int], ...] = described(
        (), "images shown after fading, by resolution, as in 128:2000000", added=True
    )
    batch: int = described(16, "images a step, over all processes")
    batches: tuple[tuple[int, int], ...] = described((), "batch by resolution, as 4:128,8:128")
    learning_rate: float = described(1e-3, "of both networks")
    beta1: float = described(0.0, "Adam's decay of the first moment")
    beta2: float = described(0.99, "Adam's decay of the second moment")
    epsilon: float = described(1e-8, "Adam's epsilon")
    loss: str = described("wgan-gp", "wgan-gp as published, or logistic with R1", choices=LOSSES)
    penalty: float = described(10.0, "weight of the gradient penalty: WGAN-GP, or R1 with the logistic loss")
    penalty_every: int = described(
        1, "steps from one penalty R1 to the next; its weight is multiplied by this number", added=True
    )
    target: float = described(1.0, "gradient norm that WGAN-GP pulls towards")
    drift: float = described(1e-3, "weight of the squared score of real images, with WGAN-GP")
    average: float = described(0.999, "decay of the generator's moving average per step")
    shift: int = described(0, "largest shift of the discriminator's images at full size, in pixels", added=True)
    brightness: float = described(
        0.0,
        "largest change of the grey of the discriminator's images, whose range is -1 to 1",
        added=True,
    )
    contrast: float = described(
        0.0, "largest relative change of the contrast of the discriminator's images", added=True
    )
    cutout: float = described(
        0.0, "side of a square erased in the discriminator's images, as a share of their side", added=True
    )
    precision: str = described("float32", "of the forward passes", choices=PRECISIONS)
    seed: int = described(0, "of weights, latents and order")

    def __post_init__(self) -> None:
        check_between(0, inf, fading=self.fading, penalty=self.penalty, seed=self.seed)
        check_between(1, inf, stable=self.stable, batch=self.batch, penalty_every=self.penalty_every)
        check_between(nextafter(0.0, 1.0), inf, learning_rate=self.learning_rate)
        check_between(0, nextafter(1.0, 0.0), average=self.average)
        for name, pairs in (("stables", self.stables), ("batches", self.batches)):
            if min((number for _, number in pairs), default=1) < 1:
                raise SettingsError(f"{name} holds a number below 1. Give each resolution 1 image or more.")
        check_choice(LOSSES, loss=self.loss)
        check_choice(PRECISIONS, precision=self.precision)
        if self.loss == "wgan-gp" and (self.penalty_every != 1 or self.precision != "float32"):
            raise SettingsError(
                "loss wgan-gp takes its penalty on every step, in float32. Choose loss logistic, or leave "
                "penalty_every and precision out."
            )
        _ = self.augmentation  # checks its ranges

    @property
    def extendable(self) -> frozenset[str]:
        """Settings that may differ when a run is continued: none, since each places every later step."""
        return frozenset()

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
    """Return the phases of a training: 4x4 stable, then each resolution fading and stable."""
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
