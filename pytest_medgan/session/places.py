"""Resolve the paths in a setting from where it was written, and keep them apart from built-in names."""

from __future__ import annotations

import glob
import os
import shlex
from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import Any

from pytest_medgan.errors import SettingsError

_PATHS = ("weights", "masks")  # options whose value is a file or folder
_WEIGHTS = ("imagenet", "random")  # values of weights= that are no file
_SPACE_FILES = (".pt", ".pt2")  # a feature space is one of these files, or no path
_BASELINES = (".yaml", ".yml")  # a baseline need not exist yet
_MODELS = ("generator", "paired_with", "runs")  # settings that name a model


def located(value: Any, base: Path, setting: str) -> Any:
    """Return a value whose paths, where they exist under `base`, are made relative to the working directory.

    Args:
        value: What was written; anything but text and paths is returned as it is.
        base: Where its paths are looked for.
        setting: The setting it was written for, such as "data" or "paired_with".

    Raises:
        SettingsError: The value is a built-in name, and a path of that name exists too.
    """
    if isinstance(value, Path):
        value = _marked(str(value))
    if not isinstance(value, str):
        return value
    from pytest_medgan.ground.specs import parse_spec

    spec = parse_spec(value, "a setting")
    name = _located_name(spec.name, base, setting, has_options=bool(spec.options))
    options = {
        key: _located_path(word, base, "weights" if key == "weights" else "") if key in _PATHS else word
        for key, word in spec.options.items()
    }
    written = (f'{key}="{word}"' if "," in word else f"{key}={word}" for key, word in options.items())
    return ",".join([name, *written])


def located_runs(words: Sequence[str], base: Path) -> str:
    """Return training runs as a shell would write them, resolved from `base`; a pattern keeps its *, ? and [."""
    from_here = _relative(base)  # a message with an absolute path would carry it into a JUnit file
    return shlex.join(
        os.path.join(glob.escape(from_here), word)
        if glob.has_magic(word) and not (base / word).exists()
        else located(word, base, "runs")
        for word in words
    )


def check_meaning(text: str, setting: str, option: str) -> None:
    """Check that a value of a command does not name a built-in where a path of the working directory could be meant.

    Args:
        text: The value, as it was typed.
        setting: The plugin's setting that takes such values, such as "data" or "generator".
        option: What the value was given to, as messages call it.

    Raises:
        SettingsError: It is a built-in name, and a path of that name exists too; or the value cannot be read.
    """
    from pytest_medgan.ground.specs import parse_spec

    spec, here = parse_spec(text, option), Path()
    if "weights" in spec.options and setting in ("extractor", "beside"):
        _refuse_two_meanings(spec.options["weights"], here, "weights", option)
    if PurePath(spec.name).name == spec.name and not (spec.options and setting in _MODELS):
        _refuse_two_meanings(spec.name, here, setting, option)


def model_path(text: str) -> str:
    """Return the name of a model for a command that trains none: a path named like an architecture is the path.

    Args:
        text: The value, as it was typed.
    """
    is_path = _is_built_in(text, "generator") and Path(text).exists() and not Path(text, "__init__.py").exists()
    return _marked(text) if is_path else text


def _located_name(text: str, base: Path, setting: str, *, has_options: bool) -> str:
    """Return the name of a value, its path resolved."""
    kind, colon, folder = text.partition(":")
    if colon and folder.startswith("."):  # timm:./FOLDER
        return f"{kind}:{_marked(_relative(base / folder))}" if (base / folder).exists() else text
    if setting in ("extractor", "beside") and not text.endswith(_SPACE_FILES):
        return text  # a folder of that name, such as compact/, cannot be meant
    if setting in _MODELS and has_options and _is_built_in(text, setting):
        return text  # dcgan,weights=FILE: no path takes such options
    return _located_path(text, base, setting)


def _located_path(text: str, base: Path, setting: str) -> str:
    """Return a path, resolved where it exists; a path that could be taken for a built-in name keeps "./" in front."""
    path = base / text
    is_bare = PurePath(text).name == text
    if is_bare and _is_built_in(text, setting):
        _refuse_two_meanings(text, base, setting)
        return text
    if not text or not (path.exists() or text.endswith(_BASELINES)):
        return text
    found = _relative(path)
    return found if is_bare or not _is_built_in(found, setting) else _marked(found)


def _relative(path: Path) -> str:
    """Return a path relative to the working directory."""
    try:
        return os.path.relpath(path)
    except ValueError:  # another drive on Windows
        return str(path)


def _marked(text: str) -> str:
    """Return a relative path with "./" in front, so that nothing takes it for a name."""
    return os.path.join(".", text)


def _is_built_in(text: str, setting: str) -> bool:
    """Return whether a setting takes a word, which may also be the name of a file or folder, for a built-in name."""
    if setting == "data":
        return text.partition(":")[0] == "phantom"
    if setting == "baseline":
        return PurePath(text).name == text and not PurePath(text).suffix
    if setting == "weights":
        return text in _WEIGHTS
    if setting in _MODELS and text.isidentifier():
        from pytest_medgan.gan.architectures import ARCHITECTURES

        return text in ARCHITECTURES
    return False


def _refuse_two_meanings(text: str, base: Path, setting: str, option: str = "") -> None:
    """Raise SettingsError where a built-in name is also a path that could be meant."""
    path = base / text
    if not _is_built_in(text, setting) or setting == "baseline" or not path.exists():
        return  # the loader of baselines takes a file of the name first
    if (setting == "weights" and not path.is_file()) or (path / "__init__.py").exists():
        return  # weights are a file, and a Python package holds no images
    built_in = {"data": "the built-in phantoms", "weights": "built-in weights"}.get(
        setting, f"a {text} trained on the training images"
    )
    other = "rename the path for the built-in"
    if setting == "data":
        from pytest_medgan.evaluate.sources import PHANTOM_PATIENTS, PHANTOM_SLICES

        if text != "phantom":
            return
        other = f"phantom:{PHANTOM_PATIENTS}x{PHANTOM_SLICES} for the built-in"
    elif setting != "weights" and not option:
        other += ", or call medgan_train in a fixture medgan_generator"
    subject = option or ("weights=" if setting == "weights" else f"--medgan-{setting.replace('_', '-')}")
    raise SettingsError(
        f"{subject}: {text!r} could mean the file or folder of that name, or {built_in}. Write ./{text} for the path; "
        f"{other}."
    )
