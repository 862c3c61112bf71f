"""Accepting candidates: the one deliberate act that changes a baseline.

It replaces one row and leaves every other byte of the file as it was, which is why it asks for a file in canonical
form: a remark or a hand-made layout could not survive it, and silently losing either would be worse than refusing.
"""

from __future__ import annotations

import math
import os
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType

from pytest_medgan.catalogue import METRICS
from pytest_medgan.errors import BaselineError
from pytest_medgan.gate import baseline, canonical
from pytest_medgan.gate.blindness import blind_metrics
from pytest_medgan.gate.comparable import SEEDS
from pytest_medgan.gate.document import ABSENT, REAL, Document, aligned
from pytest_medgan.gate.drift import lost_metrics, with_anchors
from pytest_medgan.gate.message import moved
from pytest_medgan.gate.risks import DEFAULT, Settings
from pytest_medgan.gate.rows import chosen_row, combined
from pytest_medgan.gate.seal import sealed
from pytest_medgan.ground.files import write_text
from pytest_medgan.ground.locks import locked_folder
from pytest_medgan.records import CONDITION, Entry, Margin, Row, Scalar, Seal

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
            dirty tree, another fingerprint or a loss without an override; a baseline that is published, has another
            layout, or whose row was changed by hand.
        OutputError: The baseline cannot be written.
    """
    refuse_under_ci()
    reason_of(request.reason)
    unknown = sorted(set(request.overrides) - set(OVERRIDES))
    if unknown:
        raise BaselineError(f"There is no override {', '.join(unknown)}; there are {', '.join(OVERRIDES)}.")
    documents = [_candidate(path) for path in request.candidates]
    chosen = [chosen_row(document, request.row) for document in documents]
    name = chosen[0][0]
    source = replace(combined([row for _, row in chosen]), name=name)
    path = request.into or (baseline.find(documents[0].baseline) if documents[0].baseline else None)
    if path is None:
        raise BaselineError("The candidate names no baseline. Name the file by --into FILE.")
    with locked(path):
        old = _existing(path)
        before = None if old is None else old.rows.get(name)
        _refuse_unvouched(before)
        after, overridden = _new_row(request, documents[0], source, old, settings)
        write_text(path, canonical.text(_merged(old, documents[0], after)))
    return Accepted(path, name, old is None, before, after, overridden, blind_metrics(after, settings))


def _new_row(
    request: Request, candidate: Document, source: Row, old: Document | None, settings: Settings
) -> tuple[Row, tuple[str, ...]]:
    """Return the sealed row and what was accepted in spite of."""
    before = None if old is None else old.rows.get(source.name)
    lines = [*_dirty(source, request.overrides)]
    fresh = frozenset({SEEDS}) if request.selected_from > max(len(source.runs), 1) else frozenset()
    other = _other_fingerprint(source, old, request.overrides, fresh)
    lines += other
    today = datetime.now(UTC).strftime("%Y-%m-%d")
    row = _with_margins(source, before, request.margins, settings)
    row = _with_real(row, candidate, old)
    row = aligned(row, source.fingerprint if old is None or old.fingerprint is None else old.fingerprint)
    if request.selected_from:
        row = _selected(row, request.selected_from, old)
    alike = before is not None and before.fingerprint is not None and not other and row.name != REAL
    if before is not None and alike:
        lost = lost_metrics(before, row, settings)
        if lost and "drift" not in request.overrides:
            raise BaselineError(
                f"The candidate is worse than the row it would replace, or than its anchor: "
                f"{'; '.join(map(moved, lost))}. Mend it, or accept the loss by --override drift (recorded)."
            )
        lines += [f"drift: {moved(verdict)}" for verdict in lost]
        since = str(before.provenance.get("accepted", today))
        row = with_anchors(None if lost else before, row, since, settings)
    facts: dict[str, Scalar] = {**source.provenance, "accepted": today, "reason": reason_of(request.reason)}
    facts |= {f"override_{i}": line for i, line in enumerate(lines, 1)}
    row = replace(row, provenance=MappingProxyType(facts), note="" if before is None else before.note)
    return sealed(row), tuple(lines)


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
            "first (remarks move to `note`)."
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


def _other_fingerprint(
    source: Row, old: Document | None, overrides: Collection[str], but: frozenset[str]
) -> tuple[str, ...]:
    """Return what is recorded of another fingerprint than the file's; `but` may differ."""
    if old is None or old.fingerprint is None or source.fingerprint is None:
        return ()
    differences = source.fingerprint.differences(old.fingerprint, but=but | {CONDITION})
    before = old.rows.get(source.name)
    if before is not None and before.fingerprint is not None:
        ours, theirs = (each.inputs.get(CONDITION, ABSENT) for each in (source.fingerprint, before.fingerprint))
        differences += () if ours == theirs else (f"{CONDITION}: {ours} != {theirs}",)
    if not differences:
        return ()
    if "fingerprint" not in overrides:
        raise BaselineError(
            f"The candidate was measured under other conditions ({'; '.join(differences)}). Measure as the baseline "
            "was, or override by --override fingerprint (recorded; the row keeps its own)."
        )
    return ("fingerprint: " + "; ".join(differences),)


def _with_margins(source: Row, before: Row | None, margins: Mapping[str, Margin], settings: Settings) -> Row:
    """Return the row with its margins: those given, then the kinds of the replaced row, then `auto`."""
    unknown = sorted(set(margins) - set(source.entries))
    if unknown:
        raise BaselineError(f"A margin was given for {', '.join(unknown)}, which the candidate has not measured.")
    if source.name == REAL:
        return source
    entries: dict[str, Entry] = {}
    for name, entry in source.entries.items():
        earlier = None if before is None or name not in before.entries else before.entries[name].margin
        entries[name] = replace(entry, margin=margins.get(name) or earlier or Margin())
    family = max(len(entries), settings.metrics)
    return replace(source, entries=MappingProxyType(entries), family=family)


def _with_real(row: Row, candidate: Document, old: Document | None) -> Row:
    """Return the row with the Real row's values beside its own, at its full count."""
    real = candidate.rows.get(REAL) or (None if old is None else old.rows.get(REAL))
    if real is None or row.name == REAL:
        return row
    entries = {}
    for name, entry in row.entries.items():
        n = max(entry.at, default=0)
        beside = real.entries.get(name)
        value = beside.at[n].mean if beside is not None and n in beside.at else None
        entries[name] = replace(entry, real=value if value is not None and math.isfinite(value) else None)
    return replace(row, entries=MappingProxyType(entries))


def _selected(row: Row, trained: int, old: Document | None) -> Row:
    """Return the row with the number of runs it was chosen from.

    What was chosen by its scores is lucky in them, so it must be measured again, on latent seeds that had no part in
    the choice.
    """
    runs = max(len(row.runs), 1)
    if trained < runs:
        raise BaselineError(f"--selected-from {trained} is less than the {runs} runs that are accepted.")
    if trained == runs:
        return row
    used = _seeds(old.fingerprint.inputs.get(SEEDS)) if old is not None and old.fingerprint is not None else _DEFAULT
    own = _seeds(row.fingerprint.inputs.get(SEEDS)) if row.fingerprint is not None else frozenset()
    if own & used:
        raise BaselineError(
            f"The best of {trained} runs is lucky in the images it was chosen by, those of the latent seeds "
            f"{', '.join(sorted(own & used))}. Measure it again on other seeds (--medgan-seeds) and accept that."
        )
    return replace(row, selected_from=trained)


_OF_A_MODEL = frozenset({CONDITION})
_DEFAULT = frozenset({"0", "1", "2"})  # latent seeds of a gate that was told nothing


def _seeds(value: Scalar) -> frozenset[str]:
    """Return the latent seeds of a fingerprint."""
    return frozenset(str(value).split(",")) if value not in (None, "") else frozenset()


def _merged(old: Document | None, candidate: Document, after: Row) -> Document:
    """Return the old file with one row replaced; a new file has the candidate's Real row too."""
    real = candidate.rows.get(REAL)
    rows = {} if old is None else dict(old.rows)
    rows[after.name] = after
    if REAL not in rows and real is not None:
        file = after.fingerprint if old is None else old.fingerprint
        if file is None or real.fingerprint is None or not real.fingerprint.differences(file, but=_OF_A_MODEL):
            rows[REAL] = sealed(aligned(real, file))
    if old is None:
        fingerprint = None if candidate.fingerprint is None else candidate.fingerprint.of_any_model()
        return Document(candidate.name, own_metrics=candidate.own_metrics, fingerprint=fingerprint, rows=rows)
    own = tuple(sorted({*old.own_metrics, *(metric for metric in after.entries if metric not in METRICS)}))
    return replace(old, rows=rows, own_metrics=own, fingerprint=old.fingerprint or candidate.fingerprint)
