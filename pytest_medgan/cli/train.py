"""medgan train: a DCGAN or PGGAN on images of one's own.

On several processes: `torchrun --nproc-per-node N -m pytest_medgan train ...`.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_medgan.errors import SettingsError

if TYPE_CHECKING:
    from pytest_medgan.gan.loop import RunSettings, Settings
    from pytest_medgan.gan.networks import Config
    from pytest_medgan.records import ImageSet, Progress

DCGAN_ALONE = ("steps", "discriminator_learning_rate", "noise", "noise_share", "tolerance")
PGGAN_ALONE = ("fading", "stable", "stables", "batches", "loss", "full_until")
SHARED = (
    "batch",
    "learning_rate",
    "average",
    "shift",
    "brightness",
    "contrast",
    "cutout",
    "penalty",
    "penalty_every",
    "precision",
)
LINE = 15.0  # seconds between two lines of losses


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """Declares the command's arguments."""
    parser = subparsers.add_parser("train", help="train a generator on a set of images")
    parser.add_argument("architecture", choices=("dcgan", "pggan"))
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of the run")
    parser.add_argument("--resume", action="store_true", help="continue the run in DIR, to the bit")
    _add_images(parser.add_argument_group("images"))
    network = parser.add_argument_group("networks")
    network.add_argument("--size", type=int, default=128, help="pixels, a power of two (default 128)")
    network.add_argument("--latent", type=int, help="dimensions of z (default: dcgan 100, pggan 512)")
    network.add_argument("--generator-width", type=int, help="maps (default: dcgan 64, pggan 512)")
    network.add_argument("--discriminator-width", type=int, help="maps (default: dcgan 64, pggan 512)")
    training = parser.add_argument_group("training")
    training.add_argument("--batch", type=int, help="images a step, over all processes (default: dcgan 64, pggan 16)")
    training.add_argument("--learning-rate", type=float, help="(default: dcgan 0.0002, pggan 0.001)")
    training.add_argument("--seed", type=int, default=0, help="of weights, latents and order (default 0)")
    training.add_argument(
        "--average", type=float, help="moving average of the generator (default: dcgan 0, pggan .999)"
    )
    training.add_argument("--device", default="cpu", help="cpu or cuda (default cpu)")
    training.add_argument("--threads", type=int, help="of the CPU; a fixed number makes a run repeatable to the bit")
    training.add_argument("--shift", type=int, help="pixels by which the discriminator's images are moved (default 0)")
    training.add_argument("--brightness", type=float, help="grey added to them at most, of a range of 2 (default 0)")
    training.add_argument("--contrast", type=float, help="by which it grows or falls at most, as 0.2 (default 0)")
    training.add_argument("--cutout", type=float, help="side of a square erased in them, as 0.3 of theirs (default 0)")
    training.add_argument(
        "--penalty",
        type=float,
        help="weight of the gradient penalty: R1 (dcgan, default 0; logistic pggan), or WGAN-GP",
    )
    training.add_argument("--penalty-every", type=int, help="steps between two penalties (default: dcgan 8, pggan 1)")
    training.add_argument(
        "--precision", choices=("float32", "bfloat16"), help="of the forward passes (default float32)"
    )
    training.add_argument("--no-graph", action="store_true", help="on a GPU, launch every kernel by itself")
    dcgan = parser.add_argument_group("dcgan alone")
    dcgan.add_argument("--steps", type=int, help="updates at most (default 20000)")
    dcgan.add_argument("--discriminator-learning-rate", type=float, help="(default: as --learning-rate)")
    dcgan.add_argument("--noise", type=float, help="sd of the discriminator's noise at the start (default 0)")
    dcgan.add_argument("--noise-share", type=float, help="of the run, over which the noise falls to 0 (default 1)")
    dcgan.add_argument("--tolerance", type=float, help="stop when the losses change by less; 0 never (default 0.01)")
    pggan = parser.add_argument_group("pggan alone")
    pggan.add_argument("--fading", type=int, help="images shown while a resolution fades in (default 800000)")
    pggan.add_argument("--stable", type=int, help="images shown at a resolution thereafter (default 800000)")
    pggan.add_argument(
        "--stables", metavar="R:N,...", help="the same by resolution, as 128:2000000 (default: --stable)"
    )
    pggan.add_argument("--batches", metavar="R:B,...", help="batch by resolution, as 4:128,8:128 (default: --batch)")
    pggan.add_argument("--loss", choices=("wgan-gp", "logistic"), help="(default wgan-gp, as published)")
    pggan.add_argument("--full-until", type=int, help="pixels up to which all maps are kept (default 32)")
    files = parser.add_argument_group("files")
    files.add_argument("--checkpoint-every", type=int, default=1000, metavar="STEPS")
    files.add_argument("--grid-every", type=int, default=1000, metavar="STEPS", help="0 draws no sample grids")
    files.add_argument("--keep", type=int, default=3, help="checkpoints to resume from (default 3)")
    files.add_argument("--half", action="store_true", help="store the finished generator's weights as float16")
    return parser


def _add_images(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--images",
        default="phantom",
        metavar="SET",
        help="a folder of DICOM studies, `phantom`, `phantom:PATIENTSxSLICES`, or an .npz (default phantom)",
    )
    group.add_argument("--split", choices=("patient", "slice"), default="patient")
    group.add_argument("--split-seed", type=int, default=0)
    group.add_argument("--crop", choices=("auto", "tumour", "image"), default="auto")
    group.add_argument("--slices", type=int, default=64, help="a patient, at most; 0 takes all (default 64)")
    group.add_argument("--patients", type=int, help="the first N in PatientID order (default all)")
    group.add_argument("--limit", type=int, help="train on the first N images only")
    group.add_argument("--cache-dir", type=Path, default=Path(".medgan"), help="kept images (default .medgan)")


def run(arguments: argparse.Namespace) -> int:
    """Trains and leaves DIR/generator.safetensors; exit status 0."""
    from pytest_medgan.cli.progress import ConsoleProgress
    from pytest_medgan.gan.training import train

    if arguments.threads is not None:
        import torch

        torch.set_num_threads(max(1, arguments.threads))
    config, settings = _made(arguments)  # before studies are read, which can take minutes
    with ConsoleProgress() as progress:
        images = training_images(arguments, progress)
        generator = train(
            replace(config, channels=images.pixels.shape[1]),
            settings,
            images,
            arguments.out,
            run=_run_settings(arguments),
            device=arguments.device,
            resume=arguments.resume,
            on_log=_LogLines(),
            progress=progress,
        )
    _report_diversity(arguments.out)
    print(f"generator.safetensors: identity {generator.identity[:16]}, trained on {len(images)} images")
    return 0


def _report_diversity(folder: Path) -> None:
    """A word where the finished generator draws the same image again and again."""
    from pytest_medgan.gan.checkpoint import load
    from pytest_medgan.gan.loop import COLLAPSED
    from pytest_medgan.gan.run_folder import FINISHED

    history = load(folder / FINISHED, prefixes=()).progress.get("history", [])
    share = next((row["diversity"] for row in reversed(history) if "diversity" in row), 1.0)
    if share < COLLAPSED:
        print(f"the generated images hardly vary ({share:.0%} of the real ones): the generator has collapsed")


def _made(arguments: argparse.Namespace) -> tuple[Config, Settings]:
    """Configuration, but for the channels, which the images tell, and settings from what was typed."""
    from pytest_medgan.gan.dcgan import DCGANConfig
    from pytest_medgan.gan.dcgan_training import DCGANSettings
    from pytest_medgan.gan.pggan import PGGANConfig
    from pytest_medgan.gan.pggan_training import PGGANSettings

    widths = _given(arguments, ("latent", "generator_width", "discriminator_width"))
    shared = {"seed": arguments.seed, **_given(arguments, SHARED)}
    if arguments.architecture == "dcgan":
        _refuse(arguments, PGGAN_ALONE)
        return (
            DCGANConfig(size=arguments.size, **widths),
            DCGANSettings(**shared, **_given(arguments, DCGAN_ALONE)),
        )
    _refuse(arguments, DCGAN_ALONE)
    stables, batches = _pairs("stables", arguments.stables), _pairs("batches", arguments.batches)
    return (
        PGGANConfig(size=arguments.size, **widths, **_given(arguments, ("full_until",))),
        PGGANSettings(**shared, **_given(arguments, ("fading", "stable", "loss")), stables=stables, batches=batches),
    )


def _refuse(arguments: argparse.Namespace, names: tuple[str, ...]) -> None:
    typed = [f"--{name.replace('_', '-')}" for name in names if getattr(arguments, name) is not None]
    if typed:
        raise SettingsError(f"{', '.join(typed)} does not apply to {arguments.architecture}; leave it out")


def _pairs(name: str, text: str | None) -> tuple[tuple[int, int], ...]:
    """Return the number for each resolution that an option's value names; none where it was not typed."""
    if text is None:
        return ()
    try:
        pairs = [part.split(":") for part in text.split(",")]
        return tuple((int(resolution), int(number)) for resolution, number in pairs)
    except ValueError as error:
        raise SettingsError(f"--{name} {text!r} must be RESOLUTION:NUMBER pairs, as 4:128,8:128") from error


class _LogLines:
    """A line with the losses every quarter of a minute, above the bar or in the log."""

    def __init__(self) -> None:
        self._shown = time.monotonic()

    def __call__(self, step: int, row: Mapping[str, float]) -> None:
        if time.monotonic() - self._shown < LINE:
            return
        self._shown = time.monotonic()
        rate, left = row["images_per_second"], row["seconds_left"] / 60
        losses = ", ".join(f"{n} {v:.3f}" for n, v in row.items() if n not in ("images_per_second", "seconds_left"))
        print(f"medgan: step {step}: {losses}; {rate:.0f} images/s, {left:.0f} min left", file=sys.stderr, flush=True)


def _given(arguments: argparse.Namespace, names: tuple[str, ...]) -> dict[str, Any]:
    """The options that were typed; the dataclasses hold the defaults."""
    return {name: getattr(arguments, name) for name in names if getattr(arguments, name) is not None}


def _run_settings(arguments: argparse.Namespace) -> RunSettings:
    from pytest_medgan.gan.loop import RunSettings

    return RunSettings(
        checkpoint_every=arguments.checkpoint_every,
        grid_every=arguments.grid_every,
        keep=arguments.keep,
        half=arguments.half,
        graph=not arguments.no_graph,
    )


def training_images(arguments: argparse.Namespace, progress: Progress) -> ImageSet:
    """The images the arguments name: the training role of a cohort or a prepared set, or all of another .npz."""
    from pytest_medgan.ct.store import load_prepared
    from pytest_medgan.gan.networks import digest

    # a prepared set also holds the reference and the held-out patients, which no generator may have seen
    if arguments.images.endswith(".npz") and load_prepared(Path(arguments.images)) is None:
        from pytest_medgan.gan.pool import read_npz

        if arguments.patients is not None:
            raise SettingsError("--patients does not apply to an .npz that was not prepared here; leave it out")
        images = read_npz(Path(arguments.images))
    else:
        from pytest_medgan.evaluate.sources import load_real
        from pytest_medgan.records import DataSettings

        settings = DataSettings(
            source=arguments.images,
            split=arguments.split,
            seed=arguments.split_seed,
            crop=arguments.crop,
            size=arguments.size,
            slices=arguments.slices or None,
            patients=arguments.patients,
        )
        images = load_real(settings, cache_dir=arguments.cache_dir, progress=progress).training
    if arguments.limit is None:
        return images
    if not 1 <= arguments.limit <= len(images):
        raise SettingsError(f"--limit {arguments.limit} must lie between 1 and the {len(images)} images there are")
    return replace(
        images.take(slice(0, arguments.limit)), recipe=digest("first images", images.recipe, arguments.limit)
    )
