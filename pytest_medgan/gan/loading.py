"""From one string to a generator."""

from __future__ import annotations

from pathlib import Path

from pytest_medgan.errors import CheckpointError
from pytest_medgan.gan.run_folder import FINISHED
from pytest_medgan.gan.sampling import NetworkGenerator, from_file
from pytest_medgan.records import Progress, no_progress


def load_generator(spec: str, *, device: str = "cpu", progress: Progress = no_progress) -> NetworkGenerator:
    """The generator that `spec` names: a checkpoint file of ours, or the folder of a finished training run.

    It is called as `(count, seed) -> uint8 [N,1,H,W]` and has `identity`, `training_recipe`, `window` and
    `sample_range(start, stop, seed)`.

    Raises
    ------
    CheckpointError
        There is no such file, it is not a checkpoint, or it cannot be used; the error names the file.
    SettingsError
        There is no such device.
    """
    path = Path(spec)
    if path.is_dir() and (path / FINISHED).exists():
        path = path / FINISHED
    if not path.exists():
        raise CheckpointError("no such generator; name a checkpoint file", file=spec)
    return from_file(path, device=device, progress=progress)
