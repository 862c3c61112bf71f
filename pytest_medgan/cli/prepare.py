"""medgan prepare: studies, or other sources of images, to one .npz that anyone can reproduce."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_medgan.errors import SettingsError

if TYPE_CHECKING:
    from pytest_medgan.records import DataSettings, RealSets


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """Declares the command's arguments."""
    parser = subparsers.add_parser(
        "prepare",
        help="turn studies into a set of images",
        description="Turns a source into training, reference and held-out images. SOURCE is a folder of DICOM studies "
        "in any layout, of PNG, TIFF, NIfTI or NRRD, an .npy or .npz file, or phantom or phantom:96x10. The "
        "file it writes is itself a source, for --medgan-data and here.",
    )
    parser.add_argument("source", metavar="SOURCE")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.npz")
    images = parser.add_argument_group("images")
    images.add_argument("--crop", choices=("auto", "tumour", "image"), default="auto", help="centre (default auto)")
    images.add_argument("--crop-size", type=int, default=160, help="pixels cut from a slice (default 160)")
    images.add_argument("--size", type=int, default=128, help="pixels of a finished image (default 128)")
    images.add_argument(
        "--window",
        default="-1000:400",
        metavar="LOW:HIGH",
        help="HU of 0 and 255, as in --window=-1350:150 (default -1000:400)",
    )
    images.add_argument("--slices", default="64", metavar="N", help="a patient, or all (default 64)")
    images.add_argument("--patients", default="all", metavar="N", help="the first N by PatientID, or all (default)")
    images.add_argument(
        "--histology", action="append", default=[], metavar="NAME", help="only patients of this one; may be repeated"
    )
    split = parser.add_argument_group("split")
    split.add_argument("--split", choices=("patient", "slice"), default="patient", help="(default patient)")
    split.add_argument("--fractions", default="0.5:0.25:0.25", metavar="T:R:H", help="of patients, for split=patient")
    split.add_argument("--seed", type=int, default=0, help="of the split (default 0)")
    parser.add_argument("--cache-dir", type=Path, default=Path(".medgan"), metavar="DIR", help="(default .medgan)")
    return parser


def run(arguments: argparse.Namespace) -> int:
    """Writes the file and says what went into it."""
    if arguments.out.suffix != ".npz":
        raise SettingsError("--out must end in .npz")
    settings = data_settings(arguments)
    import numpy as np

    from pytest_medgan.cli.progress import ConsoleProgress
    from pytest_medgan.ct.cohort import split_images
    from pytest_medgan.ct.roles import divide
    from pytest_medgan.ct.store import save_prepared
    from pytest_medgan.evaluate.sources import prepare

    with ConsoleProgress() as progress:
        prepared = prepare(settings, cache_dir=arguments.cache_dir, progress=progress)
    real = divide(prepared, settings)
    split = split_images(prepared.groups, settings)
    roles = {"training": split.training, "reference": split.reference, "held_out": split.held_out}
    save_prepared(arguments.out, prepared, roles)
    print(_summary(real, patients=len(np.unique(prepared.groups))))
    return 0


def data_settings(arguments: argparse.Namespace) -> DataSettings:
    """The options as settings. Raises SettingsError naming the option."""
    from pytest_medgan.records import DataSettings

    low, high = _numbers(arguments.window, 2, "--window")
    training, reference, held_out = _numbers(arguments.fractions, 3, "--fractions")
    return DataSettings(
        source=arguments.source,
        split=arguments.split,
        fractions=(training, reference, held_out),
        seed=arguments.seed,
        crop=arguments.crop,
        crop_size=arguments.crop_size,
        size=arguments.size,
        window=(low, high),
        slices=_count(arguments.slices, "--slices"),
        patients=_count(arguments.patients, "--patients"),
        histologies=tuple(arguments.histology),
    )


def _numbers(text: str, count: int, option: str) -> tuple[float, ...]:
    try:
        numbers = tuple(float(part) for part in text.split(":"))
    except ValueError:
        numbers = ()
    if len(numbers) != count:
        raise SettingsError(f"{option} takes {count} numbers with colons between them, not {text!r}")
    return numbers


def _count(text: str, option: str) -> int | None:
    if text == "all":
        return None
    if not text.isdigit() or int(text) < 1:
        raise SettingsError(f"{option} takes a whole number of at least 1, or all, not {text!r}")
    return int(text)


def _summary(real: RealSets, *, patients: int) -> str:
    sizes = f"training {len(real.training)}, reference {len(real.reference)}, held out {len(real.held_out)}"
    lines = [
        f"{sizes} images of {patients} patients; crop {real.settings.crop}, split {real.settings.split}",
        f"digest {real.digest}",
        *(f"{name}: {count}" for name, count in real.counts.items()),
        *(f"warning: {warning}" for warning in real.warnings),
    ]
    return "\n".join(lines)
