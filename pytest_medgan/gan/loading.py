"""From one string to a generator."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

from pytest_medgan.errors import CheckpointError, SettingsError
from pytest_medgan.gan.archives import from_archive, from_state_dict
from pytest_medgan.gan.checkpoint import SUFFIX
from pytest_medgan.gan.networks import CONFIGS
from pytest_medgan.gan.others import CheckedCallable, ImagePool, from_callable, from_pool
from pytest_medgan.gan.run_folder import FINISHED
from pytest_medgan.gan.sampling import NetworkGenerator, from_file
from pytest_medgan.records import Progress, no_progress

AnyGenerator = NetworkGenerator | CheckedCallable | ImagePool

GRAMMAR = (
    "name a checkpoint, a TorchScript or torch.export file, a folder or .npz of images, package.module:callable, or "
    "dcgan,weights=FILE"
)


def load_generator(spec: str, *, device: str = "cpu", progress: Progress = no_progress) -> AnyGenerator:
    """The generator that `spec` names, called as `(count, seed) -> uint8 [N,C,H,W]`.

    - `PATH.safetensors[,truncation=T]`: a checkpoint of ours; PATH may be the folder of a finished training run
    - `PATH.pt`, `PATH.pt2`: TorchScript or torch.export, z float32 [N,latent] -> images in -1..1
    - `package.module:callable`: any callable `(count, seed) -> uint8 [N,C,H,W]`
    - `PATH.npz`, `FOLDER`: images already made
    - `dcgan,weights=PATH[,size=S,generator_width=W,...]`: a state dict for our networks, read as weights_only

    It has `identity`, `training_recipe` and `window`, None where unknown, and `sample_range(start, stop, seed)` where
    a part of a seed's sequence can be drawn (everything but a callable that has none).

    Raises
    ------
    CheckpointError
        There is no such generator, or its file cannot be used or trusted; the error names the file.
    SettingsError
        An option is unknown or there is no such device.
    """
    name, *options = [spec] if Path(spec).exists() else spec.split(",")  # a comma may stand in a file's name
    given = dict(option.partition("=")[::2] for option in options)
    if name in CONFIGS:
        return _built_in(name, given, device, progress)
    if not name:
        raise CheckpointError(f"no generator is named; {GRAMMAR}")
    path = Path(name)
    if path.is_dir() and (path / FINISHED).exists():
        path = path / FINISHED
    if path.suffix == SUFFIX and path.exists():
        return from_file(path, device=device, truncation=_truncation(given), progress=progress)
    if given:
        raise SettingsError(f"option {', '.join(given)} is for checkpoints and built-in names only")
    if path.is_dir() or path.suffix == ".npz":
        return from_pool(path)
    if path.exists():
        return from_archive(path, device=device, progress=progress)
    if ":" in spec and not Path(spec.rpartition(":")[0]).parent.name:
        return from_callable(spec)
    raise CheckpointError(f"no such generator; {GRAMMAR}", file=spec)


def _truncation(given: dict[str, str]) -> float | None:
    if {*given} - {"truncation"}:
        raise SettingsError(f"option {', '.join({*given} - {'truncation'})} is unknown; a checkpoint takes truncation")
    if "truncation" not in given:
        return None
    try:
        truncation = float(given["truncation"])
    except ValueError:
        truncation = 0.0
    if not truncation > 0.01:
        raise SettingsError(f"truncation {given['truncation']!r} must be a number above 0.01")
    return truncation


def _built_in(name: str, given: dict[str, str], device: str, progress: Progress) -> NetworkGenerator:
    if "weights" not in given:
        raise SettingsError(
            f"generator {name!r} has no weights yet; train it with `medgan train {name}`, or set weights="
        )
    known = {field.name for field in fields(CONFIGS[name])}
    numbers = {key: value for key, value in given.items() if key != "weights"}
    for key, value in numbers.items():
        if key not in known or not value.isdigit():
            raise SettingsError(
                f"{key}={value} is not an option of {name}; it takes {', '.join(sorted(known))}, numbers"
            )
    config = CONFIGS[name](**{key: int(value) for key, value in numbers.items()})
    return from_state_dict(Path(given["weights"]), config, device=device, progress=progress)
