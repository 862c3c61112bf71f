"""Twenty-one faults of a generative model: a stronger blur, images that go wrong, or too few sources to draw from.

A fault of blur is the width in pixels of the Gaussian that takes the place of the model's own. A fault of images is a
function `(images, random) -> images` of uint8 [N,H,W]. A fault of the choice is a function `(sources, patients, random)
-> sources` of row numbers [N] into the pool that the model draws from, whose patients are [P]. A model of low rank
keeps the principal components of its pool. Every fault is a function of its arguments alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, ndimage

Images = NDArray[np.uint8]  # [N,H,W]
Rows = NDArray[np.int64]
Values = NDArray[np.float64]
Random = np.random.Generator


def to_grey(values: Values) -> Images:
    """Round and clip to grey levels."""
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


# ------------------------------------------------------------------------------------------------- faults of images


def noise(sd: float) -> Callable[[Images, Random], Images]:
    """White noise of `sd` grey levels."""
    return lambda images, random: to_grey(images + random.normal(0, sd, images.shape))


def turn_upside_down(images: Images, _: Random) -> Images:
    """Exchange top and bottom of every image."""
    return images[:, ::-1]


def mirror(images: Images, _: Random) -> Images:
    """Exchange left and right of every image."""
    return images[:, :, ::-1]


def turn_a_tenth_upside_down(images: Images, _: Random) -> Images:
    """Exchange top and bottom of every tenth image."""
    turned = images.copy()
    turned[::10] = images[::10, ::-1]
    return turned


def brighten(images: Images, _: Random) -> Images:
    """Add 3 grey levels."""
    return to_grey(images + 3.0)


def lower_contrast(images: Images, _: Random) -> Images:
    """Bring every grey level a fifth of the way to its image's mean."""
    mean = images.mean((1, 2), keepdims=True)
    return to_grey(mean + 0.8 * (images - mean))


def checkerboard(images: Images, _: Random) -> Images:
    """Add and subtract 2 grey levels on fields of 8 pixels."""
    row, column = np.indices(images.shape[1:])
    return to_grey(images + np.where((row // 8 + column // 8) % 2 == 0, 2.0, -2.0))


def lattice(images: Images, _: Random) -> Images:
    """Add 3 grey levels on every second pixel of every second row, as transposed convolutions do."""
    bright = np.zeros(images.shape[1:])
    bright[::2, ::2] = 3.0
    return to_grey(images + bright)


def ring_artefact(images: Images, _: Random) -> Images:
    """Add rings of 4 grey levels around a point outside the centre, as a scanner with faulty detectors does."""
    row, column = np.indices(images.shape[1:])
    radius = np.hypot(row - 0.4 * images.shape[1], column - 0.55 * images.shape[2])
    return to_grey(images + 4.0 * np.cos(2 * np.pi * radius / 12.0))


def motion_blur(images: Images, _: Random) -> Images:
    """Average 5 pixels of a row."""
    return to_grey(ndimage.uniform_filter1d(images.astype(np.float64), 5, axis=2))


def warp(images: Images, random: Random) -> Images:
    """Move every pixel along a smooth random field of 2 pixels (root mean square)."""
    height, width = images.shape[1:]
    row, column = np.indices((height, width)).astype(np.float64)
    warped = []
    for image in images:
        field = ndimage.gaussian_filter(random.normal(size=(2, height, width)), (0, 8, 8))
        field *= 2.0 / np.sqrt((field**2).mean())
        places = np.stack([row, column]) + field
        warped.append(ndimage.map_coordinates(image.astype(np.float64), places, order=1, mode="nearest"))
    return to_grey(np.stack(warped))


def gamma(images: Images, _: Random) -> Images:
    """Raise grey levels to the power 1.2."""
    return to_grey(255.0 * (images / 255.0) ** 1.2)


def erase_centre(images: Images, _: Random) -> Images:
    """Replace a disc of 14 pixels around the middle, where the nodule lies, by the mean grey around it."""
    height, width = images.shape[1:]
    row, column = np.indices((height, width))
    radius = np.hypot(row - (height - 1) / 2, column - (width - 1) / 2)
    around = images[:, (radius >= 14) & (radius < 20)].mean(1)
    share = np.clip((16.0 - radius) / 2.0, 0.0, 1.0)  # a soft border, so that the border is not the fault
    return to_grey(images * (1 - share) + around[:, None, None] * share)


def join_halves(images: Images, random: Random) -> Images:
    """Take the left half of one image and the right half of another."""
    joined = images.copy()
    half = images.shape[2] // 2
    joined[:, :, half:] = np.roll(images, 1, axis=0)[:, :, half:]
    return joined


def lower_resolution(images: Images, _: Random) -> Images:
    """Average fields of 2 by 2 pixels and enlarge them bilinearly."""
    count, height, width = images.shape
    small = images.reshape(count, height // 2, 2, width // 2, 2).mean((2, 4))
    row, column = np.indices((height, width)) / 2.0 - 0.25
    large = [ndimage.map_coordinates(image, (row, column), order=1, mode="nearest") for image in small]
    return to_grey(np.stack(large))


IMAGE_FAULTS: Mapping[str, Callable[[Images, Random], Images]] = MappingProxyType(
    {
        "noise 2": noise(2.0),
        "noise 10": noise(10.0),
        "upside-down": turn_upside_down,
        "mirror": mirror,
        "10% upside-down": turn_a_tenth_upside_down,
        "grey +3": brighten,
        "contrast -20%": lower_contrast,
        "checkerboard": checkerboard,
        "pixel lattice": lattice,
        "ring artefact": ring_artefact,
        "motion blur": motion_blur,
        "elastic warp": warp,
        "gamma 1.2": gamma,
        "centre erased": erase_centre,
        "joined halves": join_halves,
        "half resolution": lower_resolution,
    }
)


# --------------------------------------------------------------------------------------------- faults of the choice


def drop_half_of_patients(sources: Rows, patients: NDArray[np.str_], random: Random) -> Rows:
    """Draw from every second patient alone."""
    kept = np.isin(patients, np.unique(patients)[::2])
    chosen = sources[kept[sources]]
    others = np.setdiff1d(np.flatnonzero(kept), chosen)
    return np.concatenate([chosen, random.choice(others, len(sources) - len(chosen), replace=False)])


def collapse(sources: Rows, patients: NDArray[np.str_], random: Random) -> Rows:
    """Draw the first 20 sources again and again."""
    return np.resize(sources[:20], len(sources))


CHOICE_FAULTS: Mapping[str, Callable[[Rows, NDArray[np.str_], Random], Rows]] = MappingProxyType(
    {"half of patients": drop_half_of_patients, "collapse to 20": collapse}
)


# ---------------------------------------------------------------------------------------------- faults of the model


def principal_components(pool: Images, count: int = 200) -> tuple[Values, Values]:
    """Mean [H*W] and the first `count` principal components [count,H*W] of the pool."""
    flat = pool.reshape(len(pool), -1).astype(np.float64)
    mean = flat.mean(0)
    flat -= mean
    _, vectors = linalg.eigh(flat @ flat.T, subset_by_index=(len(flat) - count, len(flat) - 1))
    components = vectors.T @ flat
    return mean, components / np.linalg.norm(components, axis=1, keepdims=True)


def keep_components(images: Images, mean: Values, components: Values) -> Images:
    """Keep what the components hold of every image, as a model of low rank does."""
    flat = images.reshape(len(images), -1) - mean
    return to_grey((mean + flat @ components.T @ components).reshape(images.shape))


LOW_RANK = "200 components"
BLUR_FAULTS: Mapping[str, float] = MappingProxyType({"blur 0.8": 0.8, "blur 1.0": 1.0})

FAULTS = (*BLUR_FAULTS, *IMAGE_FAULTS, LOW_RANK, *CHOICE_FAULTS)  # 21
