"""The visual Turing test: one page on which readers say of each slice whether it is real or generated.

The paper's third future direction. The page stands by itself and makes no request; answers stay in the reader's browser
until they are saved as a JSON file, which `turing_score` reads.

Which image is which travels with the page only in a sealed form: mixed with a key stream that the page's own identity
gives. That keeps it from a glance at the source, and from nobody who takes the page apart. A study that must rule that
out keeps the key in a file of its own (`make_page(..., sealed=False)`) and gives it to the scoring alone.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np

from pytest_medgan.errors import DataError, SettingsError
from pytest_medgan.ground import sheets
from pytest_medgan.ground.pages import render_page
from pytest_medgan.records import UInt8
from pytest_medgan.turing.answers import SCHEMA, SCHEMA_VERSION
from pytest_medgan.turing.seal import seal

MOST = 1000  # images of both kinds on one page; a reader tires long before


@dataclass(frozen=True)
class TuringPage:
    """A page and what only its maker should know."""

    html: str
    identity: str  # 16 hex digits; answers name it
    key: tuple[bool, ...]  # for each place on the page, whether the image is real


def make_page(
    *,
    real: UInt8,
    fake: UInt8,
    count: int | None = None,
    seed: int = 0,
    window: tuple[float, float] | None = None,
    title: str = "Real or generated?",
    sealed: bool = True,
) -> TuringPage:
    """A page of `count` real and as many generated images in one seeded random order.

    `real` and `fake` are uint8 [N,1,H,W] and [M,1,H,W] of one size; `count` is at most the smaller set (default: all of
    it, up to 500); images are drawn from each set without replacement. `window` is the HU range of 0..255, for the
    window controls. With `sealed=False` the key stays out of the page. The images carry no name and no patient.
    Raises DataError where the images do not fit together, SettingsError where there are too few or too many.
    """
    if real.shape[1:] != fake.shape[1:] or real.ndim != 4 or real.shape[1] != 1:
        raise DataError(
            f"real and fake must be [N,1,H,W] of one size, not {list(real.shape)} and {list(fake.shape)}; "
            "prepare both in the same way"
        )
    available = min(len(real), len(fake), MOST // 2)
    taken = available if count is None else count
    if not 1 <= taken <= available:
        raise SettingsError(f"a page can show 1 to {available} images of each kind and {taken} were asked for")
    rng = np.random.Generator(np.random.PCG64(seed))
    chosen = [side[rng.choice(len(side), taken, replace=False), 0] for side in (real, fake)]
    order = rng.permutation(2 * taken)
    pixels = np.concatenate(chosen)[order]
    key = tuple(bool(place < taken) for place in order)
    digest = hashlib.sha256(repr(pixels.shape).encode() + pixels.tobytes() + bytes(key) + str(seed).encode())
    identity = digest.hexdigest()[:16]
    columns = int(np.ceil(np.sqrt(len(pixels))))
    config = {
        "schema": SCHEMA,
        "schema_version": SCHEMA_VERSION,
        "page": identity,
        "count": len(pixels),
        "columns": columns,
        "width": int(pixels.shape[2]),
        "height": int(pixels.shape[1]),
        "window": None if window is None else [float(edge) for edge in window],
        "check": seal(key, identity) if sealed else "",
    }
    html = render_page(
        "pytest_medgan.turing",
        "page",
        title=title,
        config=config,
        count=len(pixels),
        sprite=sheets.png(sheets.sheet(pixels, columns)),
    )
    return TuringPage(html, identity, key)
