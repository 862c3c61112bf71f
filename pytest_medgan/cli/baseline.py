"""medgan baseline accept | diff | format: what a person does with a candidate."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_medgan.errors import SettingsError

if TYPE_CHECKING:
    from pytest_medgan.gate.document import Document, RowRecord
    from pytest_medgan.records import Margin


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """Declares the command and its three actions."""
    parser = subparsers.add_parser("baseline", help="accept, compare or format a baseline file")
    actions = parser.add_subparsers(dest="action", required=True, metavar="accept|diff|format")
    accept = actions.add_parser("accept", help="make a candidate's row the baseline's")
    accept.add_argument("candidate", type=Path, help="the file that a run wrote")
    accept.add_argument("--row", help="the row to replace or add (default: the candidate's own)")
    accept.add_argument("--reason", required=True, help="why the change is wanted; kept in the row")
    accept.add_argument("--into", metavar="FILE", help="the baseline (default: the one it was made for)")
    accept.add_argument(
        "--override",
        action="append",
        default=[],
        choices=("dirty", "fingerprint"),
        help="accept in spite of a dirty tree or another fingerprint; recorded in the row",
    )
    accept.add_argument(
        "--margin",
        action="append",
        default=[],
        metavar="METRIC=KIND[:AMOUNT]",
        help="fid=auto, fid=absolute:2, fid=relative:0.05, fid=toward_real:0.1",
    )
    diff = actions.add_parser("diff", help="print a baseline beside a candidate or another baseline")
    diff.add_argument("baseline", help="a baseline's path or built-in name")
    diff.add_argument("candidate", type=Path)
    diff.add_argument("--row", help="only this row")
    form = actions.add_parser("format", help="write a baseline in canonical form; remarks move to `note`")
    form.add_argument("baseline", type=Path)
    form.add_argument("--check", action="store_true", help="write nothing; exit 1 when the file would change")
    return parser


def run(arguments: argparse.Namespace) -> int:
    """Exit status 0; 1 for `diff` when something differs and for `format --check` when the file would change."""
    actions = {"accept": _accept, "diff": _diff, "format": _format}
    return actions[arguments.action](arguments)


def _accept(arguments: argparse.Namespace) -> int:
    from pytest_medgan.gate.accept import accept
    from pytest_medgan.gate.baseline import find, shown

    done = accept(
        arguments.candidate,
        row=arguments.row,
        into=None if arguments.into is None else find(arguments.into),
        reason=arguments.reason,
        overrides=arguments.override,
        margins=dict(_margin(spec) for spec in arguments.margin),
    )
    verb = "created with" if done.created else "row replaced:" if done.before else "row added:"
    print(f"{shown(done.path)}: {verb} {done.row}")
    for line in done.overridden:
        print(f"  overridden and recorded: {line}")
    for line in _row_lines(done.before, done.after):
        print(line)
    for line in done.warnings:
        print(f"  warning: {line}")
    print("review the file's diff and commit it")
    return 0


def _diff(arguments: argparse.Namespace) -> int:
    from pytest_medgan.gate import baseline

    loaded = baseline.load(arguments.baseline)
    if not loaded.exists:
        raise SettingsError(f"{loaded.shown}: no such baseline; `medgan baseline accept` writes the first")
    old = loaded.document
    if not arguments.candidate.is_file():
        raise SettingsError(f"{baseline.shown(arguments.candidate)}: no such candidate; run the gate, which writes one")
    new = baseline.parse(baseline.read(arguments.candidate), baseline.shown(arguments.candidate))
    differs = False
    for name in _names(old, new, arguments.row):
        before, after = old.rows.get(name), new.rows.get(name)
        print(name if before and after else f"{name} ({'added' if after else 'not in the candidate'})")
        if after is not None:
            lines = _row_lines(before, after)
            differs = differs or any(not line.endswith("unchanged") for line in lines)
            print("\n".join(lines))
    if old.fingerprint and new.fingerprint:
        for line in new.fingerprint.differences(old.fingerprint):
            differs = True
            print(f"fingerprint: {line}")
    return 1 if differs else 0


def _format(arguments: argparse.Namespace) -> int:
    from pytest_medgan.gate import accept, baseline, canonical

    if arguments.check:
        text = baseline.read(arguments.baseline)
        same = canonical.text(baseline.parse(text, baseline.shown(arguments.baseline))) == text
        print(f"{baseline.shown(arguments.baseline)}: {'canonical' if same else 'not canonical'}")
        return 0 if same else 1
    changed = accept.reformat(arguments.baseline)
    print(f"{baseline.shown(arguments.baseline)}: {'formatted' if changed else 'canonical already'}")
    return 0


def _names(old: Document, new: Document, row: str | None) -> list[str]:
    if row is not None and row not in old.rows and row not in new.rows:
        raise SettingsError(f"neither file has a row {row!r}")
    return [row] if row is not None else [*new.rows, *(name for name in old.rows if name not in new.rows)]


def _row_lines(before: RowRecord | None, after: RowRecord) -> list[str]:
    """Old beside new, one line a metric, at the largest count that both have."""
    from pytest_medgan.catalogue import METRICS, ordered

    lines = []
    for name in ordered({*after.metrics, *(before.metrics if before else {})}):
        old = None if before is None else before.metrics.get(name)
        new = after.metrics.get(name)
        if new is None:
            lines.append(f"  {name:<20} removed")
            continue
        decimals = METRICS[name].decimals if name in METRICS else 4
        counts = sorted(set(new.at) & set(old.at)) if old is not None else sorted(new.at)
        if not counts:
            lines.append(f"  {name:<20} measured at other counts")
            continue
        n = counts[-1]
        value = new.at[n]
        shown = f"{value.value:.{decimals}f} ± {value.sd:.{decimals}f} at {n:,}"
        margin = "" if new.margin is None else f", margin {new.margin}"
        if old is None:
            lines.append(f"  {name:<20} {shown}{margin}, new")
        elif old.at[n] == value:
            lines.append(f"  {name:<20} {shown}{margin}, unchanged")
        else:
            lines.append(f"  {name:<20} {old.at[n].value:.{decimals}f} -> {shown}{margin}")
    return lines


def _margin(spec: str) -> tuple[str, Margin]:
    """`fid=relative:0.05` -> ("fid", Margin("relative", 0.05))."""
    from pytest_medgan.records import Margin

    metric, _, rest = spec.partition("=")
    kind, _, amount = rest.partition(":")
    try:
        number = float(amount) if amount else 0.0
    except ValueError:
        number = -1.0
    known = kind in ("absolute", "relative", "toward_real", "auto") and (kind == "auto") == (not amount)
    if not metric or not known or not 0 <= number < float("inf"):
        raise SettingsError(f"--margin {spec} is not METRIC=auto or METRIC=absolute|relative|toward_real:AMOUNT")
    return metric, Margin(kind, number)
