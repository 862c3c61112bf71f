"""`medgan turing`: a visual Turing test as one page, and `medgan turing score` for its answers."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_medgan.errors import SettingsError

if TYPE_CHECKING:
    from pytest_medgan.records import UInt8

_SEALED = (
    "The page carries which image is which in a sealed form: out of sight, but not safe from someone who takes the "
    "page apart. --key keeps it out of the page altogether."
)


def add_parser(subparsers: Any) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "turing",
        help="make a visual Turing test, or score its answers",
        description="Makes a self-contained page on which readers tell real slices from generated ones; "
        "`medgan turing score ANSWERS.json ...` scores what they saved.",
        epilog=_SEALED,
    )
    parser.add_argument("action", nargs="?", choices=("make", "score"), default="make")
    parser.add_argument("answers", nargs="*", type=Path, metavar="ANSWERS.json", help="with score: saved answers")
    parser.add_argument(
        "--real", metavar="SET", help="real images: .npz, .npy, a folder of .png, studies[,key=value...], or phantom"
    )
    parser.add_argument("--fake", metavar="SET", help="generated images: .npz, .npy, a folder of .png, or a generator")
    parser.add_argument("--out", type=Path, metavar="PAGE.html", help="the page to write")
    parser.add_argument("--count", type=int, default=50, help="images of each kind (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of choice and order (default: %(default)s)")
    parser.add_argument("--key", type=Path, metavar="KEY.json", help="keep the key out of the page and in this file")
    parser.add_argument("--device", default="cpu", help="to generate on (default: %(default)s)")
    parser.add_argument(
        "--cache-dir", type=Path, default=Path(".medgan"), help="for prepared studies (default: %(default)s)"
    )
    return parser


def run(arguments: argparse.Namespace) -> int:
    return _score(arguments) if arguments.action == "score" else _make(arguments)


def _make(arguments: argparse.Namespace) -> int:
    from pytest_medgan.turing import make_page, write_key

    for name in ("real", "fake", "out"):
        if getattr(arguments, name) is None:
            raise SettingsError(f"medgan turing needs --{name}; see medgan turing --help")
    if arguments.answers:
        raise SettingsError("answer files are scored by `medgan turing score ANSWERS.json ...`")
    real, window = _real(arguments)
    page = make_page(
        real=real,
        fake=_fake(arguments),
        count=arguments.count,
        seed=arguments.seed,
        window=window,
        sealed=arguments.key is None,
    )
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(page.html, encoding="utf-8")
    print(f"{arguments.out}: {len(page.key)} images, half of them real; the page shows patients' images")
    if arguments.key is not None:
        write_key(arguments.key, page.identity, page.key)
        print(f"{arguments.key}: the key, without which the answers cannot be scored")
    return 0


def _score(arguments: argparse.Namespace) -> int:
    from pytest_medgan.turing import read_key, summary_lines, turing_accuracy

    if not arguments.answers:
        raise SettingsError("no answer file; save the answers on the page and name them")
    keys = read_key(arguments.key) if arguments.key is not None else {}
    for line in summary_lines(turing_accuracy(arguments.answers, keys=keys)):
        print(line)
    return 0


def _real(arguments: argparse.Namespace) -> tuple[UInt8, tuple[float, float] | None]:
    """Images as they are where the set is images; otherwise the held-out images of studies."""
    from pytest_medgan.turing import read_pixels

    pixels = read_pixels(Path(arguments.real))
    if pixels is not None:
        return pixels, None
    from pytest_medgan.cli.progress import ConsoleProgress
    from pytest_medgan.evaluate.settings import parse_data
    from pytest_medgan.evaluate.sources import load_real

    with ConsoleProgress() as progress:
        sets = load_real(parse_data(arguments.real), cache_dir=arguments.cache_dir, progress=progress)
    return sets.held_out.pixels, sets.held_out.window


def _fake(arguments: argparse.Namespace) -> UInt8:
    from pytest_medgan.turing import read_pixels

    pixels = read_pixels(Path(arguments.fake))
    if pixels is not None:
        return pixels
    from pytest_medgan.cli.progress import ConsoleProgress
    from pytest_medgan.gan import load_generator

    with ConsoleProgress() as progress:
        generator = load_generator(arguments.fake, device=arguments.device, progress=progress)
        return generator(arguments.count, arguments.seed)
