"""The first images and the curves of models, kept in the cache so that a later run can show the accepted model's.

They are kept under the model's digest. A baseline file keeps figures alone; where the cache is gone, so are the images.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_medgan.errors import OutputError, SettingsError
from pytest_medgan.ground.digests import digest_values

if TYPE_CHECKING:
    from pytest_medgan.records import Evidence

MODELS = 24  # models kept, about half a megabyte each; the one unused for longest is removed first


def keep_samples(cache_dir: Path, checkpoint: str | None, seed: int, evidence: Evidence) -> None:
    """Keep images and curves of a latent seed. Nothing is kept of a generator without a digest, or on a full disk."""
    from pytest_medgan.report import save_evidence
    from pytest_medgan.report.accepted import worth_keeping
    from pytest_medgan.report.selection import GRID

    if checkpoint is None:
        return
    path = _sample_path(cache_dir, checkpoint, seed)
    kept = worth_keeping(evidence)
    if kept.thumbnails_fake is None or (len(kept.thumbnails_fake) < GRID and path.exists()):
        return  # a shorter look must not replace a longer one
    with suppress(OutputError, OSError):
        save_evidence(path, kept)
        for old in sorted(path.parent.glob("*.npz"), key=_last_used, reverse=True)[MODELS:]:
            old.unlink(missing_ok=True)


def kept_samples(cache_dir: Path, checkpoint: object, seed: int) -> Evidence | None:
    """Return the kept images and curves, or None where there are none or they cannot be read."""
    from pytest_medgan.report import load_evidence

    path = _sample_path(cache_dir, checkpoint, seed)
    if not isinstance(checkpoint, str) or not path.exists():
        return None
    with suppress(OSError):
        path.touch()
    try:
        return load_evidence(path)
    except SettingsError:
        return None


def _sample_path(cache_dir: Path, checkpoint: object, seed: int) -> Path:
    """Return the file of a model and a latent seed."""
    return cache_dir / "samples" / f"{digest_values('samples', checkpoint, seed)}.npz"


def _last_used(path: Path) -> float:
    """Return when the file was last used; 0 where another process removed it."""
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
