"""`medgan sample`: draw images from a generator, as an .npz, pictures, a contact sheet or DICOM files."""

from __future__ import annotations

import argparse
from pathlib import Path

from pytest_medgan.errors import SettingsError

_NOT_WRITTEN = (".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".npy", ".pt", ".dcm", ".nii", ".gz", ".zip")


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """Declare the command's arguments."""
    parser = subparsers.add_parser("sample", help="draw images from a generator")
    parser.add_argument(
        "generator",
        metavar="GENERATOR",
        help="a checkpoint, or another value that --medgan-generator takes; a folder of volumes may be followed by "
        "options of --medgan-data, as in made,crop=image,size=64",
    )
    parser.add_argument(
        "--out", type=Path, metavar="FILE|DIR", help=".npz, .png (one sheet) or a folder without pictures"
    )
    parser.add_argument(
        "--dicom", type=Path, metavar="DIR", help="a new folder of secondary captures marked as synthetic data"
    )
    parser.add_argument("--count", type=int, default=64, help="images per seed (default 64)")
    parser.add_argument("--seed", type=int, action="append", help="latent seed, may be repeated (default 0)")
    parser.add_argument("--columns", type=int, default=8, help="columns of a contact sheet (default 8)")
    parser.add_argument("--device", default="cpu", help="cpu or cuda (default cpu)")
    parser.add_argument(
        "--cache-dir", type=Path, default=Path(".medgan"), help="where prepared volumes are kept (default: %(default)s)"
    )
    return parser


def run(arguments: argparse.Namespace) -> int:
    """Draw, write, and print what was written; exit status 0."""
    import numpy as np

    from pytest_medgan.cli.progress import ConsoleProgress
    from pytest_medgan.evaluate.volume_folders import find_volumes, open_volumes
    from pytest_medgan.evaluate.volumes import middle_slices
    from pytest_medgan.gan import load_generator
    from pytest_medgan.gan.run_folder import grid, write_png
    from pytest_medgan.ground.files import write_file
    from pytest_medgan.session.places import model_path

    seeds = arguments.seed or [0]
    if arguments.count < 1 or arguments.columns < 1 or min(seeds) < 0:
        raise SettingsError("--count and --columns must be at least 1, and --seed at least 0.")
    if arguments.out is None and arguments.dicom is None:
        raise SettingsError("medgan sample has nothing to write. Give --out FILE or --dicom DIR.")
    if arguments.out is not None and arguments.out.suffix.lower() in _NOT_WRITTEN and not arguments.out.is_dir():
        raise SettingsError(f"--out {arguments.out.name} cannot be written as such. Name an .npz, a .png or a folder.")
    if arguments.out is not None and _holds_pictures(arguments.out):
        raise SettingsError(
            f"--out {arguments.out} holds pictures already, which would be mixed with the new ones. "
            "Name a new folder, or remove those pictures first."
        )
    name = model_path(arguments.generator)
    with ConsoleProgress() as progress:
        volumes = find_volumes(name, "The generator", middle=True)
        generator = (
            load_generator(name, device=arguments.device, progress=progress)
            if volumes is None
            else open_volumes(volumes, seeds, middle=True, cache_dir=arguments.cache_dir, progress=progress)
        )
        pixels = np.concatenate([middle_slices(generator(arguments.count, seed)) for seed in seeds])
    groups = np.repeat([str(seed) for seed in seeds], arguments.count)
    if arguments.dicom is not None:
        from pytest_medgan.ct.capture import write_captures

        write_captures(arguments.dicom, pixels, groups.tolist(), generator.window)
    out: Path | None = arguments.out
    if out is not None and out.suffix == ".npz":
        arrays = {"pixels": pixels, "groups": groups}
        if generator.window is not None:
            arrays["window"] = np.array(generator.window)
        write_file(out, lambda stream: np.savez_compressed(stream, **arrays))  # type: ignore[arg-type]
    elif out is not None and out.suffix == ".png":
        out.parent.mkdir(parents=True, exist_ok=True)
        write_png(grid(pixels, arguments.columns), out)
    elif out is not None:
        out.mkdir(parents=True, exist_ok=True)
        for index, (image, seed) in enumerate(zip(pixels, groups, strict=True)):
            write_png(image.transpose(1, 2, 0), out / f"seed{seed}-{index % arguments.count:06d}.png")
    print(f"{len(pixels)} images of {pixels.shape[-2]}x{pixels.shape[-1]} from {len(seeds)} seed(s)")
    return 0


def _holds_pictures(folder: Path) -> bool:
    """Return whether a path is a folder with pictures in it."""
    from pytest_medgan.ground.pictures import SUFFIXES

    return folder.is_dir() and any(path.suffix.lower() in SUFFIXES for path in folder.iterdir())
