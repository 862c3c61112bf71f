"""What a person does with a baseline file beside accepting: bring it into its canonical form, and seal it anew."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType

from pytest_medgan.catalogue import METRICS
from pytest_medgan.errors import BaselineError
from pytest_medgan.gate import baseline, canonical
from pytest_medgan.gate.accept import locked, reason_of, refuse_under_ci
from pytest_medgan.gate.document import FORMAT, Document
from pytest_medgan.gate.seal import sealed
from pytest_medgan.ground.files import write_text
from pytest_medgan.records import Row, Seal, TrainingRun

_OF_RUN = ("commit", "dirty", "seeds", "training_seed")  # facts that format 1 keeps with the row


def reformat(path: Path, reason: str | None = None) -> bool:
    """Write a baseline in canonical form, comments moved into the notes; return whether anything changed.

    A file of an older format is upgraded: its rows are sealed as they stand, which is a decision and needs a reason.

    Args:
        path: The file.
        reason: Why an older file is vouched for; kept in its rows. Not needed for a file of the present format.

    Raises:
        BaselineError: Under CI; the file cannot be read; it has an older format and there is no reason.
        OutputError: The file cannot be written.
    """
    refuse_under_ci()
    with locked(path):
        text = baseline.read(path)
        document = baseline.parse(text, baseline.shown(path))
        if document.format != FORMAT and document.kind == "measured":
            if reason is None:
                raise BaselineError(
                    f"{baseline.shown(path)}:1: this file has format {document.format}, whose rows have no seal. "
                    "Check that its values are right and upgrade it by `medgan baseline format FILE --reason ...`."
                )
            document = _upgraded(document, reason_of(reason))
        document = _with_remarks(document, text)
        fresh = canonical.text(document)
        if fresh == text:
            return False
        write_text(path, fresh)
    return True


def reseal(path: Path, reason: str) -> tuple[str, ...]:
    """Seal the rows of a baseline that were changed by hand, and return their names.

    Args:
        path: The file.
        reason: Why they were changed; kept in the rows.

    Raises:
        BaselineError: Under CI; the file cannot be read, has an older format, or has no fingerprint or no canary.
        OutputError: The file cannot be written.
    """
    refuse_under_ci()
    with locked(path):
        text, shown = baseline.read(path), baseline.shown(path)
        document = baseline.parse(text, shown)
        if document.format != FORMAT:
            raise BaselineError(
                f"{shown}:1: this file has format {document.format}. "
                "Upgrade it by `medgan baseline format FILE --reason ...`."
            )
        if document.fingerprint is None or document.fingerprint.canary is None:
            raise BaselineError(
                f"{shown}:1: the file has no fingerprint or no canary, so no row can be compared with. "
                "Restore it from version control."
            )
        changed = tuple(name for name, row in document.rows.items() if row.seal is not Seal.VALID)
        rows = {
            name: _vouched(row, reason_of(reason)) if name in changed else row for name, row in document.rows.items()
        }
        if changed:
            write_text(path, canonical.text(_with_remarks(replace(document, rows=MappingProxyType(rows)), text)))
    return changed


def _vouched(row: Row, reason: str) -> Row:
    """Return a row under a new seal that says why."""
    facts = {**row.provenance, "sealed": datetime.now(UTC).strftime("%Y-%m-%d"), "sealed_reason": reason}
    return sealed(replace(row, provenance=MappingProxyType(facts)))


def _upgraded(document: Document, reason: str) -> Document:
    """Return a document of format 1 in the present format."""
    rows = {name: _vouched(_modern(row), reason) for name, row in document.rows.items()}
    return replace(document, rows=MappingProxyType(rows), format=FORMAT)


def _modern(row: Row) -> Row:
    """Return a row of format 1 with the facts of its training run where they belong, and its family's size."""
    facts = {key: row.provenance[key] for key in _OF_RUN if key in row.provenance}
    left = {key: value for key, value in row.provenance.items() if key not in (*_OF_RUN, "checkpoint")}
    runs = tuple(TrainingRun(run.checkpoint, run.recipe, MappingProxyType(facts)) for run in row.runs)
    return replace(row, runs=runs, provenance=MappingProxyType(left), family=max(len(row.entries), len(METRICS)))


def _with_remarks(document: Document, text: str) -> Document:
    """Return the document with the remarks of its text in the notes; a note that changes is sealed with its row."""
    starts = sorted((row.line, name) for name, row in document.rows.items())
    for line, words in baseline.comments(text):
        above = [name for start, name in starts if start <= line]
        if above:
            own = document.rows[above[-1]]
            noted = replace(own, note=f"{own.note} {words}".strip())
            noted = sealed(noted) if own.seal is Seal.VALID else noted
            document = replace(document, rows=MappingProxyType({**document.rows, above[-1]: noted}))
        else:
            document = replace(document, note=f"{document.note} {words}".strip())
    return document
