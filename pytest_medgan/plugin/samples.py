"""The first images of models that a run looked at, kept in the cache under the model's digest, so that a later run can
show the accepted model's beside its own. A baseline file keeps figures alone; where the cache is gone, so are these.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_medgan.errors import SettingsError

if TYPE_CHECKING:
    from pytest_medgan.records import ImageSet, UInt8

MODELS = 24  # models kept, about half a megabyte each; the one unused for longest goes first


def keep_samples(cache_dir: Path, checkpoint: str | None, seed: int, images: ImageSet) -> None:
    """Keeps the first images of the sequence that `seed` names; nothing of a generator without a digest."""
    from pytest_medgan.records import Evidence
    from pytest_medgan.report import save_evidence
    from pytest_medgan.report.pictures import GRID

    if checkpoint is None:
        return
    path = _path(cache_dir, checkpoint, seed)
    if len(images) < GRID and path.exists():  # a shorter look must not take the place of a longer one
        return
    save_evidence(path, Evidence(thumbnails_fake=images.pixels[:GRID, 0]))
    for old in sorted(path.parent.glob("*.npz"), key=_used, reverse=True)[MODELS:]:
        old.unlink(missing_ok=True)


def kept_samples(cache_dir: Path, checkpoint: object, seed: int) -> UInt8 | None:
    """uint8 [T,h,w], or None where none are at hand or they cannot be read."""
    from pytest_medgan.report import load_evidence

    path = _path(cache_dir, checkpoint, seed)
    if not isinstance(checkpoint, str) or not path.exists():
        return None
    with contextlib.suppress(OSError):
        os.utime(path)
    try:
        return load_evidence(path).thumbnails_fake
    except SettingsError:
        return None


def _path(cache_dir: Path, checkpoint: object, seed: int) -> Path:
    from pytest_medgan.evaluate.workbench import digest_of

    return cache_dir / "samples" / f"{digest_of('samples', checkpoint, seed)}.npz"


def _used(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:  # another process removed it
        return 0.0
