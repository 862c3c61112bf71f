"""The t-SNE picture with framed thumbnails (the paper's figure 4), and what its points show when pointed at."""

from __future__ import annotations

from dataclasses import dataclass

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.offsetbox import AnnotationBbox, OffsetImage

from pytest_medgan.ground import sheets
from pytest_medgan.ground.theme import FAKE, REAL
from pytest_medgan.records import Bool, Evidence, Float32, Int64, UInt8
from pytest_medgan.report.figures import STYLE, Picture, picture

SIDE = 7.0  # inches
EDGE = 1.12  # the axes' half width; the coordinates lie within -1..1
FRAMED = 70  # thumbnails in the picture
THUMBNAIL = 26  # points wide in the picture
TILE = 64  # pixels of a thumbnail on the sprite
SPRITE_QUALITY = 80  # of JPEG


@dataclass(frozen=True)
class Point:
    """One point as the page's script gets it; percentages of the picture."""

    left: float
    top: float
    real: bool
    index: int
    tile: int  # place on the side's sprite, -1 without a picture
    note: str


@dataclass(frozen=True)
class Plane:
    """Everything the page needs."""

    picture: Picture
    points: tuple[Point, ...]
    sprite_fake: str  # data URI, COLUMNS tiles wide
    sprite_real: str  # empty without pictures of real images
    columns: int


def plane(evidence: Evidence) -> Plane | None:
    """The plane, or None where there are no coordinates."""
    at, is_real, index = evidence.coordinates, evidence.coordinate_is_real, evidence.coordinate_index
    if at is None or is_real is None or index is None or not len(at):
        return None
    tiles = np.full(len(at), -1, np.int64)
    sprites = ["", ""]
    sides = (
        (~is_real, evidence.thumbnails_fake, evidence.thumbnail_fake_index),
        (is_real, evidence.thumbnails_real, evidence.thumbnail_real_index),
    )
    small: list[UInt8 | None] = [None, None]
    columns = max(int(np.ceil(np.sqrt(max(int((~is_real).sum()), int(is_real.sum()), 1)))), 1)
    for side, (mask, thumbnails, rows) in enumerate(sides):
        if thumbnails is None or rows is None or not len(rows):
            continue
        tiles[mask], kept = _tiles(index[mask], rows)
        shrunk = sheets.resized(thumbnails[kept], TILE)
        small[side] = shrunk
        sprites[side] = sheets.jpeg(sheets.sheet(shrunk, columns), SPRITE_QUALITY)
    left = 100 * (at[:, 0] / EDGE + 1) / 2
    top = 100 * (1 - at[:, 1] / EDGE) / 2
    points = tuple(
        Point(
            round(float(x), 2), round(float(y), 2), bool(real), int(i), int(tile), _note(evidence, bool(real), int(i))
        )
        for x, y, real, i, tile in zip(left, top, is_real, index, tiles, strict=True)
    )
    drawn = _draw(at, is_real, tiles, (small[0], small[1]))
    return Plane(drawn, points, sprites[0], sprites[1], columns)


def _tiles(index: Int64, rows: Int64) -> tuple[Int64, Int64]:
    """For each point the place of its picture on the sprite (-1 for none), and the thumbnails that the sprite needs."""
    place = np.searchsorted(rows, index)
    found = (place < len(rows)) & (rows[np.minimum(place, len(rows) - 1)] == index)
    tiles = np.full(len(index), -1, np.int64)
    tiles[found] = np.arange(int(found.sum()))
    return tiles, place[found].astype(np.int64)


def _note(evidence: Evidence, real: bool, index: int) -> str:
    """What hovering says beside the picture."""
    if real:
        member = evidence.real_in_fake
        where = "" if member is None else (", covered by generated images" if member[index] else ", not covered")
        return f"real image {index}{where}"
    inside = evidence.fake_in_real
    where = "" if inside is None else (", among real images" if inside[index] else ", outside the real manifold")
    realism = "" if evidence.realism is None else f", realism {evidence.realism[index]:.2f}"
    return f"generated image {index}{where}{realism}"


def _draw(at: Float32, is_real: Bool, tiles: Int64, small: tuple[UInt8 | None, UInt8 | None]) -> Picture:
    """Points under framed thumbnails, on axes that fill the picture, so that a place in it is a coordinate."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(SIDE, SIDE), facecolor="none")
        axes = figure.add_axes((0.0, 0.0, 1.0, 1.0), frameon=False, xlim=(-EDGE, EDGE), ylim=(-EDGE, EDGE))
        axes.set(xticks=[], yticks=[])
        for mask, colour, marker in ((is_real, REAL, "D"), (~is_real, FAKE, "o")):
            size = 9 if marker == "D" else 11
            axes.scatter(
                at[mask, 0],
                at[mask, 1],
                s=size,
                c=colour.stand_in,
                marker=marker,
                alpha=0.75,
                linewidths=0,
                rasterized=False,
            )
        for place in framed(at, tiles):
            real = bool(is_real[place])
            pictures = small[1] if real else small[0]
            if pictures is not None:
                _frame(axes, at[place], pictures[tiles[place]], real)
        counts = (
            f"{int(is_real.sum())} real images (red diamonds) and {int((~is_real).sum())} generated ones (blue discs)"
        )
        alt = f"A plane of {counts}, near where they are alike (t-SNE)."
        return picture(figure, "Real and generated images side by side", alt)


def framed(at: Float32, tiles: Int64, most: int = FRAMED) -> tuple[int, ...]:
    """Which points carry a thumbnail: spread over the plane, never on one another, sides in turn by chance."""
    apart = 2 * EDGE * THUMBNAIL / (72 * SIDE) * 1.15
    kept: list[int] = []
    for place in np.random.Generator(np.random.PCG64(0)).permutation(len(at)):
        if tiles[place] < 0 or len(kept) == most:
            continue
        if not kept or float(np.abs(at[kept] - at[place]).max(1).min()) > apart:
            kept.append(int(place))
    return tuple(kept)


def _frame(axes: Axes, at: Float32, picture: UInt8, real: bool) -> None:
    image = OffsetImage(picture, zoom=THUMBNAIL / len(picture), cmap="gray", norm=Normalize(0, 255))
    box = AnnotationBbox(image, (float(at[0]), float(at[1])), pad=0.12, frameon=True)
    box.patch.set(edgecolor=(REAL if real else FAKE).stand_in, linewidth=1.6)
    if not real:
        box.patch.set_boxstyle("round", pad=0.12, rounding_size=0.2)
    axes.add_artist(box)
