"""Images of a reader study, read from array files and folders of pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pytest_medgan.errors import DataError
from pytest_medgan.ground.arrays import ALONE, read_arrays
from pytest_medgan.ground.pictures import read_picture
from pytest_medgan.records import UInt8


def read_pixels(path: Path) -> UInt8 | None:
    """Read images from an array file or a folder of pictures.

    Args:
        path: A `.npz` file with an array `pixels`, a `.npy` file, or a folder of `.png` pictures.

    Returns:
        uint8 [N,1,H,W], or None where the path is none of these.

    Raises:
        DataError: The file or folder cannot be read, or its images are not uint8 [N,1,H,W] or [N,H,W].
    """
    pixels: UInt8
    try:
        if path.suffix in (".npz", ".npy"):
            pixels = read_arrays(path, name=path.name, only=(ALONE,))[ALONE]
        elif path.is_dir() and (files := sorted(path.glob("*.png"))):
            pixels = np.stack([read_picture(file, name=file.name).values for file in files])
        else:
            return None
    except (OSError, KeyError, ValueError):
        raise DataError(
            "The images cannot be read. Give an array `pixels` of uint8, or pictures of one size.", file=path.name
        ) from None
    if pixels.ndim == 3:
        pixels = pixels[:, None]
    if pixels.dtype != np.uint8 or pixels.ndim != 4 or pixels.shape[1] != 1:
        raise DataError(
            f"The images are {pixels.dtype} {list(pixels.shape)} and must be uint8 [N,1,H,W], grey. Convert the array.",
            file=path.name,
        )
    return pixels
