"""What a report shows beside numbers, added to the evidence while features and pixels are at hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from pytest_medgan.errors import MetricInputError
from pytest_medgan.records import Evidence, Float32, Int64, Progress, UInt8, no_progress
from pytest_medgan.report.offenders import wanted
from pytest_medgan.report.tsne import POINTS, project

GRID = 48  # images in a sample grid


def with_pictures(
    evidence: Evidence,
    *,
    real_features: Float32,
    fake_features: Float32,
    real_pixels: UInt8,
    fake_pixels: UInt8,
    train_pixels: UInt8 | None = None,
    include_real: bool = False,
    window: tuple[float, float] | None = None,
    points: int = POINTS,
    seed: int = 0,
    progress: Progress = no_progress,
) -> Evidence:
    """Evidence with coordinates, thumbnails and grey-level histograms.

    Features are float32 [N,D] and [M,D], pixels uint8 [N,1,H,W] and [M,1,H,W] of the same images. Pictures of real and
    training images are taken only with `include_real`: they are patient data. Raises MetricInputError where features
    and pixels are not of the same images.
    """
    for side, features, pixels in (("real", real_features, real_pixels), ("fake", fake_features, fake_pixels)):
        if len(features) != len(pixels):
            raise MetricInputError(
                f"{side}_features has {len(features)} rows and {side}_pixels {len(pixels)}; "
                "give both of the same images"
            )
    progress("placing images in the plane", 0, 1)
    plane = project(real=real_features, fake=fake_features, points=points, seed=seed)
    progress("placing images in the plane", 1, 1)
    drawn = replace(
        evidence,
        coordinates=None if plane is None else plane.coordinates,
        coordinate_is_real=None if plane is None else plane.is_real,
        coordinate_index=None if plane is None else plane.index,
        histogram_real=_histogram(real_pixels) if evidence.histogram_real is None else evidence.histogram_real,
        histogram_fake=_histogram(fake_pixels) if evidence.histogram_fake is None else evidence.histogram_fake,
        window=window if evidence.window is None else evidence.window,
    )
    fake, real, train = wanted(drawn, GRID)
    fake_index = _within(fake, fake_pixels)
    drawn = replace(drawn, thumbnails_fake=fake_pixels[fake_index, 0], thumbnail_fake_index=fake_index)
    if not include_real:
        return replace(
            drawn, thumbnails_real=None, thumbnail_real_index=None, thumbnails_train=None, thumbnail_train_index=None
        )
    real_index, train_index = _within(real, real_pixels), _within(train, train_pixels)
    return replace(
        drawn,
        thumbnails_real=real_pixels[real_index, 0],
        thumbnail_real_index=real_index,
        thumbnails_train=None if train_pixels is None else train_pixels[train_index, 0],
        thumbnail_train_index=None if train_pixels is None else train_index,
    )


def _histogram(pixels: UInt8) -> Int64:
    return np.bincount(pixels.ravel(), minlength=256).astype(np.int64)


def _within(index: Int64, pixels: UInt8 | None) -> Int64:
    return index[:0] if pixels is None else index[index < len(pixels)]
