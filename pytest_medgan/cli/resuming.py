"""The options of a training run, kept in its folder, so that `--resume` needs none of them again."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pytest_medgan.errors import SettingsError
from pytest_medgan.ground.digests import digest_values
from pytest_medgan.ground.files import write_text
from pytest_medgan.ground.terminal import printable

OPTIONS = "options.json"
_OF_THE_CALL = ("architecture", "out", "resume", "runs")


def complete(typed: argparse.Namespace, defaults: Mapping[str, Any]) -> argparse.Namespace:
    """Return the command line with a value for every option.

    What was typed comes first. With --resume, what the run in --out was begun with follows; with --runs, these are the
    options of the run of --seed, or of the lowest seed in --out. Defaults come last.

    Args:
        typed: The arguments that were typed, and no others.
        defaults: Value of every option that is neither typed nor stored.

    Raises:
        SettingsError: There is no run to resume, it is of another architecture, or the file of its options cannot be
            read or was edited.
    """
    arguments = argparse.Namespace(**{**defaults, **vars(typed)})
    if not arguments.resume:
        return arguments
    folders = _run_folders(arguments)
    if not any(_holds_run(folder, one_of_several=arguments.runs is not None) for folder in folders):
        raise SettingsError(
            f"There is no run to resume in --out: it holds neither a checkpoint nor {OPTIONS}. Name the folder of a "
            "run, or leave --resume out."
        )
    held = [folder / OPTIONS for folder in folders if (folder / OPTIONS).exists()]
    of_seed = arguments.out / f"seed-{arguments.seed}" / OPTIONS
    stored = _read(of_seed if of_seed in held else held[0], arguments) if held else {}
    known = {name: _as_parsed(stored[name], defaults[name]) for name in stored.keys() & defaults.keys()}
    return argparse.Namespace(**{**vars(arguments), **known, **vars(typed)})


def option_keeper(arguments: argparse.Namespace, defaults: Mapping[str, Any]) -> Callable[[Path, int], None]:
    """Return a function that writes the options of a run into its folder, given the folder and the seed of the run.

    It prints a line where the run is to be resumed and the folder holds no checkpoint.

    Args:
        arguments: The command line of the run, complete.
        defaults: Value of every option where it is not typed.
    """
    own = {name: getattr(arguments, name) for name in defaults if name not in _OF_THE_CALL}
    options = json.loads(
        json.dumps({name: value for name, value in own.items() if value != defaults[name]}, default=str)
    )

    def keep(folder: Path, seed: int) -> None:
        content = {"architecture": arguments.architecture, "options": options | {"seed": seed}}
        if arguments.runs is not None:
            content["first_seed"] = options.get("seed", seed)
        sealed = content | {"digest": _digest(content)}
        write_text(folder / OPTIONS, json.dumps(sealed, indent=1) + "\n")
        if arguments.resume and not _checkpoints(folder):
            said = f"medgan: the folder {folder.absolute().name} holds no checkpoint, so the run begins at step 0"
            print(printable(f"{said} with the options in its {OPTIONS}"), file=sys.stderr, flush=True)

    return keep


def _run_folders(arguments: argparse.Namespace) -> list[Path]:
    """Return the folder of the run; with --runs, those of all runs in --out, the lowest seed first."""
    if arguments.runs is None:
        return [arguments.out]
    seeds = [path.name.removeprefix("seed-") for path in arguments.out.glob("seed-*")]
    return [arguments.out / f"seed-{seed}" for seed in sorted((one for one in seeds if one.isdecimal()), key=int)]


def _holds_run(folder: Path, *, one_of_several: bool) -> bool:
    """Return whether a folder holds what a run can be resumed from; one of several runs may be finished."""
    from pytest_medgan.gan.run_folder import FINISHED

    kept = (folder / OPTIONS).exists() or bool(_checkpoints(folder))
    return kept or (one_of_several and (folder / FINISHED).exists())


def _checkpoints(folder: Path) -> list[Path]:
    """Return the checkpoints that a folder holds."""
    from pytest_medgan.gan.run_folder import RunFolder

    return RunFolder(folder).checkpoints()


def _read(path: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the options that a file stores, those of the call left out.

    Raises:
        SettingsError: The run is of another architecture, or the file cannot be read or was edited.
    """
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
    if arguments.runs is not None and "first_seed" in content:
        options["seed"] = content["first_seed"]
    return {name: value for name, value in options.items() if name not in _OF_THE_CALL}


def _digest(content: Mapping[str, Any]) -> str:
    """Return what shows that the file was not edited."""
    return digest_values(json.dumps(content, sort_keys=True))


def _as_parsed(value: Any, default: Any) -> Any:
    """Return a value of JSON as the command line gives it: tuples for lists, and a path where the default is one."""
    if isinstance(value, list):
        return tuple(_as_parsed(part, None) for part in value)
    return Path(value) if isinstance(default, Path) else value
