"""The training images, ready to be searched for copies, and how near to them images of other patients come."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pytest_medgan.metrics.registration import Searchable, most_similar, prepare_search
from pytest_medgan.records import Float64, Int64, UInt8

LEAST_NEW = 20  # real images of patients outside of the training set, which set the thresholds
# With 0.5% and 0.25%, 17 of 100 gates of 1,024 images missed copies among 2% of them.
PIXEL_ALARMS = 0.001  # share of real images of new patients that count by their pixels
FEATURE_ALARMS = 0.001  # and by their features


@dataclass(frozen=True, eq=False)
class Memory:
    """The training images and how near to them real images of other patients come."""

    train: Searchable
    similarity: float  # above it, an image counts
    certain: float  # no real image of another patient was more similar
    distance: float | None  # features: below it, squared, an image counts; None where features are not known
    null: Float64  # [N], 1 for the real images that count, 0 for the others
    group: Int64  # [N], their patient's number


def prepare_memory(train: UInt8, real: UInt8, distances: Float64 | None = None, group: Int64 | None = None) -> Memory:
    """Return the training images ready to be searched, with the thresholds that real images set.

    Args:
        train: Training images, uint8 [T,C,H,W].
        real: Real images of other patients, uint8 [N,C,H,W].
        distances: Squared distances of the real images to their nearest training image, float64 [N], where known.
        group: Number of the patient of every real image, [N]; None: every image is a patient of its own.
    """
    ready = prepare_search(train)
    null = most_similar(real, ready)[0]
    similarity = float(np.quantile(null, 1 - PIXEL_ALARMS))
    counts = null > similarity
    distance = None if distances is None else float(np.quantile(distances, FEATURE_ALARMS, method="lower"))
    if distances is not None and distance is not None:
        counts |= distances < distance
    patients = np.arange(len(real)) if group is None else np.unique(group, return_inverse=True)[1]
    return Memory(ready, similarity, float(null.max()), distance, counts.astype(np.float64), patients)


def new_rows(groups: object, train_groups: object, count: int) -> Int64:
    """Return the rows of `count` real images whose patients the training set does not hold; all where none is named."""
    if groups is None or train_groups is None:
        return np.arange(count)
    return np.flatnonzero(~np.isin(np.asarray(groups), np.asarray(train_groups)))
