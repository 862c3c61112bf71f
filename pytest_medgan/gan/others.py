"""Generators that are no networks: callables and images already made.

Each becomes `(count, seed) -> uint8 [N,C,H,W]` with shape and type checked.
"""

from __future__ import annotations

import hashlib
import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from pytest_medgan.errors import CheckpointError, DataError, SettingsError
from pytest_medgan.gan.latents import Stream
from pytest_medgan.gan.pool import read_folder, read_npz
from pytest_medgan.records import ImageSet, UInt8

# ------------------------------------------------------------------------------------------------------------ checked


def check_images(images: object, count: int) -> UInt8:
    """The images a generator returned, as a uint8 array [count,C,H,W].

    Raises
    ------
    CheckpointError
        They are not that.
    """
    if isinstance(images, Tensor):
        images = images.detach().cpu().numpy()
    if not isinstance(images, np.ndarray):
        raise CheckpointError(f"the generator returned {type(images).__name__}; return a uint8 array [N,1,H,W]")
    if images.dtype != np.uint8 or images.ndim != 4:
        raise CheckpointError(
            f"the generator returned {images.dtype} {list(images.shape)}; return uint8 [N,1,H,W] in 0..255, for Tanh "
            "outputs floor(127.5 * x + 128)"
        )
    if len(images) != count:
        raise CheckpointError(f"the generator returned {len(images)} images where {count} were asked for")
    pixels: UInt8 = images
    return pixels


class CheckedCallable:
    """A callable of the user's, its images checked; what it says of itself is passed on."""

    def __init__(self, function: Callable[[int, int], object]) -> None:
        self._function = function
        self.identity: str | None = getattr(function, "identity", None)
        self.training_recipe: str | None = getattr(function, "training_recipe", None)
        self.window: tuple[float, float] | None = getattr(function, "window", None)

    def __call__(self, count: int, seed: int) -> UInt8:
        """`count` images for `seed`, uint8 [count,C,H,W]."""
        return check_images(self._function(count, seed), count)


class CheckedSequence(CheckedCallable):
    """A callable that can draw a part of a seed's sequence."""

    def __init__(self, function: Callable[[int, int], object], part: Callable[[int, int, int], object]) -> None:
        super().__init__(function)
        self._part = part

    def sample_range(self, start: int, stop: int, seed: int) -> UInt8:
        """Images start..stop of the sequence that `seed` names, uint8 [stop-start,C,H,W]."""
        return check_images(self._part(start, stop, seed), stop - start)


def from_callable(spec: str) -> CheckedCallable:
    """The generator that `package.module:callable` names.

    A class or a function without required arguments is not called; it must itself take (count, seed).

    Raises
    ------
    CheckpointError
        There is no such module or name, or it is not callable.
    """
    module_name, _, path = spec.partition(":")
    if "" not in sys.path:  # console scripts do not look in the working directory, where a user's module lies
        sys.path.append("")
    try:
        target: Any = importlib.import_module(module_name)
        for name in path.split("."):
            target = getattr(target, name)
    except ImportError as error:
        raise CheckpointError(
            f"generator {spec!r} cannot be imported ({error}); is its folder on the Python path?"
        ) from error
    except AttributeError as error:
        raise CheckpointError(f"generator {spec!r}: the module has no such name") from error
    if not callable(target):
        raise CheckpointError(f"generator {spec!r} is a {type(target).__name__}; name a callable (count, seed)")
    part = getattr(target, "sample_range", None)
    return CheckedSequence(target, part) if callable(part) else CheckedCallable(target)


# ---------------------------------------------------------------------------------------------------- images in stock


class ImagePool:
    """Images already made. A seed names those of its group, or else a shuffle of them all; none is repeated."""

    def __init__(self, images: ImageSet) -> None:
        self._images = images
        self.identity = hashlib.sha256(f"pool {images.recipe} {len(images)}".encode() + _bytes(images)).hexdigest()
        self.training_recipe: str | None = None
        self.window = images.window

    def __call__(self, count: int, seed: int) -> UInt8:
        """The first `count` images that `seed` names."""
        return self.sample_range(0, count, seed)

    def sample_range(self, start: int, stop: int, seed: int) -> UInt8:
        """Images start..stop of those that `seed` names.

        Raises
        ------
        CheckpointError
            There are fewer.
        """
        own = np.flatnonzero(self._images.groups == str(seed))
        index = own if len(own) else Stream(seed).permutation(len(self._images))
        if not 0 <= start < stop:
            raise SettingsError(f"the range {start} to {stop} is not a range of images")
        if stop > len(index):
            raise CheckpointError(
                f"{stop} images were asked of seed {seed} and the set holds {len(index)}; ask for fewer with "
                "--medgan-samples or generate more"
            )
        return self._images.pixels[index[start:stop]]


def _bytes(images: ImageSet) -> bytes:
    return np.ascontiguousarray(images.pixels).tobytes() + "\n".join(images.groups).encode()


def from_pool(path: Path) -> ImagePool:
    """The images in an .npz (as `medgan sample` writes it, its groups being seeds) or in a folder of pictures.

    Raises
    ------
    CheckpointError
        It holds no usable images; the error names the file.
    """
    try:
        images = read_folder(path) if path.is_dir() else read_npz(path)
    except DataError as error:
        raise CheckpointError(str(error), file=error.file) from error
    if path.is_dir() or images.groups.tolist() == [str(i) for i in range(len(images))]:
        # numbers of images, not seeds
        images = ImageSet(images.pixels, np.full(len(images), ""), images.recipe, window=images.window)
    return ImagePool(images)
