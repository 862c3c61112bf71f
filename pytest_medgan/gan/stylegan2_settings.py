"""A StyleGAN2's shape and how it is trained. Importing this module is cheap."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, nextafter

from pytest_medgan.gan.described import PRECISIONS, check_between, check_choice, check_size, described

ABOVE_ZERO, BELOW_ONE = nextafter(0.0, 1.0), nextafter(1.0, 0.0)


@dataclass(frozen=True)
class StyleGAN2Config:
    """Everything that determines the shapes of the two networks."""

    size: int = described(128, "pixels a side, a power of two from 8")
    channels: int = 1
    latent: int = described(512, "dimensions of z")
    style: int = described(512, "dimensions of w, into which z is mapped")
    mapping: int = described(8, "dense layers from z to w")
    generator_width: int = described(512, "maps at 4x4 and up to --full-until, halved with each doubling beyond")
    discriminator_width: int = described(512, "maps at 4x4 and up to --full-until, halved with each doubling beyond")
    full_until: int = described(64, "largest resolution that has all maps")
    group: int = 4  # images that share a minibatch standard deviation

    def __post_init__(self) -> None:
        check_size(self.size)
        check_between(1, 32, mapping=self.mapping)
        widths = {"generator_width": self.generator_width, "discriminator_width": self.discriminator_width}
        others = {"style": self.style, "full_until": self.full_until, "group": self.group}
        check_between(1, 4096, channels=self.channels, latent=self.latent, **widths, **others)

    @property
    def resolutions(self) -> tuple[int, ...]:
        """4, 8, ... size."""
        return tuple(2**power for power in range(2, self.size.bit_length()))

    @property
    def layers(self) -> int:
        """Convolutions of the generator that take a style; toRGB takes that of the convolution after it."""
        return 2 * len(self.resolutions)

    @property
    def noise(self) -> int:
        """Random numbers that are added to one image's maps: one per pixel of two convolutions, at 4x4 of one."""
        return 2 * sum(side**2 for side in self.resolutions) - 4**2


@dataclass(frozen=True)
class StyleGAN2Settings:
    """How a StyleGAN2 is trained. With the configuration and the images it determines the weights."""

    steps: int = described(20_000, "generator updates")
    batch: int = described(32, "images a step, over all processes")
    learning_rate: float = described(2e-3, "of both networks")
    beta1: float = described(0.0, "Adam's decay of the first moment")
    beta2: float = described(0.99, "Adam's decay of the second moment")
    penalty: float = described(1.0, "weight of the gradient penalty R1")
    penalty_every: int = described(16, "steps from one penalty to the next; its weight is multiplied by this number")
    path: float = described(2.0, "weight of the path length penalty; 0 leaves it out")
    path_every: int = described(
        8, "steps from one path length penalty to the next; its weight is multiplied by this number"
    )
    path_decay: float = described(0.01, "weight of a step's path length in the moving mean of path lengths")
    mixing: float = described(0.9, "share of images whose style comes from two latents")
    average: float = described(
        0.998, "decay of the generator's moving average per step; 0 samples the generator itself"
    )
    target: float = described(0.6, "mean sign of real images' logits that the augmentation is adapted to; 0 never")
    adapt_images: int = described(500_000, "images over which the augmentation's probability may rise from 0 to 1")
    shift: float = described(0.125, "share of the side by which an augmented image is moved at most")
    rotation: float = described(10.0, "degrees by which an augmented image is turned at most")
    zoom: float = described(0.2, "share by which an augmented image grows or shrinks at most")
    flip: float = described(
        0.0, "share of augmented images that are mirrored; a mirrored chest has its heart on the right"
    )
    gain: float = described(0.2, "share by which an augmented image's contrast grows or falls at most")
    precision: str = described("float32", "of the forward passes", choices=PRECISIONS)
    seed: int = described(0, "of weights, latents and order")

    def __post_init__(self) -> None:
        check_between(1, inf, steps=self.steps, batch=self.batch, penalty_every=self.penalty_every)
        check_between(1, inf, path_every=self.path_every, adapt_images=self.adapt_images)
        check_between(ABOVE_ZERO, inf, learning_rate=self.learning_rate)
        check_between(0, inf, penalty=self.penalty, path=self.path, seed=self.seed)
        check_between(0, 1, path_decay=self.path_decay, mixing=self.mixing, target=self.target, flip=self.flip)
        check_between(0, BELOW_ONE, average=self.average, shift=self.shift, zoom=self.zoom, gain=self.gain)
        check_between(0, 180, rotation=self.rotation)
        check_choice(PRECISIONS, precision=self.precision)

    @property
    def extendable(self) -> frozenset[str]:
        """Settings that may differ when a run is continued: a longer budget."""
        return frozenset({"steps"})
