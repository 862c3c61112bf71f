"""From one string to a generator."""

from __future__ import annotations

import math
from dataclasses import fields
from pathlib import Path
from typing import Any

from pytest_medgan.errors import CheckpointError, SettingsError
from pytest_medgan.gan.architecture import Architecture
from pytest_medgan.gan.architectures import ARCHITECTURES
from pytest_medgan.gan.archives import from_archive, from_state_dict
from pytest_medgan.gan.checkpoint import SUFFIX
from pytest_medgan.gan.others import CheckedCallable, ImagePool, from_callable, from_pool
from pytest_medgan.gan.run_folder import FINISHED
from pytest_medgan.gan.sampling import NetworkGenerator, from_file
from pytest_medgan.ground.specs import Option, Spec, parse_spec, read_options, whole_number
from pytest_medgan.records import Progress, no_progress

AnyGenerator = NetworkGenerator | CheckedCallable | ImagePool

GRAMMAR = (
    "Name a checkpoint, a TorchScript or torch.export file, a folder or .npz of images, package.module:callable, or "
    "dcgan,weights=FILE."
)
_SUBJECT = "The generator"


def load_generator(text: str, *, device: str = "cpu", progress: Progress = no_progress) -> AnyGenerator:
    """Return the generator that a string names, called as `(count, seed) -> uint8 [N,C,H,W]`.

    - `PATH.safetensors[,truncation=T]`: a checkpoint; PATH may be the folder of a finished training run
    - `PATH.pt`, `PATH.pt2`: TorchScript or torch.export, z float32 [N,latent] -> images in -1..1; behind it
      `,latent=DIMENSION` and `,range=BLACK:WHITE` where the images lie in another range, such as `range=0:1`
    - `package.module:callable`: any callable `(count, seed) -> uint8 [N,C,H,W]`
    - `PATH.npz`, `FOLDER`: images made before
    - `dcgan,weights=PATH[,size=S,generator_width=W,...]`: a state dict of a known architecture, read as weights_only

    It has `identity`, `training_recipe`, `run_recipe`, `training_seed` and `window`, None where unknown, and
    `sample_range(start, stop, seed)` where a part of a seed's sequence can be drawn (all but a callable without it).

    Args:
        text: The string.
        device: "cpu" or "cuda".
        progress: Called while images are drawn.

    Raises:
        CheckpointError: The generator does not exist, or its file cannot be used or trusted; the error names the file.
        SettingsError: An option is unknown, or the machine has no such device.
    """
    spec = Spec(text, {}) if Path(text).exists() else parse_spec(text, _SUBJECT)
    if spec.name in ARCHITECTURES:
        return _from_weights(ARCHITECTURES[spec.name], spec, device, progress)
    path = Path(spec.name)
    if path.is_dir() and (path / FINISHED).exists():
        path = path / FINISHED
    if path.suffix == SUFFIX and path.exists():
        chosen = read_options(spec.options, {"truncation": _TRUNCATION}, _SUBJECT)
        return from_file(path, device=device, truncation=chosen.get("truncation"), progress=progress)
    if path.is_file() and path.suffix != ".npz":
        chosen = read_options(spec.options, {"latent": _LATENT, "range": _RANGE}, _SUBJECT)
        latent, values = chosen.get("latent"), chosen.get("range")
        return from_archive(path, latent=latent, values=values, device=device, progress=progress)
    read_options(spec.options, {}, _SUBJECT)
    if path.is_dir() or path.suffix == ".npz":
        return from_pool(path)
    if ":" in text and not Path(text.rpartition(":")[0]).parent.name:
        return from_callable(text)
    raise CheckpointError(f"The generator does not exist. {GRAMMAR}", file=text)


def _read_truncation(text: str) -> float:
    """Return a truncation of latents."""
    value = float(text)
    if not 0.01 < value < math.inf:
        raise ValueError(text)
    return value


def _read_range(text: str) -> tuple[float, float]:
    """Return the values of black and white."""
    black, white = map(float, text.split(":"))
    if not (math.isfinite(black) and math.isfinite(white) and black < white):
        raise ValueError(text)
    return black, white


_RANGE = Option(_read_range, "the values of black and white, such as 0:1")
_LATENT = Option(whole_number(1), "a whole number of at least 1")
_TRUNCATION = Option(_read_truncation, "a number above 0.01")


def _from_weights(row: Architecture, spec: Spec, device: str, progress: Progress) -> NetworkGenerator:
    """Return the generator of an architecture with the weights of a state dict."""
    kind: Any = row.config
    numbers = {field.name: Option(whole_number(), "a whole number") for field in fields(kind)}
    chosen = read_options(spec.options, {**numbers, "weights": Option(Path, "a file")}, _SUBJECT)
    if "weights" not in chosen:
        raise SettingsError(
            f"The generator {row.name!r} has no weights. Train one with `medgan train {row.name}`, or add weights=FILE."
        )
    weights = chosen.pop("weights")
    return from_state_dict(weights, row.config(**chosen), device=device, progress=progress)
