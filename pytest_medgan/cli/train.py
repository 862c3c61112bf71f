"""medgan train: a DCGAN on images of one's own."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_medgan.errors import SettingsError

if TYPE_CHECKING:
    from pytest_medgan.gan.loop import RunSettings
    from pytest_medgan.records import ImageSet, Progress


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """Declares the command's arguments."""
    parser = subparsers.add_parser("train", help="train a generator on a set of images")
    parser.add_argument("architecture", choices=("dcgan",))
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of the run")
    parser.add_argument("--resume", action="store_true", help="continue the run in DIR, to the bit")
    _add_images(parser.add_argument_group("images"))
    network = parser.add_argument_group("networks")
    network.add_argument("--size", type=int, default=128, help="pixels, a power of two (default 128)")
    network.add_argument("--latent", type=int, help="dimensions of z (default: dcgan 100)")
    network.add_argument("--generator-width", type=int, help="maps (default: dcgan 64)")
    network.add_argument("--discriminator-width", type=int, help="maps (default: dcgan 64)")
    training = parser.add_argument_group("training")
    training.add_argument("--steps", type=int, help="dcgan: updates at most (default 20000)")
    training.add_argument("--batch", type=int, help="images a step (default: dcgan 64)")
    training.add_argument("--learning-rate", type=float)
    training.add_argument("--discriminator-learning-rate", type=float, help="dcgan: default as --learning-rate")
    training.add_argument("--noise", type=float, help="dcgan: sd of the discriminator's noise at the start (default 0)")
    training.add_argument(
        "--average", type=float, help="moving average of the generator (default: dcgan 0, pggan 0.999)"
    )
    training.add_argument("--seed", type=int, default=0, help="of weights, latents and order (default 0)")
    training.add_argument("--tolerance", type=float, help="dcgan: stop when the losses change by less; 0 never")
    training.add_argument("--precision", choices=("float32", "bfloat16"), default="float32")
    training.add_argument("--device", default="cpu", help="cpu or cuda (default cpu)")
    training.add_argument("--threads", type=int, help="of the CPU; a fixed number makes a run repeatable to the bit")
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
        help="a folder of DICOM studies, `phantom`, `phantom:PATIENTSxSLICES`, or a prepared .npz (default phantom)",
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
    from pytest_medgan.gan.dcgan import DCGANConfig
    from pytest_medgan.gan.dcgan_training import DCGANSettings
    from pytest_medgan.gan.training import train

    if arguments.threads is not None:
        import torch

        torch.set_num_threads(max(1, arguments.threads))
    with ConsoleProgress() as progress:
        images = training_images(arguments, progress)
        config = DCGANConfig(
            size=arguments.size,
            channels=images.pixels.shape[1],
            **_given(arguments, ("latent", "generator_width", "discriminator_width")),
        )
        settings = DCGANSettings(
            seed=arguments.seed,
            precision=arguments.precision,
            **_given(
                arguments,
                ("steps", "batch", "learning_rate", "discriminator_learning_rate", "noise", "average", "tolerance"),
            ),
        )
        generator = train(
            config,
            settings,
            images,
            arguments.out,
            run=_run_settings(arguments),
            device=arguments.device,
            resume=arguments.resume,
            progress=progress,
        )
    print(f"generator.safetensors: identity {generator.identity[:16]}, trained on {len(images)} images")
    return 0


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
    )


def training_images(arguments: argparse.Namespace, progress: Progress) -> ImageSet:
    """The images the arguments name: those of an .npz, or the training role of a cohort."""
    from pytest_medgan.gan.networks import digest

    if arguments.images.endswith(".npz"):
        from pytest_medgan.gan.pool import read_npz

        images = read_npz(Path(arguments.images))
    else:
        from pytest_medgan.ct import load_real
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
    from dataclasses import replace

    return replace(
        images.take(slice(0, arguments.limit)), recipe=digest("first images", images.recipe, arguments.limit)
    )
