"""The images that `medgan train` trains on."""

from __future__ import annotations

import argparse
import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_medgan.errors import SettingsError
from pytest_medgan.ground.processes import process

if TYPE_CHECKING:
    from pytest_medgan.ct.store import ImageSettings
    from pytest_medgan.records import ImageSet, Progress


def training_images(arguments: argparse.Namespace, size: int, progress: Progress) -> ImageSet:
    """Return the images that the arguments name.

    Args:
        arguments: The command line.
        size: Pixels a side.
        progress: Called while studies are read.

    Returns:
        The training role of a cohort or a prepared set, or all images of another .npz.

    Raises:
        MedganError: An argument cannot be used, or the images cannot be read.
    """
    from pytest_medgan.ct.store import load_prepared
    from pytest_medgan.ground.digests import digest_values

    path = Path(arguments.images)
    if not path.exists() and (found := re.search(r",\s*\w+=", arguments.images)):
        raise SettingsError(
            f"--images takes no options such as {found[0].strip(', ')}. Name the source alone, or give them to "
            "`medgan prepare` and train on what it writes."
        )
    prepared = load_prepared(path) if path.suffix == ".npz" else None
    if path.suffix == ".npz" and prepared is None:
        images = _images_of_file(path, arguments)
    else:
        images = _training_role(arguments, size, None if prepared is None else prepared.settings, progress)
    if arguments.limit is None:
        return images
    if not 1 <= arguments.limit <= len(images):
        raise SettingsError(
            f"--limit {arguments.limit} is out of range. Choose 1 to {len(images)}, the images of the set."
        )
    return replace(
        images.take(slice(0, arguments.limit)), recipe=digest_values("first images", images.recipe, arguments.limit)
    )


def _images_of_file(path: Path, arguments: argparse.Namespace) -> ImageSet:
    """Return all images of an .npz that `medgan prepare` did not write, and say so where it names patients."""
    from pytest_medgan.gan.pool import read_npz

    if arguments.patients is not None:
        raise SettingsError("--patients does not apply to an .npz that `medgan prepare` did not write. Leave it out.")
    images = read_npz(path)
    patients = len(set(images.groups.tolist()))
    if 1 < patients < len(images) and process() == 0:
        print(
            f"medgan: trains on all {len(images)} images of {patients} patients in the .npz. A gate that takes its "
            "reference and held-out patients from it judges images that the model has seen: train on what "
            "`medgan prepare` writes, or name a folder.",
            file=sys.stderr,
            flush=True,
        )
    return images


def _training_role(
    arguments: argparse.Namespace, size: int, prepared: ImageSettings | None, progress: Progress
) -> ImageSet:
    """Return the training role alone: no generator may have seen the reference and the held-out patients.

    Args:
        arguments: The command line.
        size: Pixels a side.
        prepared: Settings of the prepared set that the arguments name; None for another source.
        progress: Called while studies are read.
    """
    from pytest_medgan.evaluate.sources import load_real
    from pytest_medgan.records import DataSettings

    slices = 64 if arguments.slices is None else arguments.slices or None
    if prepared is not None:
        if arguments.slices is not None and slices != prepared.slices:
            raise SettingsError(
                "--slices has no effect on a set that `medgan prepare` wrote. Leave it out, or prepare again."
            )
        size, slices = prepared.size, prepared.slices  # the networks say themselves where their size is another one
    settings = DataSettings(
        source=arguments.images,
        split=arguments.split,
        seed=arguments.split_seed,
        crop=arguments.crop,
        size=size,
        slices=slices,
        patients=arguments.patients,
    )
    return load_real(settings, cache_dir=arguments.cache_dir, progress=progress).training
