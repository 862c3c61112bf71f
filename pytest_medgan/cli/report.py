"""`medgan report RUN_DIR`: draw the reports of a run again, from its folder alone."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """Declare the command's arguments."""
    parser = subparsers.add_parser(
        "report",
        help="draw the reports of a run again",
        description="Writes report.html and report.md into the folder of a run, from its scores.json and its evidence.",
    )
    parser.add_argument("run_dir", metavar="RUN_DIR", type=Path, help="the folder that --medgan-report wrote")
    parser.add_argument("--format", default="html,md", metavar="html,md", help="which to write (default: %(default)s)")
    parser.add_argument(
        "--against",
        type=Path,
        metavar="RUN_DIR",
        help="the run folder of the accepted model, whose samples and curves are shown as the baseline's",
    )
    parser.add_argument(
        "--real", action="store_true", help="show real images, which are patient data, where the run stored them"
    )
    return parser


def run(arguments: argparse.Namespace) -> int:
    """Draw the reports and print their paths. Return 0."""
    from pytest_medgan.report import render

    formats = [name.strip() for name in arguments.format.split(",") if name.strip()]
    for path in render(arguments.run_dir, formats, include_real=arguments.real, against=arguments.against):
        print(path)
    return 0
