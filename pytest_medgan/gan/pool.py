"""Images in one .npz file or in a folder of pictures, as an ImageSet."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from pytest_medgan.errors import DataError
from pytest_medgan.records import ImageSet, UInt8

PICTURES = (".png", ".tif", ".tiff", ".bmp", ".jpg", ".jpeg")


def read_npz(path: Path) -> ImageSet:
    """Images from an .npz file, without unpickling anything.

    Reads `pixels`, uint8 [N,H,W] or [N,C,H,W], and where they stand there `groups` (or `patient`) [N], `labels` [N],
    `window` [2] and `recipe`. Without groups every image is its own group; without a recipe the pixels are digested.

    Raises
    ------
    DataError
        The file cannot be read or holds no such pixels.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(
            "cannot be read as an .npz file of plain arrays; write it with numpy.savez", file=path.name
        ) from error
    if "pixels" not in arrays:
        raise DataError(f"holds {', '.join(sorted(arrays)) or 'nothing'}, but no array `pixels`", file=path.name)
    pixels = _as_images(arrays["pixels"], path)
    n = len(pixels)
    groups = arrays.get("groups", arrays.get("patient", np.arange(n))).astype(np.str_)
    labels = arrays["labels"].astype(np.int8) if "labels" in arrays else None
    if groups.shape != (n,) or (labels is not None and labels.shape != (n,)):
        raise DataError(f"holds {n} images but groups or labels of another length", file=path.name)
    window = tuple(map(float, arrays["window"])) if "window" in arrays else None
    recipe = str(arrays["recipe"]) if "recipe" in arrays else pixel_digest(pixels)
    return ImageSet(pixels, groups, recipe, labels, None if window is None else (window[0], window[1]))


def _as_images(pixels: np.typing.NDArray[Any], path: Path) -> UInt8:
    if pixels.dtype != np.uint8 or pixels.ndim not in (3, 4) or len(pixels) == 0:
        raise DataError(
            f"`pixels` is {pixels.dtype} {list(pixels.shape)}; it must be uint8 [N,H,W] or [N,C,H,W]", file=path.name
        )
    images: UInt8 = pixels[:, None] if pixels.ndim == 3 else pixels
    return images


def read_folder(path: Path) -> ImageSet:
    """Every picture (8-bit, one size) under a folder, in the order of their names; colour becomes grey.

    Raises
    ------
    DataError
        There is none, one cannot be read, or they differ in size.
    """
    from PIL import Image, UnidentifiedImageError

    files = sorted(file for file in path.rglob("*") if file.suffix.lower() in PICTURES)
    if not files:
        raise DataError(f"the folder holds no picture ({', '.join(PICTURES)})", file=path.name)
    pictures: list[UInt8] = []
    for file in files:
        try:
            with Image.open(file) as picture:
                if picture.mode not in ("L", "RGB", "RGBA", "P", "1", "LA"):
                    raise DataError(f"mode {picture.mode} is not 8-bit; convert it to 8-bit grey", file=file.name)
                pictures.append(np.asarray(picture.convert("L")))
        except (OSError, UnidentifiedImageError, SyntaxError) as error:
            raise DataError("cannot be read as a picture", file=file.name) from error
        if pictures[-1].shape != pictures[0].shape:
            raise DataError(f"is {pictures[-1].shape}, the pictures before it {pictures[0].shape}", file=file.name)
    pixels = np.stack(pictures)[:, None]
    return ImageSet(pixels, np.arange(len(pixels)).astype(np.str_), pixel_digest(pixels))


def pixel_digest(pixels: UInt8) -> str:
    """Hex digest of images, their shape included."""
    return hashlib.sha256(str(pixels.shape).encode() + np.ascontiguousarray(pixels).tobytes()).hexdigest()
