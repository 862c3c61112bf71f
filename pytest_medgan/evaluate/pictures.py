"""Add to the evidence what a report shows as pictures, while features and pixels are in memory."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from pytest_medgan.errors import MetricInputError
from pytest_medgan.evaluate.projection import POINTS, project
from pytest_medgan.evaluate.volumes import middle_slices
from pytest_medgan.ground.sheets import as_pictures
from pytest_medgan.records import Evidence, Float32, ImageSet, Int64, Progress, UInt8, no_progress
from pytest_medgan.report.selection import chosen_images, one_per_group


def with_pictures(
    evidence: Evidence,
    *,
    real: ImageSet,
    fake: ImageSet,
    real_features: Float32,
    fake_features: Float32,
    train: ImageSet | None = None,
    include_real: bool = False,
    points: int = POINTS,
    seed: int = 0,
    folder: Path | None = None,
    progress: Progress = no_progress,
) -> Evidence:
    """Return evidence with coordinates, thumbnails and grey-level histograms.

    Args:
        evidence: What the metrics gathered. Histograms and a window that it already has are kept.
        real: The reference images.
        fake: The generated images of the first sample group.
        real_features: float32 [N,D], features of `real`.
        fake_features: float32 [M,D], features of `fake`.
        train: The images that the generator was trained on, where they are known.
        include_real: Whether to keep pictures of real and training images, which are patient data.
        points: Highest number of points of the projection.
        seed: Seed of the projection.
        folder: Where the projection is kept for a later run; None keeps it nowhere.
        progress: Told of the projection, which takes longest.

    Returns:
        The evidence with pictures.

    Raises:
        MetricInputError: Features and images differ in number.
    """
    for side, features, images in (("real", real_features, real), ("fake", fake_features, fake)):
        if len(features) != len(images):
            raise MetricInputError(
                f"{side}_features has {len(features)} rows and {side} {len(images)} images. "
                "Give the features of these images."
            )
    progress("placing images in the plane", 0, 1)
    plane = project(real=real_features, fake=fake_features, points=points, seed=seed, folder=folder)
    progress("placing images in the plane", 1, 1)
    drawn = replace(
        evidence,
        coordinates=None if plane is None else plane.coordinates,
        coordinate_is_real=None if plane is None else plane.is_real,
        coordinate_index=None if plane is None else plane.index,
        histogram_real=_histogram(real.pixels) if evidence.histogram_real is None else evidence.histogram_real,
        histogram_fake=_histogram(fake.pixels) if evidence.histogram_fake is None else evidence.histogram_fake,
        window=real.window if evidence.window is None else evidence.window,
        real_samples=one_per_group(real.groups),
    )
    chosen = chosen_images(drawn)
    fake_rows = _rows_within(chosen.fake, fake)
    drawn = replace(drawn, thumbnails_fake=_pictures(fake, fake_rows), thumbnail_fake_index=fake_rows)
    if not include_real:
        return replace(
            drawn, thumbnails_real=None, thumbnail_real_index=None, thumbnails_train=None, thumbnail_train_index=None
        )
    real_rows, train_rows = _rows_within(chosen.real, real), _rows_within(chosen.train, train)
    return replace(
        drawn,
        thumbnails_real=_pictures(real, real_rows),
        thumbnail_real_index=real_rows,
        thumbnails_train=None if train is None else _pictures(train, train_rows),
        thumbnail_train_index=None if train is None else train_rows,
    )


def _pictures(images: ImageSet, rows: Int64) -> UInt8:
    """Return rows of a set as pictures, volumes by their middle slice."""
    return as_pictures(middle_slices(images.pixels[rows]))


def _histogram(pixels: UInt8) -> Int64:
    """Return the number of pixels at each level: int64 [256], in colour [3,256]."""
    counts = [np.bincount(pixels[:, channel].ravel(), minlength=256) for channel in range(pixels.shape[1])]
    return np.array(counts, np.int64).squeeze()


def _rows_within(rows: Int64, images: ImageSet | None) -> Int64:
    """Return the rows that the set has."""
    return rows[:0] if images is None else rows[rows < len(images)]
