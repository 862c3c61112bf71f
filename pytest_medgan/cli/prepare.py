"""`medgan prepare`: turn studies, or other sources of images, into one .npz that anyone can reproduce."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_medgan.errors import SettingsError

if TYPE_CHECKING:
    from pytest_medgan.ct.store import Prepared
    from pytest_medgan.records import DataSettings, RealSets

_SHOWN = 3  # names of files in a line of the table
_READ = ("files", "slices found", "pictures", "volumes")  # counts of what was looked at, in the order of the table
_OPTIONS = (  # (data option, metavar, help); the keys are those that may follow SOURCE after a comma
    ("crop", "tumour|image|auto", "what the crop is centred on (default auto)"),
    ("crop_size", "N", "pixels cut from a slice (default 160)"),
    ("size", "N", "pixels of a finished image (default 128)"),
    ("window", "LOW:HIGH", "HU of 0 and 255, as in --window=-1350:150 (default -1000:400)"),
    ("slices", "N", "slices of a patient, or all (default 64)"),
    ("planes", "axial|three|volume", "axial slices, slices of three planes of a cube, or whole cubes (default axial)"),
    ("channels", "1|3", "channels of an image: 1 grey, 3 colour (default 1)"),
    ("patients", "N", "the first N by PatientID, or all (default all)"),
    ("histologies", "A:B", "only patients with these histologies"),
    ("roi", "NAME", "name of the region that crop=tumour is centred on (default: a region named GTV or tumour)"),
    ("range", "LOW:HIGH", "values of black and white, for pictures that do not have 8 bits, as in --range=0:1"),
    (
        "patient",
        "top|folder|file",
        "what names the patient of a picture or volume: its topmost folder (top, the default), its own folder, or its "
        "file name",
    ),
    ("split", "patient|slice", "what is divided into the three sets (default patient)"),
    (
        "fractions",
        "T:R:H",
        "shares of training, reference and held-out images, for split=patient (default 0.5:0.25:0.25)",
    ),
    ("seed", "N", "seed of the split (default 0)"),
)


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """Declare the command's arguments."""
    parser = subparsers.add_parser(
        "prepare",
        help="turn studies into a set of images",
        description="Turns a source into training, reference and held-out images. SOURCE is a folder of DICOM studies "
        "in any layout, of PNG, JPEG, TIFF, NIfTI, NRRD or MetaImage, an .npy or .npz file, or phantom or "
        "phantom:96x10; options may follow it as in --medgan-data, SOURCE,crop=image,size=64. The file that is written "
        "is itself a source, for --medgan-data and here.",
    )
    parser.add_argument("source", metavar="SOURCE[,key=value...]")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.npz")
    options = parser.add_argument_group("data options, which may also follow SOURCE")
    for key, words, text in _OPTIONS:
        options.add_argument(f"--{key.replace('_', '-')}", dest=key, metavar=words, help=text)
    options.add_argument(
        "--strict", action="store_true", help="refuse files that are damaged or do not fit, even if they are not used"
    )
    parser.add_argument("--cache-dir", type=Path, default=Path(".medgan"), metavar="DIR", help="(default .medgan)")
    return parser


def run(arguments: argparse.Namespace) -> int:
    """Write the file and print what went into it; exit status 0."""
    if arguments.out.suffix != ".npz":
        raise SettingsError("--out must end in .npz.")
    settings = data_settings(arguments)
    from pytest_medgan.cli.progress import ConsoleProgress
    from pytest_medgan.ct.roles import divide
    from pytest_medgan.ct.split import split_images
    from pytest_medgan.ct.store import save_prepared
    from pytest_medgan.evaluate.sources import prepare

    with ConsoleProgress() as progress:
        prepared = prepare(settings, cache_dir=arguments.cache_dir, reread=True, progress=progress)
    real = divide(prepared, settings)
    split = split_images(prepared.groups, settings)
    roles = {"training": split.training, "reference": split.reference, "held_out": split.held_out}
    save_prepared(arguments.out, prepared, roles)
    print("\n".join(summary(prepared, real)))
    return 0


def data_settings(arguments: argparse.Namespace) -> DataSettings:
    """Return the options as settings. Raises SettingsError naming the option."""
    from pytest_medgan.evaluate.settings import parse_data, read_data_option
    from pytest_medgan.session.places import check_meaning

    check_meaning(arguments.source, "data", "SOURCE")
    settings = parse_data(arguments.source, "SOURCE")
    given: dict[str, Any] = {}
    for key, _, _ in _OPTIONS:
        text = getattr(arguments, key)
        if text is not None:
            given[key] = read_data_option(key, text, f"--{key.replace('_', '-')}")
    return replace(settings, **given, given=(*settings.given, *given), strict=settings.strict or arguments.strict)


def summary(prepared: Prepared, real: RealSets) -> list[str]:
    """Return the table that the command ends with: read, used, skipped by reason, warnings."""
    from pytest_medgan.ground.terminal import printable

    counts = dict(real.counts)
    lines = _table("read", {name: counts.pop(name) for name in _READ if name in counts})
    skipped = {name.removeprefix("skipped: "): counts.pop(name) for name in list(counts) if name.startswith("skipped")}
    lines += _table("used", counts)
    lines += _table("skipped", skipped, prepared.named)
    for what, names in prepared.named.items():
        if what not in skipped:
            lines.append(f"{'named':<8} {'':>7}  {printable(what)}: {_first_names(names)}")
    lines += [f"{'warning':<8} {'':>7}  {printable(warning)}" for warning in real.warnings]
    sizes = f"training {len(real.training)}, reference {len(real.reference)}, held out {len(real.held_out)} images"
    lines.append(f"{sizes}; crop {real.settings.crop}, split {real.settings.split}")
    lines.append(f"digest {real.digest}")
    return lines


def _table(title: str, counts: Mapping[str, int], named: Mapping[str, Sequence[str]] | None = None) -> list[str]:
    """Return one line a count, with the names behind it where they are known."""
    lines = []
    for number, (what, count) in enumerate(counts.items()):
        names = (named or {}).get(what, ())
        behind = f": {_first_names(names)}" if names else ""
        lines.append(f"{'' if number else title:<8} {count:>7}  {what}{behind}")
    return lines


def _first_names(names: Sequence[str]) -> str:
    """Return the first few names for a terminal, and how many more there are."""
    from pytest_medgan.ground.terminal import printable

    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(printable(name) for name in names[:_SHOWN]) + more
