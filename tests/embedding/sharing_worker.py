"""One of many processes that embed the same images into one folder; run by test_cache_processes.py.

Arguments: the folder, a log to which each embedded image is appended, a result file, seconds per image.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import numpy as np

from pytest_medgan.embedding.cache import Cache, image_digests
from pytest_medgan.records import Float32

IMAGES = 96
BLOCK = 8


def pixels() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (IMAGES, 1, 16, 16), dtype=np.uint8)


def features(given: np.ndarray) -> Float32:
    """Return the right features; the test computes them too."""
    return given.reshape(len(given), -1)[:, :32].astype(np.float32) / np.float32(7)


def main(folder: str, log: str, result: str, pause: float) -> None:
    images = pixels()

    def compute(index: list[int], done: int) -> tuple[Float32, Float32 | None]:
        time.sleep(pause * len(index))
        with Path(log).open("a") as stream:
            stream.write("".join(f"{os.getpid()} {i}\n" for i in index))
        return features(images[index]), None

    found, _ = Cache(Path(folder)).space("shared", "float32").gather(image_digests(images), compute, BLOCK)
    np.save(result, found)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], float(sys.argv[4]))
