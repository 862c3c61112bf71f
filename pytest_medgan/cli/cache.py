"""`medgan cache`: list stored features, remove them, or move them between machines in one file."""

from __future__ import annotations

import argparse
from pathlib import Path

DAY = 86400.0  # seconds


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """Declare the command's arguments."""
    parser = subparsers.add_parser("cache", help="list, remove, export or import stored features")
    parser.add_argument("--cache-dir", type=Path, default=Path(".medgan"), metavar="DIR", help="default: .medgan")
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    actions.add_parser("look", help="list what is stored, one line per feature space")
    prune = actions.add_parser("prune", help="remove features that are old, damaged or above a size limit")
    prune.add_argument(
        "--limit", metavar="SIZE", help="keep at most this much, such as 500M or 2G; the oldest are removed first"
    )
    prune.add_argument(
        "--older-than", type=float, metavar="DAYS", help="remove features that were not used for this many days"
    )
    prune.add_argument("--check", action="store_true", help="read every block and remove the damaged ones")
    prune.add_argument("--all", action="store_true", help="remove everything")
    export = actions.add_parser("export", help="write all features into one file, for example for a CI cache")
    export.add_argument("file", type=Path, metavar="FILE.tar")
    importing = actions.add_parser("import", help="add the features of an exported file")
    importing.add_argument("file", type=Path, metavar="FILE.tar")
    return parser


def run(arguments: argparse.Namespace) -> int:
    """Carry out the action and print what was done. Return 0."""
    from pytest_medgan.embedding import housekeeping

    folder: Path = arguments.cache_dir / "features"
    if arguments.action == "look":
        _look(folder)
    elif arguments.action == "prune":
        limit = None if arguments.limit is None else housekeeping.parse_size(arguments.limit, "--limit")
        limit = 0 if arguments.all else limit
        older = None if arguments.older_than is None else arguments.older_than * DAY
        removed = housekeeping.prune(folder, limit=limit, older_than=older, check=arguments.check)
        print(f"{removed.files} files removed, {removed.size / 1e6:.1f} MB")
    elif arguments.action == "export":
        print(f"{housekeeping.export(folder, arguments.file)} blocks exported")
    else:
        print(f"{housekeeping.import_blocks(folder, arguments.file)} blocks imported")
    return 0


def _look(folder: Path) -> None:
    """Print one line per feature space."""
    from datetime import UTC, datetime

    from pytest_medgan.embedding.housekeeping import summarise

    spaces = summarise(folder)
    for space in spaces:
        used = datetime.fromtimestamp(space.used, UTC).strftime("%Y-%m-%d %H:%M")
        print(
            f"{space.images:8d} images {space.size / 1e6:9.1f} MB  used {used}  {space.numeric_class}  {space.identity}"
        )
    print(f"{sum(s.images for s in spaces)} images in {sum(s.size for s in spaces) / 1e6:.1f} MB")
