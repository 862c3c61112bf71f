"""Slices that have the finished size already, as a generator makes them: they are taken whole."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from pytest_medgan.errors import DataError
from pytest_medgan.records import DataSettings

Shape = tuple[int, int]  # rows and columns of a slice


def settings_for(settings: DataSettings, shapes: Collection[Shape]) -> DataSettings:
    """Return the settings with which generated volumes are read: no crop where all have the finished size.

    Args:
        settings: Those of the real images; settings of real images themselves are returned as they are.
        shapes: Of the slices of each volume.
    """
    if settings.generated and all(shape == (settings.size, settings.size) for shape in shapes):
        return replace(settings, crop="image")
    return settings


def check_crop(settings: DataSettings, crop: str) -> None:
    """Check that generated volumes are cropped as the real images are.

    Args:
        settings: As `settings_for` returned them.
        crop: The crop that is possible: "tumour" or "image".

    Raises:
        DataError: The real images are cropped on the tumour, and of the volumes it is not known.
    """
    if settings.generated and settings.crop == "tumour" and crop == "image":
        size = f"{settings.size}x{settings.size}"
        raise DataError(
            "The real images are cropped on the tumour, and the generated volumes do not say where theirs is. Generate "
            f"slices of {size} pixels, which are taken whole, or give the real images crop=image."
        )


def crop_size_of(shape: Shape, settings: DataSettings, file: str) -> int:
    """Return how many pixels a side are cut of a DICOM slice.

    Args:
        shape: Of the slice.
        settings: What was asked for.
        file: What messages call the slice.

    Raises:
        DataError: A generated slice is smaller than the crop.
    """
    if not settings.generated:
        return settings.crop_size
    if shape == (settings.size, settings.size):
        return settings.size
    if min(shape) < settings.crop_size:
        raise DataError(
            f"A generated slice is {shape[0]}x{shape[1]}, smaller than crop_size={settings.crop_size}. Generate slices "
            f"of {settings.size}x{settings.size} pixels, which are taken whole, or larger ones.",
            file=file,
        )
    return settings.crop_size
