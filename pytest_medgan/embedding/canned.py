"""Eight canned images made by integer arithmetic, and the projection that shrinks their features to a canary.

The canary is stored in a baseline: when the features of these images have moved by more than the numeric class allows,
the machine, a library or the weights compute something else, and scores may not be compared.

It is kept in the store of features too, under all that could move it (`makers`): with nothing changed it is not
computed again. What an extractor of one's own reads from files is not among that; so where anything is to be embedded,
the canary is computed all the same and must be the stored one.
"""

from __future__ import annotations

import hashlib
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np

from pytest_medgan.records import Float32, Float64, UInt8

SIZE = 128
NUMBERS = 16  # a canned image
LIBRARIES = ("pytest-medgan", "torch", "torchvision", "numpy", "onnxruntime", "openvino", "timm")


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


def apart(ours: tuple[float, ...], theirs: tuple[float, ...]) -> float:
    """The distance of two canaries, relative to the second; NaN where one holds NaN."""
    first, second = np.asarray(ours), np.asarray(theirs)
    if first.shape != second.shape:
        return float("inf")
    scale = float(np.linalg.norm(second))
    return float(np.linalg.norm(first - second)) / (scale or 1.0)


def makers(extractor: object, device: str) -> str | None:
    """Hex digest of what computes the features: device, libraries, engine, source; None where there is no source.

    The source is that of this folder and of the module that an extractor of one's own lies in.
    """
    own = {type(extractor).__module__, str(getattr(extractor, "module", None) or __name__)}
    names = sorted(name for name in own if not name.startswith("pytest_medgan."))
    files = [
        *sorted(Path(__file__).parent.glob("*.py")),
        *(getattr(sys.modules.get(n), "__file__", None) for n in names),
    ]
    facts = (device, getattr(extractor, "engine", ""), *map(_version, LIBRARIES))
    whole = hashlib.sha256(repr(facts).encode())
    for file in files:
        try:
            whole.update(Path(file or "").read_bytes())
        except OSError:  # typed in by hand, or made by another program
            return None
    return whole.hexdigest()[:24]


def _version(library: str) -> str | None:
    try:
        return version(library)
    except PackageNotFoundError:
        return None
