"""Contact sheets and galleries of a model's images, as the page shows them."""

from __future__ import annotations

import sys
from dataclasses import dataclass

import numpy as np

from pytest_medgan.ground import sheets
from pytest_medgan.records import Evidence, Int64, UInt8
from pytest_medgan.report.numbers import percent_share
from pytest_medgan.report.record import ModelRecord
from pytest_medgan.report.selection import (
    GRID,
    duplicate_groups,
    flagged_images,
    furthest_outside,
    implausible_images,
    suspected_copies,
)

COLUMNS = 8  # of a contact sheet
TELLING = 12  # images of a small sheet on the first screen
TELLING_COLUMNS = 4
CLOSE, CLOSE_COLUMNS = 4, 2  # the same where details matter

_COPIES_TEXT = (
    "These images are nearly equal to an image that the model was trained on, pixel by pixel or after it was "
    "moved, turned, mirrored or shown in another window. The numbers are rows of the two sets. Some images are this "
    "similar by chance; the table gives the rate of real images of new patients."
)
_DUPLICATES_TEXT = (
    "Different latents give near-identical images. One image of each group is shown, the largest group first."
)
_ANOMALIES_TEXT = (
    "A classifier that was trained on altered real images takes these for altered ones, the most frequent kinds first. "
    "It flags about 2 in 100 real images too."
)
_IMPLAUSIBLE_TEXT = (
    "The anatomy of these images lies outside the range of real images: tissues by HU, the body outline, or noise. "
    "About 2 in 100 real images lie outside it as well."
)
_OUTSIDE_TEXT = (
    "These images lie outside the manifold of real images (improved precision, k=3), the least realistic first. "
    "Realism below 1 means outside."
)


@dataclass(frozen=True)
class Shown:
    """An image of the page with its text."""

    source: str  # data URI
    alt: str
    title: str = ""


@dataclass(frozen=True)
class Tile:
    """One entry of a gallery: one image or two, and what they are."""

    images: tuple[Shown, ...]
    caption: str


@dataclass(frozen=True)
class Gallery:
    """Images that show one kind of fault."""

    anchor: str
    title: str
    text: str
    metric: str  # the metric whose value the gallery explains, to link to its row of the table
    tiles: tuple[Tile, ...]


def contact_sheets(found: Evidence) -> dict[str, Shown]:
    """Return the contact sheets of baseline, this run and real images, where they are available.

    Args:
        found: Evidence with thumbnails.

    Returns:
        Sheets by title, in the order in which they are shown.
    """
    return {title: _sheet(title, images, COLUMNS) for title, images in _samples(found).items()}


def small_sheets(found: Evidence, *, large: bool = False) -> dict[str, Shown]:
    """Return the same sheets with their first images only, and sheets of images at fault, for the first screen.

    Args:
        found: Evidence with thumbnails.
        large: Show four images, twice as large, of the baseline and of this run: blur and noise are seen in no smaller.

    Returns:
        Sheets by title.
    """
    count = CLOSE if large else TELLING
    chosen = {title: images[:count] for title, images in _samples(found).items()}
    fake = _Album(found.thumbnails_fake, found.thumbnail_fake_index)
    for title, rows in (
        ("Least realistic", furthest_outside(found, TELLING)),
        ("Suspected copies", tuple(c.fake for c in suspected_copies(found, TELLING))),
        ("Repeated", tuple(d.members[0] for d in duplicate_groups(found, TELLING))),
        ("Looking wrong", tuple(row for row, _ in flagged_images(found, TELLING))),
        ("Implausible", tuple(row for row, _ in implausible_images(found, TELLING))),
    ):
        images = fake.stack(rows)
        if images is not None:
            chosen[title] = images
    columns = {title: CLOSE_COLUMNS if len(images) <= CLOSE else TELLING_COLUMNS for title, images in chosen.items()}
    return {title: _sheet(title, images, min(columns[title], len(images))) for title, images in chosen.items()}


def why_no_baseline_samples(model: ModelRecord) -> str:
    """Return why no samples of the baseline can be shown.

    Args:
        model: One model of a run, without such samples.

    Returns:
        One sentence.
    """
    if model.is_the_accepted_model:
        return "The baseline was measured on this same model, so its samples are the same."
    if model.baseline is None:
        return "There is no baseline yet whose samples could be shown."
    return (
        "The samples of the baseline are not available: its file keeps figures only, and the cache has no images of it."
    )


def galleries(found: Evidence) -> tuple[Gallery, ...]:
    """Return the galleries that have images.

    Args:
        found: Evidence with thumbnails.

    Returns:
        Suspected copies, duplicates, flagged images, and the least realistic images.
    """
    fake = _Album(found.thumbnails_fake, found.thumbnail_fake_index, "generated image")
    real = _Album(found.thumbnails_real, found.thumbnail_real_index, "nearest real image")
    train = _Album(found.thumbnails_train, found.thumbnail_train_index, "training image")
    copies = [
        _tile(f"No. {c.fake} and training image {c.train}", fake.get(c.fake), train.get(c.train))
        for c in suspected_copies(found)
    ]
    groups = [_tile(f"{d.size} times (No. {d.members[0]})", fake.get(d.members[0])) for d in duplicate_groups(found)]
    outside = []
    for i in furthest_outside(found):
        nearest = None if found.nearest_real is None else int(found.nearest_real[i])
        realism = "" if found.realism is None else f", realism {found.realism[i]:.2f}"
        outside.append(_tile(f"No. {i}{realism}", fake.get(i), real.get(nearest)))
    copied = len({copy.fake for copy in suspected_copies(found, count=sys.maxsize)})
    wrong = [_tile(f"No. {row} {kind.words}", fake.get(row)) for row, kind in flagged_images(found)]
    strange = [_tile(f"No. {row} {kind.words}", fake.get(row)) for row, kind in implausible_images(found)]
    repeated = 0 if found.duplicates is None else len(np.unique(found.duplicates))
    outside_text = _OUTSIDE_TEXT + (
        " The nearest real image is shown with each." if found.thumbnails_real is not None else ""
    )
    kinds = (
        ("copies", f"Suspected copies of training images ({copied:,})", _COPIES_TEXT, "copy_rate", copies),
        ("duplicates", f"Repeated images ({repeated:,})", _DUPLICATES_TEXT, "duplicate_rate", groups),
        ("anomalies", f"Images that look wrong{_count(found.anomalies)}", _ANOMALIES_TEXT, "anomaly_rate", wrong),
        (
            "implausible",
            f"Images of implausible anatomy{_count(found.implausible)}",
            _IMPLAUSIBLE_TEXT,
            "implausible_rate",
            strange,
        ),
        ("outside", f"Least realistic images{_share_outside(found)}", outside_text, "improved_precision", outside),
    )
    return tuple(Gallery(kind, title, text, metric, tuple(t)) for kind, title, text, metric, t in kinds if t)


class _Album:
    """Images by row number."""

    def __init__(self, images: UInt8 | None, index: Int64 | None, what: str = "image") -> None:
        self._images = images
        self._places = {} if index is None else {int(row): place for place, row in enumerate(index)}
        self._what = what

    def get(self, row: int | None) -> Shown | None:
        """Return the image of a row, or None where it was not kept."""
        if row is None or self._images is None or row not in self._places:
            return None
        return Shown(sheets.jpeg(self._images[self._places[row]]), f"{self._what} {row}")

    def stack(self, rows: tuple[int, ...]) -> UInt8 | None:
        """Return the images of those rows that were kept, or None without any."""
        known = [self._places[row] for row in rows if row in self._places]
        return self._images[known] if known and self._images is not None else None


def _samples(found: Evidence) -> dict[str, UInt8]:
    """Return the images of each contact sheet by title."""
    samples = {"Baseline": found.thumbnails_baseline}
    if found.thumbnails_fake is not None and found.thumbnail_fake_index is not None:
        samples["This run"] = found.thumbnails_fake[found.thumbnail_fake_index < GRID]
    if found.real_samples is not None:
        real = _Album(found.thumbnails_real, found.thumbnail_real_index)
        samples["Real"] = real.stack(tuple(int(row) for row in found.real_samples[:GRID]))
    return {title: images for title, images in samples.items() if images is not None and len(images)}


def _sheet(title: str, images: UInt8, columns: int) -> Shown:
    """Return a contact sheet with its text alternative."""
    kind = "real images of different patients" if title == "Real" else "generated images"
    alt = f"{title}: {len(images)} {kind} in {columns} columns"
    return Shown(sheets.jpeg(sheets.sheet(images, columns, 2)), alt, title)


def _share_outside(found: Evidence) -> str:
    """Return how many generated images lie outside the real manifold."""
    inside = found.fake_in_real
    if inside is None:
        return ""
    outside = int((~inside).sum())
    return f" ({outside:,} of {len(inside):,} lie outside, {percent_share(outside, len(inside))})"


def _count(flagged: Int64 | None) -> str:
    """Return how many images are flagged."""
    return "" if flagged is None else f" ({len(flagged):,})"


def _tile(caption: str, *images: Shown | None) -> Tile:
    """Return a tile of the images that were kept."""
    return Tile(tuple(image for image in images if image is not None), caption)
