"""Eight canned images made by integer arithmetic, and the projection that shrinks their features to a canary.

The canary is stored in a baseline: when the features of these images have moved by more than the numeric class allows,
the machine, a library or the weights compute something else, and scores may not be compared.
"""

from __future__ import annotations

import numpy as np

from pytest_medgan.records import Float32, Float64, UInt8

SIZE = 128
NUMBERS = 16  # a canned image


def canned_images() -> UInt8:
    """uint8 [8,1,128,128]: discs, ramps, checks, rings and blobs, the same to the bit everywhere."""
    row, column = np.mgrid[0:SIZE, 0:SIZE].astype(np.int64)
    y, x = 2 * row - (SIZE - 1), 2 * column - (SIZE - 1)  # odd, -127..127
    square = y * y + x * x
    disc = np.where(square < 80 * 80, 200, 30)
    thorax = np.where(4 * y * y + 2 * x * x < 2 * 110 * 110, 150, 5)
    for side in (-1, 1):
        lung = 2 * (x - side * 50) ** 2 + y * y < 66 * 66
        thorax = np.where(lung, 25 + (row * 7 + column * 11) % 23, thorax)
    thorax = np.where((y - 60) ** 2 + x * x < 20 * 20, 240, thorax)
    blobs = np.zeros_like(row)
    for k in range(12):
        away = (row - (k * 37 + 11) % SIZE) ** 2 + (column - (k * 53 + 29) % SIZE) ** 2
        blobs += 120 * 100 // (100 + away)
    images = [
        disc,
        thorax,
        np.minimum(blobs, 255),
        (row + column) * 255 // (2 * (SIZE - 1)),
        np.where((row // 8 + column // 8) % 2 == 0, 220, 40),
        (square // 64) % 256,
        np.where(square < 100 * 100, row * 2, 255 - column * 2),
        np.where((row // (2 + column // 16)) % 2 == 0, 90 + column, 20),
    ]
    return np.stack([np.clip(image, 0, 255).astype(np.uint8) for image in images])[:, None]


def project(features: Float32) -> tuple[float, ...]:
    """float32 [8,D] => 8 * 16 numbers: a fixed +-1 projection over sqrt(D), in float64."""
    width = features.shape[1]
    raw = np.asarray(np.random.PCG64(20220630).random_raw(width * NUMBERS), dtype=np.uint64)
    signs: Float64 = ((raw >> np.uint64(63)).astype(np.float64) * 2.0 - 1.0).reshape(width, NUMBERS)
    return tuple(float(value) for value in (features.astype(np.float64) @ signs / np.sqrt(width)).ravel())
