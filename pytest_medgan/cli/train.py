"""`medgan train`: train a generator on your own images.

On several processes: `torchrun --nproc-per-node N -m pytest_medgan train ...`.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_medgan.cli.resuming import complete, option_keeper
from pytest_medgan.cli.training_images import training_images
from pytest_medgan.errors import SettingsError
from pytest_medgan.gan.architecture import Architecture, NetworkConfig, TrainingSettings
from pytest_medgan.gan.architectures import ARCHITECTURES
from pytest_medgan.gan.options import Offered, offered_options
from pytest_medgan.ground.processes import process, processes

if TYPE_CHECKING:
    from pytest_medgan.gan.loop import RunSettings
    from pytest_medgan.records import ImageSet, Progress

LOG_INTERVAL = 15.0  # seconds between two lines of losses
# Of the options that no dataclass holds. The parser gives none, so that --resume knows which options were typed.
_DEFAULTS: Mapping[str, Any] = {
    "resume": False,
    "runs": None,
    "images": "phantom",
    "split": "patient",
    "split_seed": 0,
    "crop": "auto",
    "slices": None,
    "patients": None,
    "limit": None,
    "cache_dir": Path(".medgan"),
    "device": "cpu",
    "threads": None,
    "graph": True,
    "checkpoint_every": 1000,
    "grid_every": 1000,
    "keep": 3,
    "half": False,
}


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """Declare the command's arguments; those of networks and training come from the architectures' settings."""
    parser = subparsers.add_parser(
        "train", help="train a generator on a set of images", argument_default=argparse.SUPPRESS
    )
    parser.add_argument("architecture", choices=tuple(ARCHITECTURES))
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of the run")
    parser.add_argument(
        "--resume",
        action="store_true",
        help="continue the run in DIR with the options that it was begun with; an option that is typed again replaces "
        "the stored one. It ends bit-identical to a run without interruption",
    )
    parser.add_argument(
        "--runs",
        type=int,
        metavar="N",
        help="train N runs with seeds --seed, --seed+1, ..., each in DIR/seed-SEED; under torchrun in parallel",
    )
    _add_images(parser.add_argument_group("images"))
    networks, training = offered_options()
    _add_options(parser.add_argument_group("networks"), networks)
    group = parser.add_argument_group("training")
    _add_options(group, training)
    group.add_argument("--device", help="cpu or cuda (default cpu)")
    group.add_argument("--threads", type=int, help="CPU threads; with a fixed number, equal runs give equal bits")
    group.add_argument(
        "--graph",
        action=argparse.BooleanOptionalAction,
        help="on a GPU, replay steps as CUDA graphs; --no-graph launches every kernel by itself (default --graph)",
    )
    files = parser.add_argument_group("files")
    files.add_argument(
        "--checkpoint-every", type=int, metavar="STEPS", help="steps between two checkpoints (default 1000)"
    )
    files.add_argument(
        "--grid-every", type=int, metavar="STEPS", help="steps between two sample grids; 0 draws none (default 1000)"
    )
    files.add_argument("--keep", type=int, help="checkpoints to resume from (default 3)")
    files.add_argument(
        "--half",
        action=argparse.BooleanOptionalAction,
        help="store the finished generator's weights as float16 (default --no-half)",
    )
    return parser


def _add_options(group: argparse._ArgumentGroup, offered: tuple[Offered, ...]) -> None:
    """Declare the options of networks or training."""
    for one in offered:
        group.add_argument(
            one.option, type=_reader(one), choices=one.choices or None, metavar=one.metavar, help=one.help
        )


def _reader(one: Offered) -> Any:
    """Return the reader of an option's value, which raises the error that argparse shows."""

    def read(text: str) -> object:
        try:
            return one.read(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} cannot be used. Give {one.takes}.") from None

    return read


def _add_images(group: argparse._ArgumentGroup) -> None:
    """Declare the arguments that name the training images."""
    group.add_argument(
        "--images",
        metavar="SET",
        help="a folder of DICOM studies, `phantom`, `phantom:PATIENTSxSLICES`, or an .npz (default phantom)",
    )
    group.add_argument("--split", choices=("patient", "slice"), help="default patient")
    group.add_argument("--split-seed", type=int, help="default 0")
    group.add_argument("--crop", choices=("auto", "tumour", "image"), help="default auto")
    group.add_argument("--slices", type=int, help="slices of a patient at most; 0 takes all (default 64)")
    group.add_argument("--patients", type=int, help="the first N in PatientID order (default all)")
    group.add_argument("--limit", type=int, help="train on the first N images only")
    group.add_argument("--cache-dir", type=Path, help="where prepared images are kept (default .medgan)")


def run(arguments: argparse.Namespace) -> int:
    """Train and leave DIR/generator.safetensors, or one for each of several runs. Return 0."""
    from pytest_medgan.cli.progress import ConsoleProgress
    from pytest_medgan.gan.training import train
    from pytest_medgan.session.places import check_meaning

    if (typed := getattr(arguments, "images", None)) is not None:
        check_meaning(typed, "data", "--images")
    defaults = _defaults()
    arguments = complete(arguments, defaults)
    if arguments.threads is not None:
        import torch

        torch.set_num_threads(max(1, arguments.threads))
    if arguments.runs is not None and arguments.runs < 1:
        raise SettingsError(f"--runs {arguments.runs} is out of range. Choose 1 or more.")
    run_settings = _run_settings(arguments, option_keeper(arguments, defaults))
    config, settings = _config_and_settings(arguments)  # before studies are read, which can take minutes
    with ConsoleProgress(quiet=process() > 0) as progress:
        images = training_images(arguments, config.size, progress)
        if images.pixels.ndim != 4:
            raise SettingsError("The networks here draw images, and planes=volume asks for volumes. Leave planes= out.")
        config = _with_channels(config, images.pixels.shape[1])
        if arguments.runs is not None:
            return _train_runs(arguments, config, settings, images, run_settings=run_settings, progress=progress)
        generator = train(
            config,
            settings,
            images,
            arguments.out,
            run=run_settings,
            device=arguments.device,
            resume=arguments.resume,
            on_log=_LogLines(),
            progress=progress,
        )
    if process() == 0:
        _report_diversity(arguments.out)
        print(f"generator.safetensors: identity {generator.identity[:16]}, trained on {len(images)} images")
    return 0


def _defaults() -> dict[str, Any]:
    """Return what every option is where it is not typed; None leaves it to the dataclass of an architecture."""
    return {**_DEFAULTS, **{one.name: None for offered in offered_options() for one in offered}}


def _train_runs(
    arguments: argparse.Namespace,
    config: NetworkConfig,
    settings: TrainingSettings,
    images: ImageSet,
    *,
    run_settings: RunSettings,
    progress: Progress,
) -> int:
    """Train this process's part of several runs of one recipe."""
    from pytest_medgan.gan.checkpoint import load
    from pytest_medgan.gan.training import train_runs

    seeds = range(settings.seed, settings.seed + arguments.runs)[process() :: processes()]
    finished = train_runs(
        config,
        settings,
        images,
        arguments.out,
        seeds=seeds,
        run=run_settings,
        device=arguments.device,
        resume=arguments.resume,
        on_log=_LogLines(),
        progress=progress,
    )
    for path in finished:
        made = load(path, prefixes=("generator",))
        _report_diversity(path.parent)
        print(f"{path.parent.name}/{path.name}: identity {made.identity()[:16]}, recipe {made.run_recipe()}")
    return 0


def _report_diversity(folder: Path) -> None:
    """Print a line where the finished generator draws nearly the same image each time."""
    from pytest_medgan.gan.checkpoint import load
    from pytest_medgan.gan.loop import COLLAPSED
    from pytest_medgan.gan.run_folder import FINISHED

    history = load(folder / FINISHED, prefixes=()).progress.get("history", [])
    share = next((row["diversity"] for row in reversed(history) if "diversity" in row), 1.0)
    if share < COLLAPSED:
        print(f"The generated images hardly vary ({share:.0%} of the real ones): the generator has collapsed.")


def _config_and_settings(arguments: argparse.Namespace) -> tuple[NetworkConfig, TrainingSettings]:
    """Return configuration and settings; the images decide the channels later."""
    row = ARCHITECTURES[arguments.architecture]
    networks, training = offered_options()
    every = (*networks, *training)
    typed = {one.name: getattr(arguments, one.name) for one in every if getattr(arguments, one.name) is not None}
    if foreign := [one.option for one in every if one.name in typed and row.name not in one.architectures]:
        raise SettingsError(f"{', '.join(foreign)} does not apply to {row.name}. Leave it out.")
    return row.config(**_of(row, networks, typed)), row.settings(**_of(row, training, typed))


def _of(row: Architecture, offered: tuple[Offered, ...], typed: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values that were typed for a row's configuration or settings; the dataclasses hold the defaults."""
    return {one.name: typed[one.name] for one in offered if one.name in typed and row.name in one.architectures}


def _with_channels(config: NetworkConfig, channels: int) -> NetworkConfig:
    """Return the configuration for images with this number of channels."""
    changed: Any = config
    made: NetworkConfig = replace(changed, channels=channels)
    return made


class _LogLines:
    """Print a line of losses every 15 seconds, above the progress bar or in the log."""

    def __init__(self) -> None:
        self._shown = time.monotonic()

    def __call__(self, step: int, row: Mapping[str, float]) -> None:
        if time.monotonic() - self._shown < LOG_INTERVAL:
            return
        self._shown = time.monotonic()
        rate, left = row["images_per_second"], row["seconds_left"] / 60
        losses = ", ".join(f"{n} {v:.3f}" for n, v in row.items() if n not in ("images_per_second", "seconds_left"))
        print(f"medgan: step {step}: {losses}; {rate:.0f} images/s, {left:.0f} min left", file=sys.stderr, flush=True)


def _run_settings(arguments: argparse.Namespace, keep_options: Callable[[Path, int], None]) -> RunSettings:
    """Return how the run is stored, with its options."""
    from pytest_medgan.gan.loop import RunSettings

    return RunSettings(
        checkpoint_every=arguments.checkpoint_every,
        grid_every=arguments.grid_every,
        keep=arguments.keep,
        half=arguments.half,
        graph=arguments.graph,
        on_begin=keep_options,
    )
