"""Draw a generator's images once, check them and keep them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from itertools import combinations

import numpy as np

from pytest_medgan.errors import CheckpointError, SettingsError
from pytest_medgan.evaluate.shared import SharedScores
from pytest_medgan.evaluate.suspicion import NOISE
from pytest_medgan.records import ImageSource, Int64, Names, UInt8

_OTHER_CHANNELS = {  # channels of the generated images -> what is wrong with them
    1: "The generator draws grey images, and the real ones are in colour (channels=3 in --medgan-data). Make it return "
    "[N,3,H,W]; for grey real images leave channels=3 out.",
    3: "The generator draws images in colour, and the real ones are grey. Add channels=3 to --medgan-data, or make it "
    "return [N,1,H,W].",
}

REPEATED = 4  # images that are asked for twice
FIRST_IMAGES = 32  # drawn and checked before all others; generators of this package draw no fewer at a time


@contextmanager
def named_errors(name: str) -> Iterator[None]:
    """Prefix errors of a generator with its model's name: one of several may be at fault."""
    try:
        yield
    except (CheckpointError, SettingsError) as error:
        raise type(error)(f"Model {name!r}: {error}", file=error.file) from error


class DrawnImages:
    """The images of one generator, by latent seed.

    A generator that can draw a range draws only what a look needs. Any other draws the full count at once, and a look
    then takes a seeded random part of it, never its beginning: what is wrong with the last images must show early.
    """

    def __init__(
        self,
        source: ImageSource,
        *,
        full: int,
        shape: tuple[int, ...],
        key: str,
        name: str,
        shared: SharedScores | None = None,
        whole: bool = False,
    ) -> None:
        """Prepare; nothing is drawn yet.

        Args:
            source: The generator.
            full: Images per sample group at the full count.
            shape: [C,H,W] of the real images, which every image must have.
            key: Names the evaluation among those of the session.
            name: What errors call the model.
            shared: Where other processes find the images; None where there is one process.
            whole: Draw the full count at once even where ranges can be drawn, so that a look takes the same positions
                as that of a model which cannot.
        """
        self._source = source
        self._full = full
        self._shape = shape
        self._key = key
        self._name = name
        self._shared = shared if source.shares_images else None
        self._whole = whole or source.draw_range is None
        self._kept: dict[int, UInt8] = {}
        self._repeats = False  # whether equal requests were found to give equal images, or cannot be compared

    def check(self, seed: int, n: int) -> None:
        """Draw the first images of a seed, at most `n`, and check them; all where no part can be drawn.

        Raises:
            CheckpointError: As `take` raises.
        """
        self._drawn(seed, self._full if self._source.draw_range is None else min(n, FIRST_IMAGES))

    def take(self, seed: int, n: int) -> UInt8:
        """Return the `n` images of a look, uint8 [n,C,H,W]; a larger look of the seed begins with the same images.

        Raises:
            CheckpointError: The generator returned something else than what was asked for.
        """
        if self._whole:
            return self._drawn(seed, self._full)[look_order(seed, self._full)[:n]]
        return self._drawn(seed, n)[:n]

    def sequence(self, seed: int, n: int) -> UInt8:
        """Return the first `n` images of a seed in the generator's order, or all where all were drawn at once."""
        return self._drawn(seed, self._full) if self._whole else self._drawn(seed, n)[:n]

    def groups(self, seed: int, n: int) -> Names | None:
        """Return the group of each image of a look, [n]; None where images are independent."""
        if self._source.groups is None:
            return None
        if self._whole:
            return self._source.groups(self._full, seed)[look_order(seed, self._full)[:n]]
        return self._source.groups(n, seed)

    def _check_repeats(self, seed: int, n: int) -> None:
        """Ask twice for a few images of a seed, where nothing says that equal requests give equal images.

        Raises:
            CheckpointError: The images differ.
        """
        if self._source.identity is not None or self._repeats or n < 2:
            return
        count = min(n, REPEATED if self._source.volume_shape is None else 2)
        draw = self._source.draw if self._source.draw_range is None else partial(self._source.draw_range, 0)
        few: list[UInt8] = []
        # it may draw the full count only, or fail otherwise: the images that are measured are checked on their own
        with suppress(Exception):
            few.extend(checked_images(draw(count, seed), count, self._shape) for _ in range(2))
        if len(few) == 2 and _differ(*few):
            raise CheckpointError(
                "The generator draws other images when asked again for the same seed. Pass the seed to every random "
                "number generator that it makes, "
                + (
                    "such as np.random.default_rng(seed)."
                    if self._source.draw_range is None
                    else "such as np.random.default_rng([seed, index]) for each image."
                )
            )
        self._repeats = True

    def _drawn(self, seed: int, n: int) -> UInt8:
        """Return the first `n` images or more of a seed's sequence, drawing only what was not drawn before."""
        kept = self._kept.get(seed)
        if self._shared is not None and (kept is None or len(kept) < n):
            elsewhere = self._shared.images(self._key, seed)
            if elsewhere is not None and (kept is None or len(elsewhere) > len(kept)):
                kept = elsewhere
        have = 0 if kept is None else len(kept)
        if kept is None or have < n:
            with named_errors(self._name):
                if not have:
                    self._check_repeats(seed, n)
                if self._source.draw_range is None:
                    kept = checked_images(self._source.draw(n, seed), n, self._shape)
                else:
                    fresh = checked_images(self._source.draw_range(have, n, seed), n - have, self._shape)
                    kept = fresh if kept is None else np.concatenate([kept, fresh])
            if self._shared is not None:
                self._shared.keep_images(self._key, seed, kept)
        self._kept[seed] = kept
        return kept


def _differ(first: UInt8, second: UInt8) -> bool:
    """Return whether a second request gave other images.

    One of them then lies farther from its first version than half of the distance between two images of one request.
    Rounding on a graphics card changes a few pixels by one grey level and stays below that.
    """
    among = float(np.mean([_gap(a, b) for a, b in combinations(first, 2)]))
    worst = max(_gap(a, b) for a, b in zip(first, second, strict=True))
    return bool(worst > max(NOISE, among / 2))


def _gap(first: UInt8, second: UInt8) -> float:
    """Return the distance of two images, root mean square, in grey levels."""
    return float(np.sqrt(np.square(first.astype(np.float32) - second).mean()))


def look_order(seed: int, full: int) -> Int64:
    """Return the order in which looks take the images of a seed that were drawn all at once, int64 [full]."""
    order: Int64 = np.random.Generator(np.random.PCG64([seed, full])).permutation(full)
    return order


def checked_images(pixels: object, count: int, shape: tuple[int, ...]) -> UInt8:
    """Return a copy of what a generator returned, uint8 [count, *shape].

    Raises:
        CheckpointError: The type or the shape is another one.
    """
    array = np.asarray(pixels)
    if array.dtype != np.uint8:
        raise CheckpointError(
            f"The generator returned {array.dtype} instead of uint8. Map its output to 0..255 and round."
        )
    if array.shape[:1] + array.shape[2:] == (count, *shape[1:]) and {array.shape[1], shape[0]} == {1, 3}:
        raise CheckpointError(_OTHER_CHANNELS[array.shape[1]])
    if array.ndim == len(shape) + 1 == 4 and array.shape[:2] == (count, shape[0]) and array.shape[2:] != shape[1:]:
        (rows, columns), wanted = array.shape[2:], f"{shape[1]}x{shape[2]}"
        resized = f", or set size={rows} in --medgan-data or --data" if rows == columns else ""
        raise CheckpointError(
            f"The generator returned images of {rows}x{columns} pixels, and the real images have {wanted}. "
            f"Make it draw {wanted}{resized}."
        )
    if array.shape != (count, *shape):
        raise CheckpointError(
            f"The generator returned shape {list(array.shape)} where {[count, *shape]} was asked for. "
            "Return exactly `count` images of the real images' size."
        )
    return array.copy()  # a generator may use one array for all that it returns
