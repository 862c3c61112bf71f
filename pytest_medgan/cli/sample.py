"""medgan sample: images of a generator, as an .npz, pictures or a contact sheet."""

from __future__ import annotations

import argparse
from pathlib import Path

from pytest_medgan.errors import SettingsError


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """Declares the command's arguments."""
    parser = subparsers.add_parser("sample", help="draw images from a generator")
    parser.add_argument("generator", metavar="GENERATOR", help="a checkpoint, or whatever --medgan-generator takes")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE|DIR", help=".npz, .png (one sheet) or folder")
    parser.add_argument("--count", type=int, default=64, help="images a seed (default 64)")
    parser.add_argument("--seed", type=int, action="append", help="latent seed, may be repeated (default 0)")
    parser.add_argument("--columns", type=int, default=8, help="of a contact sheet (default 8)")
    parser.add_argument("--device", default="cpu", help="cpu or cuda (default cpu)")
    return parser


def run(arguments: argparse.Namespace) -> int:
    """Draws, writes, and says what was written; exit status 0."""
    import numpy as np

    from pytest_medgan.cli.progress import ConsoleProgress
    from pytest_medgan.gan import load_generator
    from pytest_medgan.gan.run_folder import grid, write_png

    seeds = arguments.seed or [0]
    if arguments.count < 1 or arguments.columns < 1 or min(seeds) < 0:
        raise SettingsError("--count and --columns must be at least 1, --seed not negative")
    with ConsoleProgress() as progress:
        generator = load_generator(arguments.generator, device=arguments.device, progress=progress)
        pixels = np.concatenate([generator(arguments.count, seed) for seed in seeds])
    groups = np.repeat([str(seed) for seed in seeds], arguments.count)
    out: Path = arguments.out
    if out.suffix == ".npz":
        out.parent.mkdir(parents=True, exist_ok=True)
        if generator.window is None:
            np.savez_compressed(out, pixels=pixels, groups=groups)
        else:
            np.savez_compressed(out, pixels=pixels, groups=groups, window=np.array(generator.window))
    elif out.suffix == ".png":
        out.parent.mkdir(parents=True, exist_ok=True)
        write_png(grid(pixels, arguments.columns), out)
    else:
        out.mkdir(parents=True, exist_ok=True)
        for index, (image, seed) in enumerate(zip(pixels, groups, strict=True)):
            write_png(image.transpose(1, 2, 0), out / f"seed{seed}-{index % arguments.count:06d}.png")
    print(f"{len(pixels)} images of {pixels.shape[-2]}x{pixels.shape[-1]} from {len(seeds)} seed(s)")
    return 0
