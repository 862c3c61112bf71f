"""The options of a training run, kept in its folder, so that `--resume` needs none of them again."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pytest_medgan.errors import SettingsError
from pytest_medgan.ground.digests import digest_values
from pytest_medgan.ground.files import write_text
from pytest_medgan.ground.processes import process

OPTIONS = "options.json"
_OF_THE_CALL = ("architecture", "out", "resume", "runs")


def option_keeper(arguments: argparse.Namespace, defaults: Mapping[str, Any]) -> Callable[..., None]:
    """Return a function that writes the options of a run into its folder when it is first called, on process 0.

    Args:
        arguments: The command line of the run.
        defaults: Value of every argument where it is not typed.
    """
    own = {name: getattr(arguments, name) for name in defaults if name not in _OF_THE_CALL}
    typed = {name: value for name, value in own.items() if value != defaults[name]}
    waiting = process() == 0

    def keep(*progress: object) -> None:
        nonlocal waiting
        if waiting:
            content = {"architecture": arguments.architecture, "options": json.loads(json.dumps(typed, default=str))}
            sealed = content | {"digest": _digest(content)}
            write_text(arguments.out / OPTIONS, json.dumps(sealed, indent=1) + "\n")
            waiting = False

    return keep


def take_over(arguments: argparse.Namespace, defaults: Mapping[str, Any]) -> None:
    """Give each argument that was not typed the value that the run in --out was begun with, where its folder holds it.

    Raises:
        SettingsError: The run is of another architecture, or the file of its options cannot be read or was edited.
    """
    path = arguments.out / OPTIONS
    if not path.exists():
        return
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        architecture, options = content["architecture"], content["options"]
        if content.pop("digest") != _digest(content):  # edited: its values need not be those of any option
            raise ValueError
    except (OSError, ValueError, KeyError, TypeError):
        raise SettingsError(
            f"{OPTIONS} in --out is damaged or was edited. Remove it, and give the options of the run again."
        ) from None
    if architecture != arguments.architecture:
        raise SettingsError(f"The run in --out is of a {architecture}. Write medgan train {architecture}.")
    for name in options.keys() & defaults.keys() - {*_OF_THE_CALL}:
        if getattr(arguments, name) == defaults[name]:
            setattr(arguments, name, _as_parsed(options[name], defaults[name]))


def _digest(content: Mapping[str, Any]) -> str:
    """Return what shows that the file was not edited."""
    return digest_values(json.dumps(content, sort_keys=True))


def _as_parsed(value: Any, default: Any) -> Any:
    """Return a value of JSON as the command line gives it: tuples for lists, and a path where the default is one."""
    if isinstance(value, list):
        return tuple(_as_parsed(part, None) for part in value)
    return Path(value) if isinstance(default, Path) else value
