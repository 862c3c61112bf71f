"""The t-SNE picture with framed thumbnails, and the image that the page shows for each point."""

from __future__ import annotations

from dataclasses import dataclass

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.offsetbox import AnnotationBbox, OffsetImage

from pytest_medgan.ground import sheets
from pytest_medgan.ground.theme import FAKE, MUTED, REAL
from pytest_medgan.records import Bool, Evidence, Float32, Int64, UInt8
from pytest_medgan.report.figures import STYLE, Picture, picture

WIDTH = 7.0  # inches
LEAST_HEIGHT = 3.5  # inches
MARGIN = 0.12  # around the points, in their coordinates
FRAMED = 60  # thumbnails in the picture
THUMBNAIL = 26  # width in the picture, in points (1/72 inch)
OFFSET = 0.75  # from a point to the middle of its thumbnail, in widths of a thumbnail
TILE = 64  # pixels of a thumbnail on a sprite
SPRITE_QUALITY = 80  # of JPEG

_DIRECTIONS = ((1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (-1, 1), (1, -1), (-1, -1))


@dataclass(frozen=True)
class Point:
    """One point for the page's script."""

    left: float  # percent of the picture's width
    top: float  # percent of the picture's height
    real: bool
    index: int  # row in its own set
    tile: int  # place on the sprite of its kind, -1 without a thumbnail
    note: str


@dataclass(frozen=True)
class Plane:
    """The picture and everything that its script needs."""

    picture: Picture
    points: tuple[Point, ...]
    sprite_fake: str  # data URI
    sprite_real: str  # data URI; empty without thumbnails of real images
    columns: int  # tiles in a row of a sprite


@dataclass(frozen=True)
class Frame:
    """The part of the plane that the picture shows: it fits the points and fills the width."""

    half_width: float  # in the points' coordinates
    half_height: float

    @property
    def height(self) -> float:
        """Height of the picture in inches."""
        return WIDTH * self.half_height / self.half_width

    @property
    def thumbnail(self) -> float:
        """Width of a thumbnail in the points' coordinates."""
        return 2 * self.half_width * THUMBNAIL / (72 * WIDTH)


@dataclass(frozen=True)
class Placed:
    """A thumbnail next to its point."""

    place: int  # of the point
    centre: tuple[float, float]  # of the thumbnail, in the points' coordinates


def plane(evidence: Evidence) -> Plane | None:
    """Return the plane, or None where there are no coordinates.

    Args:
        evidence: Holds coordinates and thumbnails.

    Returns:
        The picture, its points and the sprites of their thumbnails.
    """
    at, is_real, index = evidence.coordinates, evidence.coordinate_is_real, evidence.coordinate_index
    if at is None or is_real is None or index is None or not len(at):
        return None
    tiles = np.full(len(at), -1, np.int64)
    sprites = {False: "", True: ""}
    small: dict[bool, UInt8] = {}
    columns = int(np.ceil(np.sqrt(max(int((~is_real).sum()), int(is_real.sum()), 1))))
    sides = (
        (False, evidence.thumbnails_fake, evidence.thumbnail_fake_index),
        (True, evidence.thumbnails_real, evidence.thumbnail_real_index),
    )
    for side, thumbnails, rows in sides:
        if thumbnails is None or rows is None or not len(rows):
            continue
        mask = is_real == side
        tiles[mask], kept = _tiles(index[mask], rows)
        small[side] = sheets.resized(thumbnails[kept], TILE)
        sprites[side] = sheets.jpeg(sheets.sheet(small[side], columns), SPRITE_QUALITY)
    frame = frame_of(at)
    left = 50 * (at[:, 0] / frame.half_width + 1)
    top = 50 * (1 - at[:, 1] / frame.half_height)
    points = tuple(
        Point(
            round(float(x), 2), round(float(y), 2), bool(real), int(i), int(tile), _note(evidence, bool(real), int(i))
        )
        for x, y, real, i, tile in zip(left, top, is_real, index, tiles, strict=True)
    )
    return Plane(_draw(at, is_real, tiles, small, frame), points, sprites[False], sprites[True], columns)


def frame_of(at: Float32) -> Frame:
    """Return the frame that fits the points.

    Args:
        at: float32 [P,2], coordinates centred on zero, the first axis the wider one.

    Returns:
        The frame, whose picture is at least `LEAST_HEIGHT` high.
    """
    half_width, half_height = (float(np.abs(at[:, axis]).max()) + MARGIN for axis in (0, 1))
    return Frame(half_width, max(half_height, half_width * LEAST_HEIGHT / WIDTH))


def placed_thumbnails(at: Float32, tiles: Int64, frame: Frame, most: int = FRAMED) -> tuple[Placed, ...]:
    """Choose points whose thumbnails fit next to them, spread over the plane.

    Args:
        at: float32 [P,2], coordinates.
        tiles: int64 [P], -1 where a point has no thumbnail.
        frame: What the picture shows.
        most: Highest number of thumbnails.

    Returns:
        Thumbnails inside the frame that do not cover one another or their own point, in a seeded order.
    """
    size = frame.thumbnail
    room = np.array([frame.half_width - 0.6 * size, frame.half_height - 0.6 * size])
    kept: list[Placed] = []
    centres = np.empty((0, 2))
    for place in np.random.Generator(np.random.PCG64(0)).permutation(len(at)):
        if tiles[place] < 0:
            continue
        if len(kept) == most:
            break
        for direction in _DIRECTIONS:
            centre = at[place] + OFFSET * size * np.array(direction)
            if (np.abs(centre) > room).any():
                continue
            if kept and float(np.abs(centres - centre).max(1).min()) <= 1.2 * size:
                continue
            kept.append(Placed(int(place), (float(centre[0]), float(centre[1]))))
            centres = np.vstack([centres, centre])
            break
    return tuple(kept)


def _tiles(index: Int64, rows: Int64) -> tuple[Int64, Int64]:
    """Return for each point its place on the sprite (-1 for none), and the thumbnails that the sprite needs."""
    place = np.searchsorted(rows, index)
    found = (place < len(rows)) & (rows[np.minimum(place, len(rows) - 1)] == index)
    tiles = np.full(len(index), -1, np.int64)
    tiles[found] = np.arange(int(found.sum()))
    return tiles, place[found].astype(np.int64)


def _note(evidence: Evidence, real: bool, index: int) -> str:
    """Return what the page says of a point."""
    if real:
        covered = evidence.real_in_fake
        where = (
            "" if covered is None else (", near generated images" if covered[index] else ", near no generated image")
        )
        return f"real image {index}{where}"
    inside = evidence.fake_in_real
    where = "" if inside is None else (", near real images" if inside[index] else ", near no real image")
    realism = "" if evidence.realism is None else f", realism {evidence.realism[index]:.2f}"
    return f"generated image {index}{where}{realism}"


def _draw(at: Float32, is_real: Bool, tiles: Int64, small: dict[bool, UInt8], frame: Frame) -> Picture:
    """Draw points and thumbnails on axes that fill the picture, so that its positions are coordinates."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, frame.height), facecolor="none")
        x, y = frame.half_width, frame.half_height
        axes = figure.add_axes((0.0, 0.0, 1.0, 1.0), frameon=False, xlim=(-x, x), ylim=(-y, y))
        axes.set(xticks=[], yticks=[])
        for mask, colour, marker, size in ((is_real, REAL, "D", 9), (~is_real, FAKE, "o", 11)):
            axes.scatter(at[mask, 0], at[mask, 1], s=size, c=colour.stand_in, marker=marker, alpha=0.75, linewidths=0)
        for placed in placed_thumbnails(at, tiles, frame):
            real = bool(is_real[placed.place])
            _add_thumbnail(axes, at[placed.place], placed.centre, small[real][tiles[placed.place]], real)
        counts = (
            f"{int(is_real.sum())} real images (red diamonds) and {int((~is_real).sum())} generated ones (blue discs)"
        )
        return picture(figure, "Real and generated images", f"{counts}, close together where they are alike (t-SNE).")


def _add_thumbnail(axes: Axes, at: Float32, centre: tuple[float, float], image: UInt8, real: bool) -> None:
    """Add a framed thumbnail, joined to its point by a line."""
    colour = (REAL if real else FAKE).stand_in
    drawn = OffsetImage(image, zoom=THUMBNAIL / len(image), cmap="gray", norm=Normalize(0, 255))
    line = {"arrowstyle": "-", "color": MUTED.stand_in, "linewidth": 0.7, "shrinkA": 0, "shrinkB": 0}
    box = AnnotationBbox(
        drawn, (float(at[0]), float(at[1])), xybox=centre, boxcoords="data", pad=0.12, frameon=True, arrowprops=line
    )
    box.patch.set(edgecolor=colour, linewidth=1.6)
    if not real:
        box.patch.set_boxstyle("round", pad=0.12, rounding_size=0.2)
    axes.add_artist(box)
