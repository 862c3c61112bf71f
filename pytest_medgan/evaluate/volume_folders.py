"""A folder of generated volumes where a command names a generator: read as the gate reads it, with options of the data.

A command has no real images that say how to cut the volumes, so these options of `--medgan-data` may follow the folder:
`FOLDER,crop=image,size=64`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from os.path import exists
from pathlib import Path

from pytest_medgan.errors import SettingsError
from pytest_medgan.evaluate.settings import parse_data
from pytest_medgan.evaluate.volumes import VolumePool, is_volume_folder, read_volumes
from pytest_medgan.ground.specs import parse_spec
from pytest_medgan.records import DataSettings, Progress, RealSets, no_progress

CUTTING_OPTIONS = ("crop", "crop_size", "size", "window", "slices", "planes")  # options that say how volumes are cut


def find_volumes(text: str, subject: str, *, middle: bool = False) -> DataSettings | None:
    """Return how to read the folder of volumes that a string names; None where it names something else.

    Args:
        text: `FOLDER[,key=value...]`, or any other name of a generator.
        subject: What the string was given to, as messages call it.
        middle: The middle slice of each volume will be taken, so options that choose slices have no place.

    Raises:
        SettingsError: An option is unknown or says nothing of how volumes are cut, or its value cannot be used.
    """
    from pytest_medgan.gan.loading import is_model_folder

    is_whole = exists(text)
    spec = None if is_whole else parse_spec(text, subject)
    path = Path(text if spec is None else spec.name)
    if not path.is_dir() or is_model_folder(path) or not is_volume_folder(path):
        return None
    if spec is None:
        return DataSettings(source=text)
    taken = [key for key in CUTTING_OPTIONS if not (middle and key in ("slices", "planes"))]
    if others := [key for key in spec.options if key not in taken]:
        known = ", ".join(f"{key}=" for key in taken)
        raise SettingsError(f"{subject} is a folder of volumes and takes no {others[0]}=. Choose from {known}.")
    return parse_data(text, subject)


def open_volumes(
    data: DataSettings,
    seeds: Sequence[int],
    *,
    real: RealSets | None = None,
    middle: bool = False,
    cache_dir: Path,
    progress: Progress = no_progress,
) -> VolumePool:
    """Return the volumes of a folder as a generator.

    Args:
        data: What `find_volumes` returned.
        seeds: The latent seeds that will be asked for; each gets volumes of its own.
        real: Real images; the volumes are read with their settings, and `data` must then hold no options.
        middle: Take the middle axial slice of each volume alone.
        cache_dir: Folder where prepared images are kept.
        progress: Called while files are read.

    Raises:
        SettingsError: Both `real` and `data` say how the volumes are read.
        CheckpointError: A file cannot be used; the error names it.
        DataError: The real images have no window.
    """
    window: tuple[float, float] | None = data.window
    if real is not None:
        if data != DataSettings(source=data.source):
            raise SettingsError(
                "The folder of generated volumes is read as the real images are, and has options of its own. Leave "
                "them out."
            )
        data, window = replace(real.settings, source=data.source), real.reference.window
    if middle:
        data = replace(data, slices=1, planes="axial")
    return read_volumes(Path(data.source), data, seeds, window=window, cache_dir=cache_dir, progress=progress)
