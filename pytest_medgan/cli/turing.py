"""`medgan turing`: make a visual Turing test, or score its answers."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_medgan.errors import SettingsError

if TYPE_CHECKING:
    from pytest_medgan.records import RealSets, UInt8

_EPILOG = (
    "The page does not hold the key that says which images are real. It is written to PAGE.key.json, or to --key; keep "
    "it from the readers. `medgan turing score` takes the key from the folder of the answers, or from --key."
)


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """Declare the command's arguments."""
    parser = subparsers.add_parser(
        "turing",
        help="make a visual Turing test, or score its answers",
        description="Makes a self-contained page on which readers tell real slices from generated ones. "
        "`medgan turing score ANSWERS.json ...` scores what they saved.",
        epilog=_EPILOG,
    )
    parser.add_argument("action", nargs="?", choices=("make", "score"), default="make")
    parser.add_argument("answers", nargs="*", type=Path, metavar="ANSWERS.json", help="with score: saved answers")
    parser.add_argument(
        "--real", metavar="SET", help="real images: .npz, .npy, a folder of .png, studies[,key=value...], or phantom"
    )
    parser.add_argument(
        "--fake",
        metavar="SET",
        help="generated images: .npz, .npy, a folder of .png, or a generator; a folder of volumes is read with the "
        "settings of the studies in --real, or with the options behind its name",
    )
    parser.add_argument("--out", type=Path, metavar="PAGE.html", help="the page to write")
    parser.add_argument("--count", type=int, default=50, help="images of each kind (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="latent seed of the generator (default: %(default)s)")
    parser.add_argument("--key", type=Path, metavar="KEY.json", help="the key file to write or, with score, to read")
    parser.add_argument("--device", default="cpu", help="device of the generator (default: %(default)s)")
    parser.add_argument(
        "--cache-dir", type=Path, default=Path(".medgan"), help="where prepared studies are kept (default: %(default)s)"
    )
    return parser


def run(arguments: argparse.Namespace) -> int:
    """Make a page or score its answers. Return 0."""
    return _score(arguments) if arguments.action == "score" else _make(arguments)


def _make(arguments: argparse.Namespace) -> int:
    """Write a page and its key."""
    from pytest_medgan.ground.files import write_text
    from pytest_medgan.turing import KEY_SUFFIX, cue_warning, find_cues, make_page, write_key

    for name in ("real", "fake", "out"):
        if getattr(arguments, name) is None:
            raise SettingsError(f"--{name} is absent and `medgan turing` needs it. See `medgan turing --help`.")
    if arguments.answers:
        raise SettingsError("Answer files are given without `score`. Use `medgan turing score ANSWERS.json ...`.")
    real, sets = _real(arguments)
    fake = _fake(arguments, sets)
    window = None if sets is None else sets.held_out.window
    page = make_page(real=real, fake=fake, count=arguments.count, window=window)
    key_path = arguments.key or arguments.out.with_suffix(KEY_SUFFIX)
    write_key(key_path, page.key)  # before the page: a page without a key is of no use
    write_text(arguments.out, page.html)
    print(f"{arguments.out}: {len(page.key.images)} images, half of them real. The page shows patients' images.")
    print(f"{key_path}: the key, needed to score the answers. Keep it from the readers.")
    for cue in find_cues(real=real, fake=fake):
        print(f"warning: {cue_warning(cue)}")
    return 0


def _score(arguments: argparse.Namespace) -> int:
    """Print the scores of answer files."""
    from pytest_medgan.turing import summary_lines, turing_accuracy

    if not arguments.answers:
        raise SettingsError("No answer file is named. Save the answers on the page and name their files.")
    keys = None if arguments.key is None else [arguments.key]
    for line in summary_lines(turing_accuracy(arguments.answers, keys=keys)):
        print(line)
    return 0


def _real(arguments: argparse.Namespace) -> tuple[UInt8, RealSets | None]:
    """Return the images of an image set, or the held-out images of studies, and these studies."""
    from pytest_medgan.session.places import check_meaning
    from pytest_medgan.turing import read_pixels

    check_meaning(arguments.real, "data", "--real")
    pixels = read_pixels(Path(arguments.real))
    if pixels is not None:
        return pixels, None
    from pytest_medgan.cli.progress import ConsoleProgress
    from pytest_medgan.evaluate.settings import parse_data
    from pytest_medgan.evaluate.sources import load_real

    with ConsoleProgress() as progress:
        sets = load_real(parse_data(arguments.real, "--real"), cache_dir=arguments.cache_dir, progress=progress)
    if sets.held_out.pixels.shape[1] != 1 or sets.held_out.pixels.ndim != 4:
        raise SettingsError(
            "--real is in colour or of whole volumes, and readers see grey slices. Leave channels= and planes=volume "
            "out."
        )
    return sets.held_out.pixels, sets


def _fake(arguments: argparse.Namespace, real: RealSets | None) -> UInt8:
    """Return the images of an image set, the slices of a folder of volumes, or samples of a generator."""
    from pytest_medgan.session.places import model_path
    from pytest_medgan.turing import read_pixels

    name = model_path(arguments.fake)
    pixels = read_pixels(Path(name))
    if pixels is not None:
        return pixels
    from pytest_medgan.cli.progress import ConsoleProgress
    from pytest_medgan.evaluate.volume_folders import find_volumes, open_volumes
    from pytest_medgan.evaluate.volumes import middle_slices
    from pytest_medgan.gan import load_generator

    with ConsoleProgress() as progress:
        volumes = find_volumes(name, "--fake")
        if volumes is not None:
            seeds = (arguments.seed,)
            return open_volumes(volumes, seeds, real=real, cache_dir=arguments.cache_dir, progress=progress).pixels
        generator = load_generator(name, device=arguments.device, progress=progress)
        return middle_slices(generator(arguments.count, arguments.seed))
