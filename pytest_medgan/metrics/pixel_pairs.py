"""Images that are nearly the same, pixel by pixel, without comparing all pixels of all pairs.

The root mean square difference of two images is at least that of their block means, so pairs that are far apart as
32x32 thumbnails are far apart; the few others are compared in full, in whole numbers.
"""

from __future__ import annotations

import numpy as np
import torch

from pytest_medgan.metrics.gram import Points, distances_, points, products
from pytest_medgan.records import Float64, Int64, UInt8

SIDE = 32  # pixels of a thumbnail
CANDIDATES = 16  # thumbnails looked at in full for each image, the nearest first


def thumbnails(images: UInt8, centre: torch.Tensor | None = None) -> tuple[Points, torch.Tensor]:
    """Block means, scaled so that their squared distance is at most the images' own; and their mean."""
    count, _, height, width = images.shape
    step_y, step_x = max(1, height // SIDE), max(1, width // SIDE)
    high, wide = height // step_y, width // step_x
    cut = images[:, 0, : high * step_y, : wide * step_x].reshape(count, high, step_y, wide, step_x)
    means = cut.mean((2, 4), dtype=np.float32).reshape(count, -1) * np.float32((step_y * step_x) ** 0.5)
    raw = torch.from_numpy(means)
    centre = raw.double().mean(0) if centre is None else centre
    return points(raw, centre), centre


def difference(left: UInt8, right: UInt8) -> Float64:
    """Root mean square difference of image pairs uint8 [P,1,H,W] in grey levels: float64 [P]."""
    gap = left.astype(np.int32) - right
    return np.asarray(np.sqrt(np.square(gap).sum((1, 2, 3), dtype=np.int64) / (left.shape[2] * left.shape[3])))


def near_pairs(left: UInt8, right: UInt8 | None, distance: float, *, most: int) -> tuple[Int64, Float64]:
    """Pairs int64 [P,2] (row of left, row of right) within `distance` grey levels, at most `most` a left row.

    `right=None` pairs the images of `left` among themselves, each pair then seen from both sides. Of an image's
    candidates the 16 with the nearest thumbnails are compared. Also the differences, float64 [P].
    """
    small, centre = thumbnails(left)
    other = small if right is None else thumbnails(right, centre)[0]
    against = left if right is None else right
    limit = distance**2 * left[0].size
    count = min(CANDIDATES + (right is None), len(other))
    pairs, gaps = [], []
    for part, block in products(small, other):
        squared = distances_(block, small.norms[part], other.norms)
        if right is None:
            squared.diagonal(offset=part.start).fill_(torch.inf)
        near, index = torch.topk(squared, count, largest=False)
        doubt = small.slack * (3 * small.norms[part] + 2 * near[:, 0])
        candidate = (near <= (limit + doubt)[:, None]).numpy()
        found = np.zeros(len(near), np.int64)
        for slot in range(count):
            rows = np.flatnonzero(candidate[:, slot] & (found < most))
            for chosen in np.array_split(rows, len(rows) // 256 + 1):
                mates = index.numpy()[chosen, slot]
                gap = difference(left[chosen + part.start], against[mates])
                close = gap <= distance
                found[chosen[close]] += 1
                pairs.append(np.stack([chosen[close] + part.start, mates[close]], 1))
                gaps.append(gap[close])
    if not pairs:
        return np.empty((0, 2), np.int64), np.empty(0)
    return np.concatenate(pairs), np.concatenate(gaps)


def nearest_difference(images: UInt8) -> Float64:
    """Root mean square difference of every image to the nearest other, of those with the nearest thumbnails: [N]."""
    small, _ = thumbnails(images)
    count = min(4, len(images) - 1)
    least = np.full(len(images), np.inf)
    for part, block in products(small, small):
        squared = distances_(block, small.norms[part], small.norms)
        squared.diagonal(offset=part.start).fill_(torch.inf)
        index = torch.topk(squared, count, largest=False).indices.numpy()
        for start in range(0, len(index), 256):
            rows = np.arange(start, min(start + 256, len(index)))
            for slot in range(count):
                gap = difference(images[rows + part.start], images[index[rows, slot]])
                least[rows + part.start] = np.minimum(least[rows + part.start], gap)
    return least
