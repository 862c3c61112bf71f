"""`medgan finetune`: fine-tune InceptionV3 on your own images, by the paper's recipe."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_medgan.errors import SettingsError

if TYPE_CHECKING:
    from pytest_medgan.embedding.finetune import EpochReport
    from pytest_medgan.records import ImageSet


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """Declare the command's arguments."""
    parser = subparsers.add_parser("finetune", help="fine-tune InceptionV3 on survival, as a feature space")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of the run")
    parser.add_argument("--resume", action="store_true", help="continue the run in DIR")
    parser.add_argument(
        "--data",
        metavar="SOURCE",
        help="real images, written like --medgan-data: studies with a clinical table, or phantom (default)",
    )
    parser.add_argument("--cache-dir", type=Path, default=Path(".medgan"), metavar="DIR", help="default: .medgan")
    recipe = parser.add_argument_group("recipe")
    recipe.add_argument("--weights", default="imagenet", help="imagenet (default), random or a file to start from")
    recipe.add_argument("--epochs", type=int, default=10)
    recipe.add_argument("--batch", type=int, default=8, help="images per step (default 8)")
    recipe.add_argument(
        "--learning-rate",
        type=float,
        default=3e-3,
        help="learning rate of the first step; it falls to zero (default: %(default)s)",
    )
    recipe.add_argument(
        "--train-head", action="store_true", help="train the new output layers too (the paper does not)"
    )
    recipe.add_argument("--normalisation", choices=("symmetric", "imagenet"), default="symmetric")
    recipe.add_argument("--seed", type=int, default=0)
    parser.add_argument("--checkpoint-every", type=int, default=200, metavar="STEPS")
    parser.add_argument("--device", default="cpu", help="cpu or cuda (default cpu)")
    return parser


def run(arguments: argparse.Namespace) -> int:
    """Train, print every epoch and leave DIR/inception_v3.safetensors. Return 0."""
    from pytest_medgan.cli.progress import ConsoleProgress
    from pytest_medgan.embedding.finetune import FinetuneSettings, class_counts, finetune
    from pytest_medgan.embedding.finetune_files import FINISHED, UNFINISHED
    from pytest_medgan.embedding.sharding import processes
    from pytest_medgan.evaluate.settings import parse_data
    from pytest_medgan.evaluate.sources import load_real
    from pytest_medgan.session.places import check_meaning

    if arguments.data is not None:
        check_meaning(arguments.data, "data", "--data")
    check_meaning(arguments.weights, "weights", "--weights")
    if min(arguments.epochs, arguments.batch, arguments.checkpoint_every) < 1 or arguments.seed < 0:
        raise SettingsError("--epochs, --batch and --checkpoint-every must be at least 1, and --seed at least 0.")
    if arguments.resume and not any((arguments.out / name).exists() for name in (UNFINISHED, FINISHED)):
        raise SettingsError("There is no run to resume in --out. Leave --resume out, or name the folder of a run.")
    settings = FinetuneSettings(
        weights=arguments.weights,
        epochs=arguments.epochs,
        batch=arguments.batch,
        learning_rate=arguments.learning_rate,
        train_head=arguments.train_head,
        normalisation=arguments.normalisation,
        seed=arguments.seed,
    )
    with processes() as (rank, _), ConsoleProgress(quiet=rank > 0) as progress:
        data = parse_data(arguments.data or "phantom", "--data")
        real = load_real(data, cache_dir=arguments.cache_dir, progress=progress)
        if real.training.pixels.ndim != 4:
            raise SettingsError("InceptionV3 learns images, and planes=volume asks for volumes. Leave planes= out.")
        held_out = real.held_out if real.settings.split == "patient" else None
        for line in (*real.warnings, _class_balance(class_counts(real.training), real.training)):
            if rank == 0:
                print(line)
        artefact = finetune(
            settings,
            real.training,
            arguments.out,
            held_out=held_out,
            device=arguments.device,
            resume=arguments.resume,
            checkpoint_every=arguments.checkpoint_every,
            on_epoch=_print_epoch,
            progress=progress,
        )
    if rank == 0:
        print(f"{artefact.name} is ready. Use it with --medgan-extractor=inception_v3,weights=FILE.")
    return 0


def _class_balance(counts: tuple[int, int, int], images: ImageSet) -> str:
    """Return the class balance of the training images in one line."""
    alive, deceased, unknown = counts
    known = max(alive + deceased, 1)
    return (
        f"training on {alive + deceased} images of {len(set(images.groups.tolist()))} patients: {alive} of survivors "
        f"({alive / known:.0%}), {deceased} of the deceased ({deceased / known:.0%}), {unknown} without label left out"
    )


def _print_epoch(report: EpochReport) -> None:
    """Print one epoch's figures."""
    print(f"epoch {report.epoch}: training loss {report.loss:.4f}")
    if report.held_out is not None:
        print(f"held-out patients\n{report.held_out}")
