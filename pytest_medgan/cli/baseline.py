"""`medgan baseline accept | diff | format | seal`: accept candidates and maintain baseline files."""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_medgan.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_medgan.gate.document import Document
    from pytest_medgan.records import Anchor, Entry, Margin, Row, Score


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """Declare the command and its four actions."""
    parser = subparsers.add_parser("baseline", help="accept, compare, format or seal a baseline file")
    actions = parser.add_subparsers(dest="action", required=True, metavar="accept|diff|format|seal")
    _add_accept(actions.add_parser("accept", help="write candidates into the baseline as one row"))
    diff = actions.add_parser("diff", help="compare a baseline with a candidate or another baseline")
    diff.add_argument("baseline", help="path or built-in name of a baseline")
    diff.add_argument("candidate", type=Path)
    diff.add_argument("--row", help="only this row")
    formatting = actions.add_parser("format", help="write a baseline in canonical form; comments are moved to `note`")
    formatting.add_argument("baseline", type=Path)
    formatting.add_argument("--check", action="store_true", help="write nothing; exit 1 when the file would change")
    formatting.add_argument(
        "--reason", help="why the values of a file of an older format can be trusted; kept in its rows"
    )
    seal = actions.add_parser("seal", help="seal rows that were changed by hand")
    seal.add_argument("baseline", type=Path)
    seal.add_argument("--reason", required=True, help="why they were changed; kept in the rows")
    return parser


def _add_accept(accept: argparse.ArgumentParser) -> None:
    """Declare what `accept` takes."""
    accept.add_argument(
        "candidates",
        type=Path,
        nargs="+",
        metavar="FILE",
        help="files that runs wrote; several are training runs of one recipe and make one row",
    )
    accept.add_argument("--row", help="the row to replace or add (default: the one that the candidate names)")
    accept.add_argument("--reason", required=True, help="why the change is wanted; kept in the row")
    accept.add_argument(
        "--into",
        metavar="FILE",
        help="the baseline (default: the one that the run was compared with, unless it is part of the package)",
    )
    accept.add_argument(
        "--override",
        action="append",
        default=[],
        choices=("dirty", "fingerprint", "drift"),
        help="accept although the working tree is dirty, the fingerprint differs, or a metric is worse or missing; "
        "recorded in the row",
    )
    accept.add_argument(
        "--margin",
        action="append",
        default=[],
        metavar="METRIC=KIND[:AMOUNT]",
        help="fid=auto, fid=absolute:2, fid=relative:0.05, fid=toward_real:0.1",
    )
    accept.add_argument(
        "--selected-from",
        type=int,
        default=0,
        metavar="K",
        help="number of training runs of which these are the best; first measure these again with other latent seeds",
    )


def run(arguments: argparse.Namespace) -> int:
    """Return exit status 0; 1 for `diff` when something differs and for `format --check` when the file would change."""
    actions = {"accept": _accept, "diff": _diff, "format": _format, "seal": _seal}
    return actions[arguments.action](arguments)


def _accept(arguments: argparse.Namespace) -> int:
    """Make candidates a row and print what changed."""
    from pytest_medgan.gate.accept import Request, accept
    from pytest_medgan.gate.baseline import find, shown

    done = accept(
        Request(
            candidates=tuple(arguments.candidates),
            reason=arguments.reason,
            row=arguments.row,
            into=None if arguments.into is None else find(arguments.into),
            overrides=frozenset(arguments.override),
            margins=dict(_margin(spec) for spec in arguments.margin),
            selected_from=arguments.selected_from,
        )
    )
    verb = "created with" if done.created else "row replaced:" if done.before else "row added:"
    runs = f", {len(done.after.runs)} training runs" if len(done.after.runs) > 1 else ""
    print(f"{shown(done.path)}: {verb} {done.row}{runs}")
    for line in done.overridden:
        print(f"  overridden and recorded: {line}")
    for line in _row_lines(done.before, done.after):
        print(line)
    for line in done.warnings:
        print(f"  warning: {line}")
    print("review the file's diff and commit it")
    return 0


def _diff(arguments: argparse.Namespace) -> int:
    """Print how the rows of two files differ, and the conditions that each was measured under."""
    from pytest_medgan.gate import baseline
    from pytest_medgan.gate.comparable import replaced_conditions

    loaded = baseline.load(arguments.baseline)
    if not loaded.exists:
        raise SettingsError(f"{loaded.shown}: there is no such baseline. `medgan baseline accept` writes the first.")
    old = loaded.document
    if not arguments.candidate.is_file():
        raise SettingsError(
            f"{baseline.shown(arguments.candidate)}: there is no such candidate. Run the gate, which writes one."
        )
    new = baseline.parse(baseline.read(arguments.candidate), baseline.shown(arguments.candidate))
    differs = False
    for name in _names(old, new, arguments.row):
        before, after = old.rows.get(name), new.rows.get(name)
        gone = "not in the candidate" if new.complete is not None else "removed"
        print(name if before and after else f"{name} ({'added' if after else gone})")
        differs = differs or (after is None and new.complete is None)  # a candidate holds one model's row
        if after is not None:
            lines = _row_lines(before, after)
            lines += [f"  fingerprint: {line}" for line in replaced_conditions(after, before, old.fingerprint)]
            differs = differs or any(not line.endswith("unchanged") for line in lines)
            print("\n".join(lines))
    return 1 if differs else 0


def _format(arguments: argparse.Namespace) -> int:
    """Write a file in canonical form, or check that it is."""
    from pytest_medgan.gate import baseline, canonical
    from pytest_medgan.gate.upkeep import reformat

    if arguments.check:
        text = baseline.read(arguments.baseline)
        same = canonical.text(baseline.parse(text, baseline.shown(arguments.baseline))) == text
        print(f"{baseline.shown(arguments.baseline)}: {'canonical' if same else 'not canonical'}")
        return 0 if same else 1
    changed = reformat(arguments.baseline, arguments.reason)
    print(f"{baseline.shown(arguments.baseline)}: {'formatted' if changed else 'already canonical'}")
    return 0


def _seal(arguments: argparse.Namespace) -> int:
    """Seal the rows that were changed."""
    from pytest_medgan.gate.baseline import shown
    from pytest_medgan.gate.upkeep import reseal

    changed = reseal(arguments.baseline, arguments.reason)
    print(f"{shown(arguments.baseline)}: {'sealed ' + ', '.join(changed) if changed else 'every seal holds already'}")
    return 0


def _names(old: Document, new: Document, row: str | None) -> list[str]:
    """Return the rows to compare: the one asked for, or those of both files."""
    if row is not None and row not in old.rows and row not in new.rows:
        raise SettingsError(f"Neither file has a row {row!r}. Give the name of a row of one of the files.")
    return [row] if row is not None else [*new.rows, *(name for name in old.rows if name not in new.rows)]


def _row_lines(before: Row | None, after: Row) -> list[str]:
    """Return one line per metric with its old and new value, at the largest count that both rows have.

    A line that ends with "unchanged" stands for a metric whose values, margin and anchor are those of the old row. A
    candidate has neither margin nor anchor, and a new row of them is compared by its values alone.
    """
    from pytest_medgan.catalogue import METRICS, ordered

    lines = []
    for name in ordered({*after.entries, *(before.entries if before else {})}):
        old = None if before is None else before.entries.get(name)
        new = after.entries.get(name)
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
        shown = f"{_value_and_spread(value, decimals)} at {n:,}"
        margin = "" if new.margin is None else f", margin {new.margin}"
        if old is None:
            lines.append(f"  {name:<20} {shown}{margin}, new")
            continue
        if new.margin is not None and old.margin is not None and new.margin != old.margin:
            margin = f", margin {old.margin} -> {new.margin}"
        moved = not _is_same(old.at[n], value)
        was = f"{old.at[n].mean:.{decimals}f} -> " if moved else ""
        state = "" if moved else _state_of(old, new, counts)
        lines.append(f"  {name:<20} {was}{shown}{margin}{state}")
    return lines


def _state_of(old: Entry, new: Entry, counts: Sequence[int]) -> str:
    """Return what else differs in an entry whose value at the largest count is that of the old one."""
    others = [n for n in counts if not _is_same(old.at[n], new.at[n])]
    if others:
        return f", changed at {', '.join(f'{n:,}' for n in others)}"
    accepted = new.margin is not None and old.margin is not None  # neither is a candidate's
    if accepted and new.margin != old.margin:
        return ""
    return ", anchor changed" if accepted and not _is_same(new.anchor, old.anchor) else ", unchanged"


def _is_same(one: Score | Anchor | None, other: Score | Anchor | None) -> bool:
    """Return whether two records hold the same; a spread that is not known equals another one."""
    return repr(one) == repr(other)


def _value_and_spread(score: Score, decimals: int) -> str:
    """Return "20.123 ± 0.500", without a spread that is not known."""
    spread = "" if math.isnan(score.sd) else f" ± {score.sd:.{decimals}f}"
    return f"{score.mean:.{decimals}f}{spread}"


def _margin(spec: str) -> tuple[str, Margin]:
    """Read `fid=relative:0.05` as ("fid", Margin("relative", 0.05))."""
    from pytest_medgan.records import Margin

    metric, _, rest = spec.partition("=")
    kind, _, amount = rest.partition(":")
    try:
        number = float(amount) if amount else 0.0
    except ValueError:
        number = -1.0
    known = kind in ("absolute", "relative", "toward_real", "auto") and (kind == "auto") == (not amount)
    if not metric or not known or not 0 <= number < float("inf"):
        raise SettingsError(
            f"--margin {spec} cannot be read. Give METRIC=auto or METRIC=absolute|relative|toward_real:AMOUNT."
        )
    return metric, Margin(kind, number)
