"""`medgan report RUN_DIR`: draws the reports of a run again, from its folder alone."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any


def add_parser(subparsers: Any) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "report",
        help="draw a run's reports again from its folder",
        description="Writes report.html and report.md into the folder of a run (scores.json and evidence.npz).",
    )
    parser.add_argument("run_dir", metavar="RUN_DIR", type=Path, help="the folder that --medgan-report wrote")
    parser.add_argument("--format", default="html,md", metavar="html,md", help="which to write (default: %(default)s)")
    parser.add_argument(
        "--against", type=Path, metavar="RUN_DIR", help="another run, whose samples are shown as the baseline's"
    )
    parser.add_argument(
        "--real", action="store_true", help="show pictures of real images where the run kept any: patient data"
    )
    return parser


def run(arguments: argparse.Namespace) -> int:
    from pytest_medgan.report import render

    formats = [name.strip() for name in arguments.format.split(",") if name.strip()]
    written = render(arguments.run_dir, formats, include_real=arguments.real, against=arguments.against)
    for path in written:
        print(path)
    return 0
