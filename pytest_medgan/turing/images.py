"""Images of a reader study out of array files and folders of pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pytest_medgan.errors import DataError
from pytest_medgan.records import UInt8


def read_pixels(path: Path) -> UInt8 | None:
    """uint8 [N,1,H,W] out of an array file or a folder of pictures; None where it is neither."""
    pixels: UInt8
    try:
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as archive:
                pixels = archive["pixels"]
        elif path.suffix == ".npy":
            pixels = np.load(path, allow_pickle=False)
        elif path.is_dir() and (files := sorted(path.glob("*.png"))):
            from PIL import Image

            pixels = np.stack([np.asarray(Image.open(file).convert("L")) for file in files])
        else:
            return None
    except (OSError, KeyError, ValueError):
        raise DataError(
            "the images cannot be read; give an array `pixels` of uint8, or pictures of one size", file=path.name
        ) from None
    if pixels.ndim == 3:
        pixels = pixels[:, None]
    if pixels.dtype != np.uint8 or pixels.ndim != 4 or pixels.shape[1] != 1:
        raise DataError(f"images must be uint8 [N,1,H,W], not {pixels.dtype} {list(pixels.shape)}", file=path.name)
    return pixels
