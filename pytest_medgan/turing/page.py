"""The page of the visual Turing test, on which readers say of each slice whether it is real or generated.

Jang et al. 2022 name such a test as future work. The page is one file and makes no request. Answers stay in the
reader's browser until the reader saves them as a file for `turing_accuracy`. The page does not hold the key: which
images are real is returned separately and belongs in a file that readers do not get.
"""

from __future__ import annotations

import random
import secrets
from dataclasses import dataclass

import numpy as np

from pytest_medgan.errors import DataError, SettingsError
from pytest_medgan.ground import sheets
from pytest_medgan.ground.pages import render_page
from pytest_medgan.records import UInt8
from pytest_medgan.turing.answers import SCHEMA, SCHEMA_VERSION
from pytest_medgan.turing.keys import PageKey

HIGHEST_COUNT = 500  # images of each kind on one page; readers tire long before

# name, key on the keyboard, centre and width in HU
PRESETS = (
    ("Lung", "l", -600.0, 1500.0),
    ("Soft tissue", "s", 40.0, 400.0),
    ("Bone", "b", 400.0, 1800.0),
)


@dataclass(frozen=True)
class TuringPage:
    """A page and its key."""

    html: str
    key: PageKey


def make_page(
    *,
    real: UInt8,
    fake: UInt8,
    count: int | None = None,
    window: tuple[float, float] | None = None,
    title: str = "Real or generated?",
    randomness: random.Random | None = None,
) -> TuringPage:
    """Make a page of equally many real and generated images in random order.

    Args:
        real: uint8 [N,1,H,W], real images.
        fake: uint8 [M,1,H,W], generated images of the same size.
        count: Images of each kind, drawn without replacement, 1 to 500. None takes as many as both sets have.
        window: HU of grey 0 and 255, for the window controls. None where it is unknown.
        title: Heading of the page.
        randomness: Source of the choice, the order and the key's nonce. None takes the system's secure source, so that
            nobody can repeat the draw. Pass a seeded one in tests only.

    Returns:
        The page, which carries no name of a file or a patient, and its key.

    Raises:
        DataError: The arrays have other shapes or sizes.
        SettingsError: `count` is not between 1 and the number of images at hand.
    """
    if real.ndim != 4 or fake.ndim != 4 or real.shape[1:] != fake.shape[1:] or real.shape[1] != 1:
        raise DataError(
            f"real and fake have shapes {list(real.shape)} and {list(fake.shape)} and must be [N,1,H,W] of one size. "
            "Prepare both in the same way."
        )
    available = min(len(real), len(fake), HIGHEST_COUNT)
    wanted = available if count is None else count
    if not 1 <= wanted <= available:
        raise SettingsError(
            f"The page cannot show {wanted} images of each kind, only 1 to {available}. Give another count."
        )
    source = secrets.SystemRandom() if randomness is None else randomness
    chosen = [(True, i) for i in source.sample(range(len(real)), wanted)]
    chosen += [(False, i) for i in source.sample(range(len(fake)), wanted)]
    source.shuffle(chosen)
    pixels = np.stack([(real if is_real else fake)[i, 0] for is_real, i in chosen])
    key = PageKey(
        page=f"{source.getrandbits(64):016x}",
        nonce=f"{source.getrandbits(256):064x}",
        images=tuple("real" if is_real else "generated" for is_real, _ in chosen),
    )
    columns = int(np.ceil(np.sqrt(len(pixels))))
    config = {
        "schema": SCHEMA,
        "schema_version": SCHEMA_VERSION,
        "page": key.page,
        "commitment": key.commitment,
        "count": len(pixels),
        "columns": columns,
        "width": int(pixels.shape[2]),
        "height": int(pixels.shape[1]),
        "window": None if window is None else [float(edge) for edge in window],
        "presets": [] if window is None else _presets(*window),
    }
    html = render_page(
        "pytest_medgan.turing",
        "page",
        title=title,
        config=config,
        count=len(pixels),
        presets=config["presets"],
        sprite=sheets.png(sheets.sheet(pixels, columns)),
    )
    return TuringPage(html, key)


def _presets(low: float, high: float) -> list[dict[str, str | float]]:
    """Return the window presets that fit the images: those whose centre lies within the images' window."""
    return [
        {"name": name, "key": key, "centre": centre, "width": width}
        for name, key, centre, width in PRESETS
        if low <= centre < high
    ]
