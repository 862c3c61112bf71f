"""A BigGAN's shape and how it is trained. Importing this module is cheap."""

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

ABOVE_ZERO, BELOW_ONE = nextafter(0.0, 1.0), nextafter(1.0, 0.0)
SMALL = 4  # times the width: the maps of all blocks up to 32x32 (Brock et al. 2019, for CIFAR)
# times the width, by size: the generator's maps at 4x4, 8x8, ..., and the discriminator's behind each block, the last
# of which keeps the resolution (Brock et al. 2019, tables 4 and 5; 64x64 as its layers at 4x4 to 64x64)
GENERATOR = {64: (16, 16, 8, 4, 2), 128: (16, 16, 8, 4, 2, 1), 256: (16, 16, 8, 8, 4, 2, 1)}
DISCRIMINATOR = {64: (1, 2, 4, 8, 16), 128: (1, 2, 4, 8, 16, 16), 256: (1, 2, 4, 8, 8, 16, 16)}


@dataclass(frozen=True)
class BigGANConfig:
    """Everything that determines the shapes of the two networks."""

    size: int = described(128, "pixels a side, a power of two from 16 to 256")
    channels: int = 1
    latent: int = described(120, "dimensions of z")
    generator_width: int = described(64, "maps at 128x128, up to 16 times as many below")
    discriminator_width: int = described(64, "maps at half the size, up to 16 times as many below")
    classes: int = described(0, "number of classes, labelled 0, 1, ...; 0 trains without labels", added=True)
    embedding: int = described(128, "dimensions of the class embedding", added=True)
    attention: int = described(64, "resolution of the self-attention layer, limited to half of --size; 0 for none")

    def __post_init__(self) -> None:
        check_between(16, 256, size=self.size)
        check_size(self.size)
        check_between(1, 4096, channels=self.channels, generator_width=self.generator_width)
        check_between(len(self.generator_maps) + bool(self.classes), 4096, latent=self.latent)
        check_between(1, 4096, discriminator_width=self.discriminator_width)
        check_between(1, 4096, embedding=self.embedding)
        if self.classes != 0:
            check_between(2, 1000, classes=self.classes)
        if self.attention and (self.attention < 8 or self.attention & (self.attention - 1)):
            raise SettingsError(f"attention {self.attention} is not possible. Choose 0 or a power of two from 8.")

    @property
    def attends_at(self) -> int:
        """Pixels of the maps that attend to each other; 0 where none do."""
        return min(self.attention, self.size // 2)

    @property
    def generator_maps(self) -> tuple[int, ...]:
        """The generator's maps at 4x4, 8x8, ... size."""
        doublings = self.size.bit_length() - 3
        return tuple(self.generator_width * m for m in GENERATOR.get(self.size, (SMALL,) * (doublings + 1)))

    @property
    def discriminator_maps(self) -> tuple[int, ...]:
        """The discriminator's maps behind each block."""
        halvings = self.size.bit_length() - 4  # down to 8x8, where two blocks follow
        return tuple(self.discriminator_width * m for m in DISCRIMINATOR.get(self.size, (SMALL,) * (halvings + 2)))

    @property
    def discriminator_sizes(self) -> tuple[int, ...]:
        """Pixels a side of the discriminator's maps behind each block."""
        last = 4 if self.size in DISCRIMINATOR else 8
        return tuple(max(last, self.size >> (block + 1)) for block in range(len(self.discriminator_maps)))

    @property
    def chunks(self) -> tuple[int, ...]:
        """Dimensions of z that enter the first layer and each block; with classes, the first number draws the class."""
        parts, numbers = len(self.generator_maps), self.latent - bool(self.classes)
        return tuple(numbers // parts + (part < numbers % parts) for part in range(parts))


@dataclass(frozen=True)
class BigGANSettings(AugmentationSettings):
    """How a BigGAN is trained. With the configuration and the images it determines the weights."""

    steps: int = described(20_000, "generator updates")
    batch: int = described(32, "images a step, over all processes")
    discriminator_steps: int = described(1, "discriminator updates a step, each on images of its own")
    learning_rate: float = described(1e-4, "of the generator")
    discriminator_learning_rate: float = described(4e-4, "of the discriminator")
    beta1: float = described(0.0, "Adam's decay of the first moment")
    beta2: float = described(0.999, "Adam's decay of the second moment")
    epsilon: float = described(1e-6, "Adam's epsilon")
    shift: int = described(0, "largest shift of the discriminator's images, in pixels")
    brightness: float = described(
        0.0, "largest change of the grey of the discriminator's images, whose range is -1 to 1"
    )
    contrast: float = described(0.0, "largest relative change of the contrast of the discriminator's images")
    cutout: float = described(0.0, "side of a square erased in the discriminator's images, as a share of their side")
    penalty: float = described(0.0, "weight of the gradient penalty R1")
    penalty_every: int = described(8, "steps from one penalty to the next; its weight is multiplied by this number")
    average: float = described(
        0.999, "decay of the generator's moving average per step; 0 samples the generator itself"
    )
    precision: str = described("float32", "of the forward passes", choices=PRECISIONS)
    seed: int = described(0, "of weights, latents and order")

    def __post_init__(self) -> None:
        check_between(1, inf, steps=self.steps, penalty_every=self.penalty_every)
        check_between(1, 100, discriminator_steps=self.discriminator_steps)
        check_between(2, inf, batch=self.batch)
        rates = {"learning_rate": self.learning_rate, "discriminator_learning_rate": self.discriminator_learning_rate}
        check_between(ABOVE_ZERO, inf, epsilon=self.epsilon, **rates)
        check_between(0, inf, penalty=self.penalty, seed=self.seed)
        check_between(0, BELOW_ONE, average=self.average, beta1=self.beta1, beta2=self.beta2)
        check_choice(PRECISIONS, precision=self.precision)
        _ = self.augmentation  # checks its ranges

    @property
    def extendable(self) -> frozenset[str]:
        """Settings that may differ when a run is continued: a longer budget."""
        return frozenset({"steps"})
