"""A DCGAN's shape and how it is trained. Importing this module is cheap."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, nextafter

from pytest_medgan.gan.described import (
    PRECISIONS,
    AugmentationSettings,
    check_between,
    check_choice,
    check_size,
    described,
)

BELOW_ONE = nextafter(1.0, 0.0)


@dataclass(frozen=True)
class DCGANConfig:
    """Everything that determines the shapes of the two networks."""

    size: int = described(128, "pixels a side, a power of two from 8")
    channels: int = 1
    latent: int = described(100, "dimensions of z")
    generator_width: int = described(64, "maps before the last layer, doubled at each halving of the resolution")
    discriminator_width: int = described(64, "maps after the first layer, doubled at each halving of the resolution")

    def __post_init__(self) -> None:
        check_size(self.size)
        widths = {"generator_width": self.generator_width, "discriminator_width": self.discriminator_width}
        check_between(1, 4096, channels=self.channels, latent=self.latent, **widths)

    @property
    def blocks(self) -> int:
        """Layers that double (or halve) the resolution between 4x4 and half the size."""
        return self.size.bit_length() - 4


@dataclass(frozen=True)
class DCGANSettings(AugmentationSettings):
    """How a DCGAN is trained. With the configuration and the images it determines the weights."""

    steps: int = described(20_000, "generator updates at most")
    batch: int = described(64, "images a step, over all processes")
    learning_rate: float = described(2e-4, "of both networks")
    discriminator_learning_rate: float | None = described(None, "of the discriminator, where it differs")
    beta1: float = described(0.5, "Adam's decay of the first moment")
    beta2: float = described(0.999, "Adam's decay of the second moment")
    noise: float = described(0.0, "sd of the noise on the discriminator's images at the start")
    noise_share: float = described(1.0, "share of the run over which the noise falls to 0")
    shift: int = described(0, "largest shift of the discriminator's images, in pixels", added=True)
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
    penalty: float = described(0.0, "weight of the gradient penalty R1", added=True)
    penalty_every: int = described(
        8, "steps from one penalty to the next; its weight is multiplied by this number", added=True
    )
    average: float = described(0.0, "decay of the generator's moving average per step; 0 samples the generator itself")
    seed: int = described(0, "of weights, latents and order")
    tolerance: float = described(0.01, "stop when the smoothed losses change by less, relatively; 0 never stops early")
    precision: str = described("float32", "of the forward passes", choices=PRECISIONS)

    def __post_init__(self) -> None:
        check_between(1, inf, steps=self.steps, penalty_every=self.penalty_every)
        check_between(2, inf, batch=self.batch)
        check_between(0, inf, noise=self.noise, penalty=self.penalty, seed=self.seed, tolerance=self.tolerance)
        check_between(nextafter(0.0, 1.0), inf, learning_rate=self.learning_rate)
        check_between(0, BELOW_ONE, average=self.average)
        check_between(nextafter(0.0, 1.0), 1, noise_share=self.noise_share)
        check_choice(PRECISIONS, precision=self.precision)
        _ = self.augmentation  # checks its ranges

    @property
    def extendable(self) -> frozenset[str]:
        """Settings that may differ when a run is continued: a longer budget, unless something falls with the budget."""
        return frozenset() if self.noise else frozenset({"steps"})
