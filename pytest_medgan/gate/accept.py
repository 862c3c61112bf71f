"""Accepting candidates: the one deliberate act that changes a baseline.

It replaces one row and leaves every other byte of the file as it was, which is why it asks for a file in canonical
form: a remark or a hand-made layout could not survive it, and silently losing either would be worse than refusing. Only
where the last model of a file moves to other conditions do the file's fingerprint and its Real row move, too.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType

from pytest_medgan.errors import BaselineError
from pytest_medgan.gate import baseline, canonical
from pytest_medgan.gate.blindness import blind_metrics
from pytest_medgan.gate.comparable import replaced_conditions
from pytest_medgan.gate.document import REAL, Document, aligned
from pytest_medgan.gate.drift import lost_metrics, missing_metrics, with_anchors
from pytest_medgan.gate.message import moved
from pytest_medgan.gate.new_row import with_margins, with_real, with_selection
from pytest_medgan.gate.placing import file_conditions, merged
from pytest_medgan.gate.risks import DEFAULT, Settings
from pytest_medgan.gate.rows import chosen_row, combined
from pytest_medgan.gate.seal import sealed
from pytest_medgan.ground.files import write_text
from pytest_medgan.ground.locks import locked_folder
from pytest_medgan.records import Fingerprint, Margin, Row, Scalar, Seal, Verdict

OVERRIDES = ("dirty", "fingerprint", "drift")  # what may be overridden, each recorded in the row
WAIT = 60.0  # seconds for another process that writes the same file


@dataclass(frozen=True)
class Accepted:
    """What an acceptance did."""

    path: Path
    row: str
    created: bool  # the file was not there before
    before: Row | None  # the row that was replaced
    after: Row
    overridden: tuple[str, ...]  # one line each
    warnings: tuple[str, ...] = ()  # one line each


@dataclass(frozen=True)
class Request:
    """What a person asks to be accepted."""

    candidates: tuple[Path, ...]  # files that runs wrote, each of one or several training runs of one recipe
    reason: str  # why the change is wanted; kept in the row
    row: str | None = None  # the row to replace or add; by default the candidate's own
    into: Path | None = None  # the baseline; by default the one that the candidate was made for
    overrides: frozenset[str] = frozenset()  # of OVERRIDES: what to accept in spite of
    margins: Mapping[str, Margin] = field(default_factory=dict)  # by metric; by default those of the replaced row
    selected_from: int = 0  # training runs that these were chosen from as the best; 0 where none was left out


def accept(request: Request, settings: Settings = DEFAULT) -> Accepted:
    """Make candidates a row of the baseline.

    Args:
        request: What to accept.
        settings: The risks of the gate.

    Raises:
        BaselineError: Under CI; an empty reason; an incomplete candidate; candidates that do not belong together; a
            dirty tree, another fingerprint, a loss or a metric left out without an override; a baseline that is
            published or part of the package, has another layout, or whose row was changed by hand.
        OutputError: The baseline cannot be written.
    """
    refuse_under_ci()
    reason_of(request.reason)
    unknown = sorted(set(request.overrides) - set(OVERRIDES))
    if unknown:
        raise BaselineError(f"There is no override {', '.join(unknown)}; there are {', '.join(OVERRIDES)}.")
    documents = [_candidate(path) for path in request.candidates]
    chosen = [chosen_row(document, request.row) for document in documents]
    _refuse_several(request, documents, [name for name, _ in chosen])
    name = chosen[0][0]
    source = replace(combined([row for _, row in chosen]), name=name)
    path = _target(request.into, documents[0].baseline)
    with locked(path):
        old = _existing(path)
        before = None if old is None else old.rows.get(name)
        _refuse_unvouched(before)
        selected = request.selected_from > max(len(source.runs), 1)
        file = file_conditions(old, source, selected=selected)
        after, overridden = _new_row(request, documents[0], source, old, file=file, settings=settings)
        document = merged(old, documents[0], after, file)
        write_text(path, canonical.text(document))
    warnings = (*_replaced_real(old, document, name), *blind_metrics(after, settings))
    return Accepted(path, name, old is None, before, after, overridden, warnings)


def _refuse_several(request: Request, documents: Sequence[Document], rows: Sequence[str]) -> None:
    """Raise BaselineError where candidates name several rows or baselines and the request names none."""
    if len(names := dict.fromkeys(rows)) > 1:
        raise BaselineError(
            f"The candidates are of {len(names)} rows ({', '.join(names)}), and one acceptance makes one row. Accept "
            "each by itself, or name the row by --row where all are training runs of one recipe."
        )
    if request.into is None and len(files := dict.fromkeys(one.baseline for one in documents)) > 1:
        raise BaselineError(
            f"The candidates are meant for other baselines ({', '.join(file or 'none' for file in files)}). Name the "
            "file by --into FILE."
        )


def _target(into: Path | None, named: str) -> Path:
    """Return the baseline to write: the one asked for, else the one that the candidate was made for.

    Raises:
        BaselineError: There is none, or it belongs to the package.
    """
    if into is None and not named:
        raise BaselineError("The candidate names no baseline. Name the file by --into FILE.")
    path = into or baseline.find(named)
    if baseline.is_installed(path) or (into is None and baseline.is_built_in(named)):
        raise BaselineError(
            f"The baseline {path.stem} is part of the package, and an update of the package would overwrite the "
            "accepted row. Name a file of your own by --into FILE, and to pytest by --medgan-baseline=FILE."
        )
    return path


def _new_row(
    request: Request,
    candidate: Document,
    source: Row,
    old: Document | None,
    *,
    file: Fingerprint | None,
    settings: Settings,
) -> tuple[Row, tuple[str, ...]]:
    """Return the sealed row, as it stands in a file of this fingerprint, and what was accepted in spite of."""
    before = None if old is None else old.rows.get(source.name)
    lines = [*_dirty(source, request.overrides)]
    other = _other_fingerprint(request, source, old)
    lines += other
    today = datetime.now(UTC).strftime("%Y-%m-%d")
    row = with_margins(source, before, request.margins, settings)
    row = with_real(row, candidate, old)
    row = aligned(row, file)
    if request.selected_from:
        row = with_selection(row, request.selected_from, old)
    if before is not None and row.name != REAL:
        alike = before.fingerprint is not None and not other
        lost = lost_metrics(before, row, settings) if alike else ()
        missing = missing_metrics(before, row)
        if (lost or missing) and "drift" not in request.overrides:
            raise BaselineError(_what_is_lost(lost, missing))
        lines += [f"drift: {moved(verdict)}" for verdict in lost]
        lines += [f"drift: {metric}: not measured any more" for metric in missing]
        since = str(before.provenance.get("accepted", today))
        row = with_anchors(before if alike and not lost else None, row, since, settings)
    facts: dict[str, Scalar] = {**source.provenance, "accepted": today, "reason": reason_of(request.reason)}
    facts |= {f"override_{i}": line for i, line in enumerate(lines, 1)}
    row = replace(row, provenance=MappingProxyType(facts), note="" if before is None else before.note)
    return sealed(row), tuple(lines)


def _what_is_lost(lost: Sequence[Verdict], missing: Sequence[str]) -> str:
    """Say what accepting a row would lose, and what to do."""
    words, ways = [], []
    if lost:
        words.append(
            f"The candidate is worse than the row it would replace, or than its anchor: {'; '.join(map(moved, lost))}."
        )
        ways.append("Mend it")
    if missing:
        words.append(
            f"The candidate has not measured {', '.join(missing)} of the row that it would replace, so a later "
            "loss in these metrics would not be noticed."
        )
        ways.append("Measure all metrics of the row (--medgan-metrics)")
    return f"{' '.join(words)} {'. '.join(ways)}, or accept the loss by --override drift (recorded)."


def reason_of(text: str) -> str:
    """Return a reason on one line.

    Raises:
        BaselineError: There is none.
    """
    if not text.strip():
        raise BaselineError("A reason is required. Say by --reason what changed and why it is wanted.")
    return " ".join(text.split())


def refuse_under_ci() -> None:
    """Raise BaselineError where a CI service runs (GitHub, GitLab, Jenkins and others set CI or BUILD_NUMBER)."""
    if os.environ.get("CI", "").lower() not in ("", "0", "false") or os.environ.get("BUILD_NUMBER"):
        raise BaselineError("Under CI no baseline is written. Change it on your own machine and commit it.")


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock of a baseline, so that of two processes that write it each keeps the other's row.

    Raises:
        BaselineError: Another process holds it for too long.
    """
    try:
        with locked_folder(path.parent, WAIT):
            yield
    except TimeoutError:
        raise BaselineError(f"{baseline.shown(path)}: another process is writing it. Try again.") from None


def _candidate(path: Path) -> Document:
    """Read a candidate."""
    shown = baseline.shown(path)
    if not path.is_file():
        raise BaselineError(f"{shown}: there is no such candidate. Run the gate, which writes one.")
    document = baseline.parse(baseline.read(path), shown)
    if document.complete is None or document.fingerprint is None:
        raise BaselineError(f"{shown}:1: this is no candidate. Give the file that a run wrote.")
    if not document.complete:
        raise BaselineError(
            f"{shown}:1: the gate was decided before the full count, so looks are missing. "
            "Run it again with `pytest --medgan-full` and accept that candidate."
        )
    return document


def _existing(path: Path) -> Document | None:
    """Read the baseline that is to be changed; None where there is none yet."""
    if not path.exists():
        return None
    text, file = baseline.read(path), baseline.shown(path)
    document = baseline.parse(text, file)
    if document.kind == "published":
        raise BaselineError(f"{file}:2: published figures are not replaced by measured ones. Use another file.")
    if canonical.text(document) != text:
        raise BaselineError(
            f"{file}: it has an older format, comments or a layout of its own. Run `medgan baseline format {file}` "
            "first (comments are moved to `note`)."
        )
    return document


def _refuse_unvouched(before: Row | None) -> None:
    """Raise BaselineError where the row that is to be replaced cannot be compared with."""
    if before is not None and before.seal is not Seal.VALID:
        state = "was changed after it was sealed" if before.seal is Seal.BROKEN else "has no seal"
        raise BaselineError(
            f"{before.origin}: row {before.name!r} {state}, so its anchors are not known. Restore it, or run "
            "`medgan baseline seal FILE --reason ...`."
        )


def _dirty(source: Row, overrides: Collection[str]) -> tuple[str, ...]:
    """Return what is recorded of a tree with uncommitted changes."""
    facts = [source.provenance, *(run.facts for run in source.runs)]
    if not any(one.get("dirty") is True for one in facts):
        return ()
    if "dirty" not in overrides:
        raise BaselineError(
            "The candidate was measured on a dirty tree, so its commit does not say what was measured. "
            "Commit and run again, or override by --override dirty (recorded)."
        )
    return ("measured on a dirty tree",)


def _other_fingerprint(request: Request, source: Row, old: Document | None) -> tuple[str, ...]:
    """Return what is recorded of other conditions than those of the replaced row, or of the file for a new row."""
    if old is None:
        return ()
    selected = request.selected_from > max(len(source.runs), 1)
    differences = replaced_conditions(source, old.rows.get(source.name), old.fingerprint, selected=selected)
    if not differences:
        return ()
    if "fingerprint" not in request.overrides:
        raise BaselineError(
            f"The candidate was measured under other conditions ({'; '.join(differences)}). Measure as the baseline "
            "was, or override by --override fingerprint (recorded; the row keeps its own)."
        )
    return ("fingerprint: " + "; ".join(differences),)


def _replaced_real(old: Document | None, new: Document, name: str) -> tuple[str, ...]:
    """Say that the Real row was replaced together with another row."""
    before = None if old is None else old.rows.get(REAL)
    if before is None or name == REAL or new.rows[REAL] is before:
        return ()
    return ("the Real row was measured under other conditions and is replaced by the candidate's",)
