"""Images in one .npz file or in a folder of pictures, as an ImageSet."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pytest_medgan.errors import DataError
from pytest_medgan.ground.arrays import read_arrays
from pytest_medgan.ground.digests import digest_array, digest_values
from pytest_medgan.ground.listing import PICTURES, VOLUMES, list_files
from pytest_medgan.ground.pictures import SUFFIXES, PictureKind, holds_colour, read_picture
from pytest_medgan.records import ImageSet, UInt8

_GROUPS = ("groups", "patient")
_PATIENTS = ("patients", "patient_id")  # as studies in an .npz call them; `patients` may also list each patient once
_ARRAYS = ("pixels", "window", "recipe")
_UNKNOWN = -1  # the label of an image whose class nobody knows


def read_npz(path: Path, *, generated: bool = False) -> ImageSet:
    """Read images from an .npz file, without unpickling anything.

    The file holds `pixels`, uint8 [N,H,W] or [N,C,H,W], and may hold `groups` (or `patient`, `patients`, `patient_id`)
    [N], `labels` [N], `window` [2] and `recipe`. Without groups every image is its own group; without a recipe, pixels
    and labels are digested. Labels that are no whole numbers of -1 to 127 are left out: most trainings need none, and
    one with classes refuses images without labels.

    Args:
        path: The file.
        generated: The images are generated, so groups are latent seeds: patients and labels are not read.

    Raises:
        DataError: The file cannot be read, or its arrays are not these.
    """
    names = (*_ARRAYS, *_GROUPS) if generated else (*_ARRAYS, *_GROUPS, *_PATIENTS, "labels")
    arrays = read_arrays(path, name=path.name, only=names)
    if "pixels" not in arrays:
        raise DataError(
            "The array file has no array `pixels`. Save the images under this name with numpy.savez.", file=path.name
        )
    pixels = _as_images(arrays["pixels"], path)
    n = len(pixels)
    named = [arrays[name] for name in _GROUPS if name in arrays]
    named += [arrays[name] for name in _PATIENTS if name in arrays and arrays[name].shape == (n,)]
    groups = (named[0] if named else np.arange(n)).astype(np.str_)
    saved = arrays.get("labels")
    labels = None if saved is None else _labels(saved)
    if groups.shape != (n,) or (labels is not None and labels.shape != (n,)):
        raise DataError(
            f"The array file holds {n} images, but groups or labels of another length. Save one for each image.",
            file=path.name,
        )
    # runs were begun with whole numbers beyond these, wrapped to 8 bits; their training set keeps its name
    digested = saved.astype(np.int8) if saved is not None and labels is None and saved.dtype.kind in "iu" else labels
    made = digest_array(pixels) if digested is None else digest_values(digest_array(pixels), digest_array(digested))
    recipe = str(arrays["recipe"]) if "recipe" in arrays else made
    return ImageSet(pixels, groups, recipe, labels, _window(arrays.get("window"), path))


def _labels(values: npt.NDArray[Any]) -> npt.NDArray[np.int8] | None:
    """Return labels as they are kept, None where one is no whole number of -1 to 127; NaN is an unknown one."""
    try:
        numbers = values.astype(np.float64) if values.dtype.kind in "US" else values  # text may be numbers too
    except ValueError:
        return None
    if numbers.dtype.kind not in "iubf":
        return None
    whole = np.where(np.isnan(numbers), _UNKNOWN, numbers)
    if whole.size == 0 or (whole.min() >= _UNKNOWN and whole.max() <= 127 and (whole == np.rint(whole)).all()):
        return np.asarray(whole, np.int8)
    return None


def _window(values: npt.NDArray[Any] | None, path: Path) -> tuple[float, float] | None:
    """Return the HU of 0 and 255, or None."""
    if values is None:
        return None
    if values.shape != (2,) or values.dtype.kind not in "uif":
        raise DataError("The array `window` is not two numbers. Save the HU of grey 0 and 255.", file=path.name)
    return float(values[0]), float(values[1])


def _as_images(pixels: npt.NDArray[Any], path: Path) -> UInt8:
    """Return pixels as [N,C,H,W]."""
    if pixels.dtype != np.uint8 or pixels.ndim not in (3, 4) or pixels.size == 0:
        raise DataError(
            f"The array `pixels` is {pixels.dtype} {list(pixels.shape)}. Save uint8 [N,H,W] or [N,C,H,W].",
            file=path.name,
        )
    images: UInt8 = pixels[:, None] if pixels.ndim == 3 else pixels
    if images.shape[3] in (1, 3) and images.shape[1] not in (1, 3):  # channels last
        images = np.ascontiguousarray(np.moveaxis(images, 3, 1))
    return images


def read_folder(path: Path) -> ImageSet:
    """Read every picture under a folder, in the order of their names; hidden files and folders are left out.

    Where one is coloured all are read in colour, grey ones with three equal channels.

    Raises:
        DataError: The folder holds no picture, one that is damaged, not of 8 bits, or of another size, or
            images of another kind beside pictures.
    """
    listed = list_files(path)
    files = [path / file.name for file in listed if file.kind in PICTURES or file.suffix in SUFFIXES]
    others = [file for file in listed if file.kind in (*VOLUMES, "dicom", "npy", "npz")]
    if others:
        raise DataError(
            f"The folder holds {len(others)} files of other images ({', '.join(sorted({f.kind for f in others}))}) "
            f"beside {len(files)} pictures. Save them as pictures, or move them out.",
            file=others[0].name,
        )
    if not files:
        raise DataError(
            f"The folder holds no picture. Put files of these kinds there: {', '.join(SUFFIXES)}.", file=path.name
        )
    channels = 3 if any(holds_colour(file, name=file.name) for file in files) else 1
    pictures: list[UInt8] = []
    for file in files:
        picture = read_picture(file, name=file.name, channels=channels)
        if picture.kind is not PictureKind.GREY:
            raise DataError(f"The picture holds {picture.kind.value}. Save it as grey of 8 bits.", file=file.name)
        pictures.append(picture.values)
        if pictures[-1].shape != pictures[0].shape:
            raise DataError(
                f"The picture is {list(pictures[-1].shape)}, and the others are {list(pictures[0].shape)}. "
                "Save all at one size.",
                file=file.name,
            )
    stacked = np.stack(pictures)
    pixels = stacked[:, None] if channels == 1 else np.ascontiguousarray(np.moveaxis(stacked, -1, 1))
    return ImageSet(pixels, np.arange(len(pixels)).astype(np.str_), digest_array(pixels))
