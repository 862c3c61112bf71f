"""Alter real images in ways in which generative models go wrong: examples that the heads of `anomaly_rate` learn from.

Every function takes soft images float32 [N,H,W] in grey levels and a source of chance, and returns images of the same
form; of colours it takes one channel after another, each with the same amounts. Sizes are shares of the image, so that
the alterations do not depend on its number of pixels. The numbers below were chosen on the patches, sampler and faults
that the feature spaces are measured with, so figures for these faults are optimistic.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from pytest_medgan.records import Alteration, Int64, UInt8

Soft = npt.NDArray[np.float32]  # [N,H,W], grey levels
Random = np.random.Generator

LARGEST_BLUR = 1.4 / 128  # of the image's side: standard deviation of the strongest blur
SEED = 20220817  # of the amounts; the same for every reference


def soften(images: UInt8, rng: Random) -> Soft:
    """Return images uint8 [N,H,W] blurred, each by its own amount, so that no head learns how sharp images are."""
    soft = images.astype(np.float32)
    most = LARGEST_BLUR * images.shape[-1]
    for image, sigma in zip(soft, rng.uniform(0, most, len(soft)), strict=True):
        ndimage.gaussian_filter(image, sigma, output=image, mode="nearest", truncate=3)
    return soft


def turn_upside_down(soft: Soft, _: Random) -> Soft:
    """Exchange top and bottom."""
    return soft[:, ::-1]


def join_halves(soft: Soft, rng: Random) -> Soft:
    """Give every image one half of another one, in turn right, left, lower and upper."""
    joined, other = soft.copy(), soft[_others(len(soft), rng)]
    high, wide = soft.shape[1] // 2, soft.shape[2] // 2
    for first, part in enumerate((np.s_[:, :, wide:], np.s_[:, :, :wide], np.s_[:, high:], np.s_[:, :high])):
        joined[first::4][part] = other[first::4][part]
    return joined


def erase_centre(soft: Soft, rng: Random) -> Soft:
    """Fill a disc in the middle with the mean grey level around it."""
    found, side = soft.copy(), min(soft.shape[1:])
    row, column = np.indices(soft.shape[1:]) - (np.array(soft.shape[1:]) - 1)[:, None, None] / 2
    shares, shifts = rng.uniform(0.07, 0.14, len(soft)), rng.normal(0, 0.015, (len(soft), 2))
    for image, share, shift in zip(found, shares, shifts, strict=True):
        distance = np.hypot(row - shift[0] * side, column - shift[1] * side) / side
        around = image[(distance >= share) & (distance < share + 0.05)].mean()
        inside = np.clip((share - distance) / 0.02, 0, 1)
        image[:] += inside * (around - image)
    return found


def warp_locally(soft: Soft, rng: Random) -> Soft:
    """Twist and stretch a region of every image."""
    found, side = np.empty_like(soft), min(soft.shape[1:])
    places = np.indices(soft.shape[1:]).astype(np.float64)
    for image, old in zip(found, soft, strict=True):
        middle = rng.uniform(0.3, 0.7, 2) * soft.shape[1:]
        width = rng.uniform(0.08, 0.16) * side
        gap = places - middle[:, None, None]
        weight = np.exp(-(gap**2).sum(0) / (2 * width**2))
        angle = rng.choice([-1, 1]) * rng.uniform(0.6, 1.5) * weight
        scale = 1 + rng.uniform(-0.5, 0.5) * weight
        cosine, sine = np.cos(angle) * scale, np.sin(angle) * scale
        at = middle[:, None, None] + np.stack([cosine * gap[0] - sine * gap[1], sine * gap[0] + cosine * gap[1]])
        ndimage.map_coordinates(old, at, output=image, order=1, mode="nearest")
    return found


def add_checkerboard(soft: Soft, rng: Random) -> Soft:
    """Add fields of 1, 2, 4 or 8 pixels of two grey levels, as transposed convolutions do."""
    found = soft.copy()
    row, column = np.indices(soft.shape[1:])
    for image in found:
        size = 2 ** rng.integers(4)
        image[:] += rng.uniform(1.5, 4) * np.where((row // size + column // size) % 2 == 0, 1, -1)
    return found


def add_streaks(soft: Soft, rng: Random) -> Soft:
    """Add bands of rows or of columns, as failing rows of a detector or of a feature map do."""
    found = soft.copy()
    for image in found:
        axis = int(rng.integers(2))
        lines = ndimage.gaussian_filter1d(rng.normal(size=image.shape[axis]), rng.uniform(0.5, 1.5))
        lines *= rng.uniform(2, 6) / lines.std()
        image[:] += lines[:, None] if axis == 0 else lines
    return found


def smear(soft: Soft, rng: Random) -> Soft:
    """Average along a line of any direction, as motion does."""
    found, side = np.empty_like(soft), min(soft.shape[1:])
    for image, old in zip(found, soft, strict=True):
        angle, length = rng.uniform(0, np.pi), rng.uniform(0.03, 0.08) * side
        steps = np.linspace(-0.5, 0.5, int(np.ceil(length)) + 1)[:, None] * length * [np.sin(angle), np.cos(angle)]
        image[:] = np.mean([ndimage.shift(old, step, order=1, mode="nearest") for step in steps], 0)
    return found


def add_ghost(soft: Soft, rng: Random) -> Soft:
    """Add a shifted, weaker copy of the image to itself."""
    found, side = np.empty_like(soft), min(soft.shape[1:])
    for image, old in zip(found, soft, strict=True):
        angle, length, share = rng.uniform(0, 2 * np.pi), rng.uniform(0.06, 0.25) * side, rng.uniform(0.15, 0.4)
        ghost = ndimage.shift(old, length * np.array([np.sin(angle), np.cos(angle)]), order=1, mode="nearest")
        image[:] = (1 - share) * old + share * ghost
    return found


def mirror_halves(soft: Soft, _: Random) -> Soft:
    """Replace one half by the mirror image of the other, in turn right, left, lower and upper."""
    found = soft.copy()
    high, wide = soft.shape[1] // 2, soft.shape[2] // 2
    found[0::4, :, -wide:] = soft[0::4, :, :wide][:, :, ::-1]
    found[1::4, :, :wide] = soft[1::4, :, -wide:][:, :, ::-1]
    found[2::4, -high:] = soft[2::4, :high][:, ::-1]
    found[3::4, :high] = soft[3::4, -high:][:, ::-1]
    return found


def repeat_tile(soft: Soft, rng: Random) -> Soft:
    """Put one part of every image in another place as well."""
    found = soft.copy()
    for image, old in zip(found, soft, strict=True):
        size = (rng.uniform(0.25, 0.4) * np.array(old.shape)).astype(int)
        source, target = (rng.integers(0, np.array(old.shape) - size + 1) for _ in range(2))
        image[target[0] : target[0] + size[0], target[1] : target[1] + size[1]] = old[
            source[0] : source[0] + size[0], source[1] : source[1] + size[1]
        ]
    return found


def add_noise(soft: Soft, rng: Random) -> Soft:
    """Add noise of any grain, as another scanner or another reconstruction does."""
    found = soft.copy()
    for image in found:
        noise = ndimage.gaussian_filter(rng.normal(size=image.shape), rng.uniform(0, 1.2))
        image[:] += rng.uniform(3, 10) * noise / noise.std()
    return found


def _others(count: int, rng: Random) -> Int64:
    """Return another row for each of `count` rows, where there are two."""
    order = rng.permutation(count)
    others = np.empty(count, np.int64)
    others[order] = np.roll(order, 1)
    return others


ALTERATIONS: Mapping[Alteration, Callable[[Soft, Random], Soft]] = MappingProxyType(
    {
        Alteration.UPSIDE_DOWN: turn_upside_down,
        Alteration.JOINED_HALVES: join_halves,
        Alteration.ERASED_CENTRE: erase_centre,
        Alteration.LOCAL_WARP: warp_locally,
        Alteration.CHECKERBOARD: add_checkerboard,
        Alteration.STREAKS: add_streaks,
        Alteration.MOTION: smear,
        Alteration.GHOST: add_ghost,
        Alteration.MIRRORED_HALVES: mirror_halves,
        Alteration.REPEATED_TILE: repeat_tile,
        Alteration.NOISE: add_noise,
    }
)


def altered_images(images: UInt8) -> Iterator[tuple[Alteration | None, UInt8]]:
    """Yield softened real images under None, then the same images altered in each way.

    Args:
        images: Real images, uint8 [N,C,H,W].

    Yields:
        What was altered, and the images uint8 [N,C,H,W]; the same amounts in every call and in every channel.
    """
    channels = [
        soften(channel, np.random.default_rng([SEED, len(ALTERATIONS)])) for channel in np.moveaxis(images, 1, 0)
    ]
    yield None, to_pixels(channels)
    for number, (alteration, alter) in enumerate(ALTERATIONS.items()):
        yield alteration, to_pixels([alter(soft, np.random.default_rng([SEED, number])) for soft in channels])


def to_pixels(channels: Sequence[Soft]) -> UInt8:
    """Return the levels of channels [N,H,W] rounded and clipped, uint8 [N,C,H,W]."""
    return np.stack([np.clip(np.rint(soft), 0, 255).astype(np.uint8) for soft in channels], 1)
