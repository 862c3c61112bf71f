"""From one string to a generator."""

from __future__ import annotations

import math
from dataclasses import fields
from os.path import exists
from pathlib import Path
from typing import Any

from pytest_medgan.errors import CheckpointError, SettingsError
from pytest_medgan.gan import pipelines
from pytest_medgan.gan.apart import ApartGenerator, ModelChoices, from_model_file, is_model
from pytest_medgan.gan.architecture import Architecture
from pytest_medgan.gan.architectures import ARCHITECTURES
from pytest_medgan.gan.archives import from_state_dict
from pytest_medgan.gan.checkpoint import SUFFIX
from pytest_medgan.gan.named import from_named
from pytest_medgan.gan.others import CheckedCallable, ImagePool, from_pool
from pytest_medgan.gan.run_folder import FINISHED
from pytest_medgan.gan.sampling import BlockGenerator, NetworkGenerator, from_file
from pytest_medgan.gan.time_limits import SECONDS
from pytest_medgan.ground.specs import Option, Spec, one_of, parse_spec, read_options, whole_number
from pytest_medgan.records import Progress, no_progress

AnyGenerator = BlockGenerator | CheckedCallable | ImagePool

GRAMMAR = (
    "Name a checkpoint, a TorchScript, torch.export or ONNX file, a pipeline of diffusers, a bundle of MONAI, a folder "
    "or .npz of images, package.module:name, or dcgan,weights=FILE."
)
_SUBJECT = "The generator"


def load_generator(text: str, *, device: str = "cpu", progress: Progress = no_progress) -> AnyGenerator:
    """Return the generator that a string names, called as `(count, seed) -> uint8 [N,C,H,W]`.

    - `PATH.safetensors[,truncation=T][,class=C]`: a checkpoint; PATH may be the folder of a finished training run; a
      class is one of those that a BigGAN was trained with
    - `PATH.pt`, `PATH.pt2`: TorchScript or torch.export, z [N,latent] -> images in -1..1; behind it
      `,latent=DIMENSION` or a shape, such as `latent=100x1x1`; `,range=BLACK:WHITE` where the images lie in another
      range, such as `range=0:1`; `,seconds=NUMBER`, the time that a block of 32 images may take (300 unless said);
      `,class=NUMBER` for a model whose second input takes the class of each image, and `,classes=NUMBER` where it takes
      it one-hot and does not say of how many
    - `PATH.onnx`: an ONNX graph, read as the above; `,latent=` only where the graph leaves it open
    - `package.module:name`: a callable `(count, seed) -> uint8 [N,C,H,W]`; or a model, a class of one or a function
      that builds one: a torch module, or an object with `sample(count)` or `decode(z)`; behind it `,latent=`,
      `,range=`, `,weights=FILE` (a state dict) and `,method=NAME`; or a diffusion model of MONAI in parts, `,steps=`;
      `,class=NUMBER`, `,prompt="WORDS"` and `,masks=FOLDER` for a model whose method takes them; `,seconds=NUMBER`
    - `FOLDER[,steps=N][,seconds=NUMBER]` with a model_index.json: a pipeline of diffusers, unconditional or,
      with `,class=NUMBER`, of a class, or, with `,prompt="WORDS"`, to a prompt
    - `FOLDER,trust=yes[,latent=...][,range=...][,steps=N][,seconds=NUMBER]` with a configs/inference.json: a bundle of
      MONAI, whose configuration may run any code
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
    spec = Spec(text, {}) if exists(text) else parse_spec(text, _SUBJECT)
    if spec.name in ARCHITECTURES:
        return _from_weights(ARCHITECTURES[spec.name], spec, device, progress)
    path = Path(spec.name)
    if path.is_dir() and (path / FINISHED).exists():
        path = path / FINISHED
    if path.suffix == SUFFIX and path.exists():
        chosen = read_options(spec.options, {"truncation": _TRUNCATION, "class": _LABEL}, _SUBJECT)
        truncation, label = chosen.get("truncation"), chosen.get("class")
        return from_file(path, device=device, truncation=truncation, label=label, progress=progress)
    if is_model(path):
        return _from_model_file(path, spec, device, progress)
    if path.is_dir() or path.suffix == ".npz":
        read_options(spec.options, {}, _SUBJECT)
        return from_pool(path)
    if ":" in spec.name and not Path(spec.name.rpartition(":")[0]).parent.name:
        return from_named(spec.name, read_options(spec.options, _NAMED, _SUBJECT), device=device, progress=progress)
    raise CheckpointError(f"The generator does not exist. {GRAMMAR}", file=text)


def is_model_folder(path: Path) -> bool:
    """Return whether a folder holds a finished training run, a pipeline of diffusers or a bundle of MONAI."""
    return (path / FINISHED).exists() or is_model(path)


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


def _read_shape(text: str) -> tuple[int, ...]:
    """Return the shape of a latent."""
    return tuple(map(whole_number(1), text.split("x")))


def _read_seconds(text: str) -> float:
    """Return a time limit."""
    seconds = float(text)
    if not 1.0 <= seconds < math.inf:
        raise ValueError(text)
    return seconds


_RANGE = Option(_read_range, "the values of black and white, such as 0:1")
_SHAPE = Option(_read_shape, "a whole number of at least 1, or several, such as 4x8x8")
_SECONDS = Option(_read_seconds, "a number of at least 1, in seconds")
_STEPS = Option(whole_number(1), "a whole number of at least 1")
_CLASS = Option(whole_number(), "a whole number")
_PROMPT = Option(str, "words")
_CLASSES = Option(whole_number(2), "a whole number of at least 2")
_NAMED = {
    "latent": _SHAPE,
    "range": _RANGE,
    "weights": Option(Path, "a file"),
    "method": Option(str, "a name"),
    "steps": _STEPS,
    "class": _CLASS,
    "prompt": _PROMPT,
    "masks": Option(Path, "a folder of pictures"),
    "seconds": _SECONDS,
}
_TRUST = Option(one_of("yes", "no"), "yes or no")
_LABEL = Option(whole_number(), "a whole number, a label of the training images")
_TRUNCATION = Option(_read_truncation, "a number above 0.01")


def _from_model_file(path: Path, spec: Spec, device: str, progress: Progress) -> ApartGenerator:
    """Return the generator that a file or a folder describes, with the options that its kind takes."""
    if (path / pipelines.INDEX).is_file():
        known = {"steps": _STEPS, "class": _CLASS, "prompt": _PROMPT}
    elif path.is_dir():
        known = {"trust": _TRUST, "latent": _SHAPE, "range": _RANGE, "steps": _STEPS}
    else:
        known = {"latent": _SHAPE, "range": _RANGE, "class": _CLASS, "classes": _CLASSES}
    chosen = read_options(spec.options, {**known, "seconds": _SECONDS}, _SUBJECT)
    if "classes" in chosen and "class" not in chosen:
        raise SettingsError(f"{_SUBJECT} has classes= and no class to draw. Add class=NUMBER, or leave classes= out.")
    choices = ModelChoices(
        latent=chosen.get("latent"),
        values=chosen.get("range"),
        steps=chosen.get("steps"),
        label=chosen.get("class"),
        classes=chosen.get("classes"),
        prompt=chosen.get("prompt"),
        is_trusted=chosen.get("trust") == "yes",
    )
    seconds = chosen.get("seconds", SECONDS)
    return from_model_file(path, choices, seconds=seconds, device=device, progress=progress)


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
