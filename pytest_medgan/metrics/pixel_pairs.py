"""Images that are nearly the same pixel by pixel, found without comparing all pixels of all pairs.

The root mean square difference of two images is at least that of their block means. So pairs that are far apart as
32x32 thumbnails are far apart as images; the few others are compared in full, in whole numbers.
"""

from __future__ import annotations

import math

import numpy as np
import torch

from pytest_medgan.metrics.pairwise import Points, points, products, to_distances_
from pytest_medgan.records import Float32, Float64, Int64, UInt8

SIDE = 32  # pixels of a thumbnail
CANDIDATES = 16  # thumbnails compared in full for each image, the nearest first


def thumbnails(images: UInt8, centre: torch.Tensor | None = None) -> tuple[Points, torch.Tensor]:
    """Return block means and their centre, scaled so that no squared distance exceeds that of the images.

    Args:
        images: uint8 [N,C,H,W].
        centre: float64 [C h w], the centre of the thumbnails to compare with; None takes these thumbnails' mean.
    """
    step_y, step_x = (max(1, side // SIDE) for side in images.shape[2:])
    sums = np.concatenate(
        [_block_sums(part, step_y, step_x) for part in np.array_split(images, len(images) // 256 + 1)]
    )
    means = sums.reshape(len(images), -1) / np.float32(step_y * step_x) * np.float32((step_y * step_x) ** 0.5)
    raw = torch.from_numpy(means)
    centre = raw.double().mean(0) if centre is None else centre
    return points(raw, centre), centre


def _block_sums(images: UInt8, step_y: int, step_x: int) -> Float32:
    """Return the sums of blocks of uint8 [N,C,H,W], float32 [N,C,h,w]; edge pixels that fill no block are left out."""
    high, wide = images.shape[2] // step_y * step_y, images.shape[3] // step_x * step_x
    rows = np.zeros((*images.shape[:2], high // step_y, wide), np.uint32)
    for first in range(step_y):
        rows += images[:, :, first:high:step_y, :wide]
    sums = np.zeros((*rows.shape[:3], wide // step_x), np.uint32)
    for first in range(step_x):
        sums += rows[..., first::step_x]
    return sums.astype(np.float32)


def difference(left: UInt8, right: UInt8) -> Float64:
    """Return the root mean square difference of image pairs uint8 [P,C,H,W], float64 [P], in grey levels."""
    gap = left.astype(np.int32) - right
    return np.asarray(np.sqrt(np.square(gap).sum((1, 2, 3), dtype=np.int64) / math.prod(left.shape[1:])))


def near_pairs(left: UInt8, right: UInt8 | None, distance: float, *, most: int) -> Int64:
    """Return pairs of images within a distance of each other.

    Of an image's candidates the 16 with the nearest thumbnails are compared.

    Args:
        left: uint8 [N,C,H,W].
        right: uint8 [M,C,H,W]; None pairs the images of `left` among themselves, each pair seen from both sides.
        distance: Largest root mean square difference, in grey levels.
        most: Pairs reported for each left image.

    Returns:
        int64 [P,2], row of left and row of right.
    """
    small, centre = thumbnails(left)
    other = small if right is None else thumbnails(right, centre)[0]
    against = left if right is None else right
    limit = distance**2 * left[0].size
    count = min(CANDIDATES + (right is None), len(other))
    pairs = [np.empty((0, 2), np.int64)]
    for part, block in products(small, other):
        squared = to_distances_(block, small.norms[part], other.norms)
        if right is None:
            squared.diagonal(offset=part.start).fill_(torch.inf)
        near, index = torch.topk(squared, count, largest=False)
        doubt = small.slack * (3 * small.norms[part] + 2 * near[:, 0])
        candidate = (near <= (limit + doubt)[:, None]).numpy()
        found = np.zeros(len(near), np.int64)
        for slot in range(count):
            rows = np.flatnonzero(candidate[:, slot] & (found < most))
            for some in np.array_split(rows, len(rows) // 256 + 1):
                mates = index.numpy()[some, slot]
                close = difference(left[some + part.start], against[mates]) <= distance
                found[some[close]] += 1
                pairs.append(np.stack([some[close] + part.start, mates[close]], 1))
    return np.concatenate(pairs)


def nearest_difference(images: UInt8) -> Float64:
    """Return each image's root mean square difference to its nearest other image, float64 [N], in grey levels.

    The nearest is looked for among the four images with the nearest thumbnails.
    """
    small, _ = thumbnails(images)
    count = min(4, len(images) - 1)
    least = np.full(len(images), np.inf)
    for part, block in products(small, small):
        squared = to_distances_(block, small.norms[part], small.norms)
        squared.diagonal(offset=part.start).fill_(torch.inf)
        index = torch.topk(squared, count, largest=False).indices.numpy()
        for start in range(0, len(index), 256):
            rows = np.arange(start, min(start + 256, len(index)))
            for slot in range(count):
                gap = difference(images[rows + part.start], images[index[rows, slot]])
                least[rows + part.start] = np.minimum(least[rows + part.start], gap)
    return least


def duplicate_distance(real: UInt8) -> float:
    """Return the grey levels below which two generated images are closer than real ones are to each other.

    It is half the distance below which only 1 percent of the real images [N,C,H,W] have a neighbour. Equal real images
    are left out; 0 where no two differ.
    """
    if len(real) < 2:
        return 0.0
    gaps = nearest_difference(real)
    gaps = gaps[gaps > 0]
    return 0.5 * float(np.quantile(gaps, 0.01)) if len(gaps) else 0.0
