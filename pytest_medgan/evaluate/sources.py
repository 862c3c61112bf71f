"""Real images by name: `phantom` is written as studies first, anything else is a path; one reader reads both."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_medgan.errors import SettingsError
from pytest_medgan.ground.files import make_private_folder, new_folder, remove_leftovers
from pytest_medgan.ground.locks import locked
from pytest_medgan.records import DataSettings, Progress, RealSets, no_progress

if TYPE_CHECKING:
    from pytest_medgan.ct.store import Prepared

PHANTOM = re.compile(r"phantom(?::(?P<patients>\d{1,5})(?:x(?P<slices>\d{1,4}))?(?:@(?P<seed>\d{1,9}))?)?")
PHANTOM_PATIENTS, PHANTOM_SLICES = 96, 10


def load_real(settings: DataSettings, *, cache_dir: Path, progress: Progress = no_progress) -> RealSets:
    """Return the training, reference and held-out images of a source; see `pytest_medgan.ct.load_real`.

    Args:
        settings: Which images; `source` is a folder, a file, "phantom", "phantom:PATIENTS" or
            "phantom:PATIENTSxSLICES", each with "@SEED" behind it for other patients than those of seed 0.
        cache_dir: Folder where phantom studies and prepared images are kept.
        progress: Called with what is done, how far, and of how much.

    Returns:
        The three roles of the protocol.

    Raises:
        DataError: The source cannot be read as asked.
        SettingsError: The settings make no data set.
    """
    from pytest_medgan.ct.roles import divide

    return divide(prepare(settings, cache_dir=cache_dir, progress=progress), settings)


def prepare(
    settings: DataSettings, *, cache_dir: Path, reread: bool = False, progress: Progress = no_progress
) -> Prepared:
    """Return every image of a source before the split; arguments and errors are those of `load_real`.

    `reread` reads every header again even if nothing changed, so that the result names the files passed over.
    """
    from pytest_medgan.ct import load

    load.check_settings(settings)
    root = phantom_folder(settings.source, cache_dir, progress)
    return load.prepare(settings, root=root, cache_dir=cache_dir, reread=reread, progress=progress)


def phantom_folder(source: str, cache_dir: Path, progress: Progress = no_progress) -> Path | None:
    """Return the folder of phantom studies that `source` names, written now if need be; None for another source.

    Raises:
        OutputError: The studies cannot be written.
        SettingsError: `source` begins like a phantom's name and is none.
    """
    match = PHANTOM.fullmatch(source)
    if match is None:
        if source.startswith("phantom:"):
            raise SettingsError(
                f"{source!r} names no phantoms. Write phantom, phantom:96, phantom:96x10 or phantom:96x10@1."
            )
        return None
    from pytest_medgan import phantom

    patients = int(match["patients"] or PHANTOM_PATIENTS)
    slices = int(match["slices"] or PHANTOM_SLICES)
    seed = int(match["seed"] or 0)
    make_private_folder(cache_dir)
    root = cache_dir / "phantom" / f"{patients}x{slices}{f'@{seed}' if seed else ''}-{phantom.version()}"
    with locked(root):
        if not root.is_dir():
            remove_leftovers(root)
            with new_folder(root, durable=False) as fresh:
                phantom.write_studies(fresh, patients=patients, slices=slices, seed=seed, progress=progress)
    return root
