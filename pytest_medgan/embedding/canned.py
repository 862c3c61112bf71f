"""Eight canned images and volumes made by integer arithmetic, the same to the bit on every machine."""

from __future__ import annotations

import numpy as np

from pytest_medgan.records import UInt8

SIZE = 128


def canned_images() -> UInt8:
    """Return uint8 [8,1,128,128]: discs, ramps, checks, rings and blobs."""
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


def canned_volumes(shape: tuple[int, ...]) -> UInt8:
    """Return uint8 [8,1,D,H,W] of a shape [D,H,W]: the canned images, moved from plane to plane."""
    depth, rows, columns = shape
    images = canned_images()[:, 0]
    small = images[:, np.arange(rows) * SIZE // rows][:, :, np.arange(columns) * SIZE // columns]
    return np.stack([np.roll(small, (2 * plane, plane), (1, 2)) for plane in range(depth)], axis=1)[:, None]
