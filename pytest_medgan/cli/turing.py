"""`medgan turing`: a visual Turing test as one page, and `medgan turing score` for its answers."""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_medgan.errors import DataError, SettingsError

if TYPE_CHECKING:
    from pytest_medgan.records import UInt8
    from pytest_medgan.report.turing_score import ReaderScore, TuringScore

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
    from pytest_medgan.report.turing import make_page

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
        images = ["real" if is_real else "generated" for is_real in page.key]
        arguments.key.write_text(json.dumps({"page": page.identity, "images": images}) + "\n", encoding="utf-8")
        print(f"{arguments.key}: the key, without which the answers cannot be scored")
    return 0


def _score(arguments: argparse.Namespace) -> int:
    from pytest_medgan.report.turing_score import read_key, turing_accuracy

    if not arguments.answers:
        raise SettingsError("no answer file; save the answers on the page and name them")
    keys = read_key(arguments.key) if arguments.key is not None else {}
    for line in _lines(turing_accuracy(arguments.answers, keys=keys)):
        print(line)
    return 0


def _lines(score: TuringScore) -> list[str]:
    head = f"{'reader':<20} {'accuracy':>8}  {'95% interval':<15} {'sensitivity':>11} {'specificity':>11} {'area':>6} "
    rows = [*score.readers, score.pooled] if len(score.readers) > 1 else list(score.readers)
    lines = [f"{head}{'answers':>8} {'seconds':>8}", *map(_line, rows)]
    if len(score.readers) > 1:
        lines.append(f"agreement (Fleiss' kappa): {_number(score.fleiss)}")
        lines += [f"agreement of {a} and {b} (Cohen's kappa): {_number(k)}" for (a, b), k in score.cohen.items()]
    lines.append("Sensitivity: generated images called generated. Specificity: real ones called real. Guessing: 0.5.")
    return lines


def _line(score: ReaderScore) -> str:
    low, high = score.interval
    return (
        f"{score.reader:<20.20} {score.accuracy:>8.3f}  {f'{low:.3f} to {high:.3f}':<15} "
        f"{_number(score.sensitivity):>11} {_number(score.specificity):>11} {_number(score.area):>6} "
        f"{score.answered:>8} {score.seconds:>8.1f}"
    )


def _number(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.3f}"


def _real(arguments: argparse.Namespace) -> tuple[UInt8, tuple[float, float] | None]:
    """Images as they are where the set is images; otherwise the held-out images of studies."""
    pixels = _pixels(Path(arguments.real))
    if pixels is not None:
        return pixels, None
    from pytest_medgan.cli.progress import ConsoleProgress
    from pytest_medgan.evaluate.settings import parse_data
    from pytest_medgan.evaluate.sources import load_real

    with ConsoleProgress() as progress:
        sets = load_real(parse_data(arguments.real), cache_dir=arguments.cache_dir, progress=progress)
    return sets.held_out.pixels, sets.held_out.window


def _fake(arguments: argparse.Namespace) -> UInt8:
    pixels = _pixels(Path(arguments.fake))
    if pixels is not None:
        return pixels
    from pytest_medgan.cli.progress import ConsoleProgress
    from pytest_medgan.gan import load_generator

    with ConsoleProgress() as progress:
        generator = load_generator(arguments.fake, device=arguments.device, progress=progress)
        return generator(arguments.count, arguments.seed)


def _pixels(path: Path) -> UInt8 | None:
    """uint8 [N,1,H,W] out of an array file or a folder of pictures; None where it is neither."""
    import numpy as np

    pixels: UInt8
    try:
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as archive:
                pixels = archive["pixels"]
        elif path.suffix == ".npy":
            pixels = np.load(path, allow_pickle=False)
        elif path.is_dir() and (files := sorted(path.glob("*.png"))):
            from PIL import Image

            pixels = np.stack([np.asarray(Image.open(file).convert("L")) for file in files])
        else:
            return None
    except (OSError, KeyError, ValueError):
        raise DataError(
            "the images cannot be read; give an array `pixels` of uint8, or pictures of one size", file=path.name
        ) from None
    if pixels.ndim == 3:
        pixels = pixels[:, None]
    if pixels.dtype != np.uint8 or pixels.ndim != 4 or pixels.shape[1] != 1:
        raise DataError(f"images must be uint8 [N,1,H,W], not {pixels.dtype} {list(pixels.shape)}", file=path.name)
    return pixels
