"""`medgan fetch`: download a public collection from the Imaging Data Commons, or list its series."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_medgan.errors import SettingsError

if TYPE_CHECKING:
    from pytest_medgan.ct.fetch import RemoteSeries

_ASK_ABOVE = 1_000_000_000  # bytes


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """Declare the command's arguments."""
    parser = subparsers.add_parser("fetch", help="download NSCLC-Radiomics from the Imaging Data Commons")
    parser.add_argument("collection", metavar="COLLECTION", help="nsclc-radiomics")
    parser.add_argument("--patients", type=int, metavar="N", help="the first N in PatientID order (default: all)")
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="folder to download into; files that it has already are kept"
    )
    parser.add_argument("--list", action="store_true", help="list every series and download nothing; needs no network")
    parser.add_argument("--yes", action="store_true", help="do not ask before downloading more than 1 GB")
    return parser


def run(arguments: argparse.Namespace) -> int:
    """List or download; exit status 0, or 1 when the answer to the question was no."""
    from pytest_medgan.cli.progress import ConsoleProgress
    from pytest_medgan.ct.fetch import fetch, is_complete, list_series

    if not arguments.list and arguments.out is None:
        raise SettingsError("medgan fetch has no folder to download into. Give --out DIR, or --list.")
    series = list_series(arguments.collection, patients=arguments.patients)
    if arguments.list:
        try:
            _print_list(arguments.collection, series)
        except BrokenPipeError:  # a reader such as `head` has closed the pipe; the flush at exit must not fail
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    out: Path = arguments.out
    missing = [one for one in series if not is_complete(one, out)]
    size = sum(one.size for one in missing)
    _print_terms(arguments.collection, series)
    if size > _ASK_ABOVE and not arguments.yes and not _agreed(len(missing), size):
        print("nothing downloaded")
        return 1
    with ConsoleProgress() as progress:
        fetched, present = fetch(series, out, progress=progress)
    print(f"{fetched} series downloaded ({_readable(size)}), {present} already present")
    print(
        "The clinical table is not in the Imaging Data Commons. Put the collection's CSV from TCIA next to the "
        "patients' folders."
    )
    return 0


def _agreed(count: int, size: int) -> bool:
    """Ask on a terminal; raise SettingsError anywhere else."""
    if not sys.stdin.isatty():
        raise SettingsError(f"{_readable(size)} would be downloaded, with no terminal to ask on. Add --yes to agree.")
    answer = input(f"Download {count} series, {_readable(size)}? [y/N] ")
    return answer.strip().lower() in ("y", "yes")


def _print_list(collection: str, series: tuple[RemoteSeries, ...]) -> None:
    """Print one line per series, then the terms."""
    print(f"{'patient':<12} {'kind':<9} {'files':>5} {'MB':>9}  series")
    for one in series:
        print(f"{one.patient:<12} {one.modality:<9} {one.files:>5} {one.size / 1e6:>9.2f}  {one.series}")
    _print_terms(collection, series)
    sys.stdout.flush()


def _print_terms(collection: str, series: tuple[RemoteSeries, ...]) -> None:
    """Print totals, licence and attribution."""
    from pytest_medgan.ct.fetch import ATTRIBUTION

    parts = []
    for kind in ("CT", "RTSTRUCT"):
        of_kind = [one for one in series if one.modality == kind]
        size = _readable(sum(one.size for one in of_kind))
        parts.append(f"{len(of_kind)} {kind} series ({_counted(sum(one.files for one in of_kind), 'file')}, {size})")
    patients = _counted(len({one.patient for one in series}), "patient")
    print(f"{patients}: {' and '.join(parts)}, {_readable(sum(one.size for one in series))} in all")
    licences = ", ".join(sorted({one.licence for one in series}))
    print(f"licence: {licences}" + ("; non-commercial use only, and with attribution" if "NC" in licences else ""))
    print(f"attribution: {ATTRIBUTION[collection]}")


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _readable(size: int) -> str:
    return f"{size / 1e9:.2f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"
