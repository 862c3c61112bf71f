"""The console script `medgan COMMAND`, one file per command.

A command file has `add_parser(subparsers)`, which declares its arguments without importing anything heavy, and
`run(arguments) -> int`, which imports what it needs and returns the exit status.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module

from pytest_medgan.errors import MedganError

COMMANDS = (
    "prepare",
    "fetch",
    "train",
    "finetune",
    "convert",
    "sample",
    "evaluate",
    "baseline",
    "cache",
    "report",
    "turing",
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: The arguments; None takes those of the process.

    Returns:
        The exit status: 0 done, 1 a gate or check failed, 2 the command could not be carried out, 130 interrupted.
    """
    parser = argparse.ArgumentParser(
        prog="medgan", description="Regression tests for generative models of medical images."
    )
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name in COMMANDS:
        command = import_module(f"pytest_medgan.cli.{name}")
        command.add_parser(subparsers).set_defaults(run=command.run)
    arguments = parser.parse_args(argv)
    if os.getcwd() not in sys.path and "" not in sys.path:
        sys.path.append(os.getcwd())  # so that package.module:callable is found in the working directory
    try:
        status: int = arguments.run(arguments)
    except MedganError as error:
        print(f"medgan: {error.for_terminal()}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("medgan: interrupted", file=sys.stderr)
        return 130
    except Exception as error:
        said = _words_of_user_code(error)
        if said is None:
            raise
        print(f"medgan: {said}", file=sys.stderr)
        return 2
    return status


def _words_of_user_code(error: Exception) -> str | None:
    """Return in one line, for the terminal alone, what a user's own code raises; None where it was not called."""
    from pytest_medgan.ground.terminal import printable
    from pytest_medgan.ground.user_code import find_place

    place = find_place(error)
    if place is None:
        return None
    text = str(error).partition("\n")[0]
    said = f" ({text})" if text else ""
    return printable(
        f"Your code raises {type(error).__name__} in {place}{said}. Correct it there, or call it in Python "
        "to see the traceback."
    )
