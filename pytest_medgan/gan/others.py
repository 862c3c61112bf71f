"""Generators without a network here: callables, and images made before.

Each becomes `(count, seed) -> uint8 [N,C,H,W]`, with shape and type checked.
"""

from __future__ import annotations

import hashlib
import inspect
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from pytest_medgan.errors import CheckpointError, DataError, SettingsError
from pytest_medgan.gan.contract import read_volume_shape
from pytest_medgan.gan.latents import BLOCK, Stream
from pytest_medgan.gan.pool import read_folder, read_npz
from pytest_medgan.gan.seeding import seeded_drawing
from pytest_medgan.gan.time_limits import TimeLimit
from pytest_medgan.ground import user_code
from pytest_medgan.records import ImageSet, Int64, Names, UInt8

# ------------------------------------------------------------------------------------------------------------ checked


def check_images(images: object, count: int, dimensions: int = 4) -> UInt8:
    """Return a copy of a generator's images, uint8 [count,C,H,W]; it may use one array for all that it returns.

    Args:
        images: What it returned.
        count: How many were asked for.
        dimensions: 4; 5 for volumes [count,1,D,H,W].

    Raises:
        CheckpointError: They have another type, shape or number.
    """
    if isinstance(images, Tensor):
        images = images.detach().cpu().numpy()
    expected = "[N,1,H,W] or [N,3,H,W]" if dimensions == 4 else "[N,1,D,H,W]"
    if not isinstance(images, np.ndarray):
        raise CheckpointError(f"The generator returned {type(images).__name__}. Return a uint8 array {expected}.")
    if images.ndim == 5 > dimensions:
        raise CheckpointError(
            f"The generator returned {list(images.shape)}. Return images, uint8 [N,1,H,W] or [N,3,H,W]. Where these "
            "are volumes, set its attribute volume_shape to their (D, H, W)."
        )
    if images.dtype != np.uint8 or images.ndim != dimensions:
        raise CheckpointError(
            f"The generator returned {images.dtype} {list(images.shape)}. Return uint8 {expected} in 0..255; for Tanh "
            "outputs x, floor(127.5 * x + 128)."
        )
    if len(images) != count:
        raise CheckpointError(
            f"The generator returned {len(images)} images instead of {count}. Return the number asked for."
        )
    pixels: UInt8 = np.array(images, order="C")
    return pixels


class CheckedCallable:
    """Check what a user's callable returns, and pass on what it says of itself."""

    def __init__(self, function: Callable[[int, int], object], limit: TimeLimit | None = None) -> None:
        self._function, self._limit = function, limit
        self.identity: str | None = getattr(function, "identity", None)
        self.training_recipe: str | None = getattr(function, "training_recipe", None)
        self.run_recipe: str | None = getattr(function, "run_recipe", None)
        self.training_seed: int | None = getattr(function, "training_seed", None)
        self.window: tuple[float, float] | None = getattr(function, "window", None)
        self.condition: str | None = getattr(function, "condition", None)
        self.groups: Callable[[int, int], Names] | None = getattr(function, "groups", None)
        self.volume_shape = read_volume_shape(getattr(function, "volume_shape", None))
        self._dimensions = 4 if self.volume_shape is None else 5

    def __call__(self, count: int, seed: int) -> UInt8:
        """Return `count` images for `seed`, uint8 [count,C,H,W]; volumes [count,1,D,H,W] where it draws them."""
        with self._within(count), seeded_drawing(seed):
            return check_images(self._function(count, seed), count, self._dimensions)

    def _within(self, count: int) -> AbstractContextManager[None]:
        """Return what ends the drawing of some images or volumes where it takes too long."""
        if self._limit is None:
            return nullcontext()
        return self._limit.drawing(count, BLOCK if self.volume_shape is None else 1)


class CheckedSequence(CheckedCallable):
    """Check a callable that can draw a part of a seed's sequence."""

    def __init__(
        self,
        function: Callable[[int, int], object],
        part: Callable[[int, int, int], object],
        limit: TimeLimit | None = None,
    ) -> None:
        super().__init__(function, limit)
        self._part = part

    def sample_range(self, start: int, stop: int, seed: int) -> UInt8:
        """Return images or volumes start..stop of the sequence that `seed` names, as the call returns them."""
        with self._within(stop - start), seeded_drawing(seed, start):
            return check_images(self._part(start, stop, seed), stop - start, self._dimensions)


def from_callable(target: Callable[..., Any], limit: TimeLimit | None = None) -> CheckedCallable:
    """Return the generator of a callable that takes (count, seed).

    Args:
        target: The callable.
        limit: How long it may take; None stands for as long as it likes.
    """
    part = getattr(target, "sample_range", None)
    return CheckedSequence(target, part, limit) if callable(part) else CheckedCallable(target, limit)


def find_named(spec: str) -> Any:
    """Return the object that `package.module:name` names.

    Raises:
        CheckpointError: The module or the name does not exist, or the module cannot be imported.
    """
    if "" in spec.partition(":")[0].split("."):
        raise CheckpointError(f"The generator {spec!r} names no module. Write package.module:name.")
    if "" not in sys.path:  # console scripts do not look in the working directory, where a user's module lies
        sys.path.append("")
    return user_code.find_named(spec, "generator", CheckpointError)


def accepts(target: Callable[..., object], *arguments: object) -> bool:
    """Return whether a callable takes positional arguments; True where its parameters are not known."""
    try:
        inspect.signature(target).bind(*arguments)
    except TypeError:
        return False
    except ValueError:  # a callable of another language
        return True
    return True


# --------------------------------------------------------------------------------------------------- images made before


class ImagePool:
    """Return images made before, none of them twice for a seed.

    A seed names the images of its group where there is one. The others are dealt among the seeds that will be asked
    for, so that no two share an image; where these are not known, a seed names a shuffle of all.
    """

    def __init__(self, images: ImageSet, seeds: Sequence[int] = ()) -> None:
        """Keep the images.

        Args:
            images: The images; groups are names of seeds, or of anything else.
            seeds: The latent seeds that will be asked for; empty where they are not known.
        """
        self._images = images
        self._dealt = self._deal([seed for seed in seeds if not (images.groups == str(seed)).any()], seeds)
        named = f"pool {images.recipe} {len(images)}" + (f" dealt to {list(self._dealt)}" if self._dealt else "")
        self.identity = hashlib.sha256(named.encode() + _bytes(images)).hexdigest()
        self.training_recipe: str | None = None
        self.run_recipe: str | None = None
        self.training_seed: int | None = None
        self.window = images.window

    def dealt(self, seeds: Sequence[int]) -> ImagePool:
        """Return the same images for these latent seeds, of which no two share an image."""
        return ImagePool(self._images, seeds)

    def __call__(self, count: int, seed: int) -> UInt8:
        """Return the first `count` images that `seed` names."""
        return self.sample_range(0, count, seed)

    def sample_range(self, start: int, stop: int, seed: int) -> UInt8:
        """Return images start..stop of those that `seed` names.

        Raises:
            SettingsError: The range is empty or negative.
            CheckpointError: The set holds fewer images.
        """
        if not 0 <= start < stop:
            raise SettingsError(f"The range {start} to {stop} holds no images. Choose 0 <= start < stop.")
        own = np.flatnonzero(self._images.groups == str(seed))
        index = own if len(own) else self._dealt.get(seed, Stream(seed).permutation(len(self._images)))
        if stop > len(index):
            free = sum(map(len, self._dealt.values()))
            shared = f" (its share of the {free} images that have no seed)" if seed in self._dealt else ""
            fewer = ", give fewer seeds" if shared else ""
            raise CheckpointError(
                f"The set holds {len(index)} images of seed {seed}{shared}, and {stop} were asked for. Ask for fewer "
                f"with --medgan-samples{fewer}, or generate more."
            )
        return self._images.pixels[index[start:stop]]

    def _deal(self, without: Sequence[int], seeds: Sequence[int]) -> dict[int, Int64]:
        """Return the images of each seed that has no group: a share of those that are no other seed's."""
        free = np.flatnonzero(~np.isin(self._images.groups, [str(seed) for seed in seeds]))
        order = free[Stream(0).permutation(len(free))]
        return {seed: order[place :: len(without)] for place, seed in enumerate(without)}


def _bytes(images: ImageSet) -> bytes:
    """Return what names the images' content."""
    return np.ascontiguousarray(images.pixels).tobytes() + "\n".join(images.groups).encode()


def from_pool(path: Path) -> ImagePool:
    """Return the images of an .npz (as `medgan sample` writes it: its groups are seeds) or of a folder of pictures.

    Raises:
        CheckpointError: It holds no usable images; the error names the file.
    """
    try:
        images = read_folder(path) if path.is_dir() else read_npz(path, generated=True)
    except DataError as error:
        raise CheckpointError(str(error), file=error.file) from error
    if path.is_dir() or images.groups.tolist() == [str(i) for i in range(len(images))]:
        # numbers of images, not seeds
        images = ImageSet(images.pixels, np.full(len(images), ""), images.recipe, window=images.window)
    return ImagePool(images)
