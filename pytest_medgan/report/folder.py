"""The run folder: `scores.json` (strict JSON, versioned), the evidence it names, and the reports drawn from both.

`scores.json` is written last and names its evidence file, whose name holds a digest of its content. A reader
therefore finds a complete run or none, even if the writer is stopped. Files that do not belong to a run are kept.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from pytest_medgan.errors import SettingsError
from pytest_medgan.ground.files import cannot_write, write_bytes, write_text
from pytest_medgan.ground.plain import from_plain, to_plain
from pytest_medgan.records import Evidence
from pytest_medgan.report.evidence_file import bundle_bytes, read_bundle, without_real
from pytest_medgan.report.privacy import scrub_plain
from pytest_medgan.report.record import SCHEMA, SCHEMA_VERSION, ReportRun

SCORES_FILE = "scores.json"
HTML_FILE = "report.html"
MARKDOWN_FILE = "report.md"

_EVIDENCE_FILES = "evidence-*.npz"
_OTHER_FILE = f"{SCORES_FILE} is not the record of a run. Name the folder that a run with --medgan-report wrote."


@dataclass(frozen=True, eq=False)
class SavedRun:
    """A run as a folder holds it."""

    run: ReportRun
    evidence: Mapping[str, Evidence]  # by name of the model


def write_run(
    folder: Path,
    run: ReportRun,
    evidence: Mapping[str, Evidence] = MappingProxyType({}),
    *,
    include_real: bool = False,
) -> None:
    """Write a run and remove the reports of the run before it.

    Args:
        folder: Made where it does not exist.
        run: The record.
        evidence: What pictures need, by name of the model.
        include_real: Whether to keep pictures of real and training images. The default leaves them out, because a
            run folder often becomes a public artifact of a CI job.

    Raises:
        OutputError: A file cannot be written.
    """
    kept = {
        place: evidence[model.name] if include_real else without_real(evidence[model.name])
        for place, model in enumerate(run.models)
        if model.name in evidence
    }
    content = bundle_bytes(kept)
    name = _evidence_name(content)
    write_bytes(folder / name, content)
    for report in (HTML_FILE, MARKDOWN_FILE):
        _remove(folder / report)
    data = {**to_dict(run), "evidence": name}
    write_text(folder / SCORES_FILE, json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
    for old in folder.glob(_EVIDENCE_FILES):
        if old.name != name:
            _remove(old)


def discard_run(folder: Path) -> None:
    """Remove a run and its reports, so that nothing of an earlier run is taken for the one that begins.

    Args:
        folder: A run folder, or a folder without a run.

    Raises:
        OutputError: A file cannot be removed.
    """
    for name in (HTML_FILE, MARKDOWN_FILE, SCORES_FILE):
        _remove(folder / name)
    for evidence in folder.glob(_EVIDENCE_FILES):
        _remove(evidence)


def read_run(folder: Path) -> SavedRun:
    """Read a run.

    Args:
        folder: A folder that `write_run` wrote.

    Returns:
        The run and its evidence, both filtered as `write_run` filters them.

    Raises:
        SettingsError: The folder holds no run that this version can read, or its evidence is damaged.
    """
    file = folder / SCORES_FILE
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
    except OSError:
        raise SettingsError(
            f"The folder has no {SCORES_FILE} that can be read. Name the folder that a run with --medgan-report wrote.",
            file=str(folder),
        ) from None
    except ValueError:
        raise SettingsError(f"{SCORES_FILE} is not JSON. Run the tests again.", file=str(file)) from None
    if not isinstance(data, dict):
        raise SettingsError(_OTHER_FILE, file=str(file))
    run = from_dict(scrub_plain(data))
    name = Path(str(data.get("evidence", ""))).name
    by_place = _read_evidence(folder / name) if name else {}
    return SavedRun(run, {model.name: by_place[place] for place, model in enumerate(run.models) if place in by_place})


def to_dict(run: ReportRun) -> dict[str, object]:
    """Return a run as plain data for strict JSON, without machine paths, DICOM tags and UIDs."""
    plain: dict[str, object] = scrub_plain(to_plain(run))
    return plain


def from_dict(data: Mapping[str, object]) -> ReportRun:
    """Return the run that plain data describe.

    Args:
        data: What `to_dict` returned.

    Returns:
        The run.

    Raises:
        SettingsError: The data are of another schema or schema version, or a field does not fit.
    """
    if data.get("schema") != SCHEMA:
        raise SettingsError(_OTHER_FILE)
    if data.get("schema_version") != SCHEMA_VERSION:
        raise SettingsError(
            f"{SCORES_FILE} has schema version {data.get('schema_version')} and this version reads {SCHEMA_VERSION}. "
            "Use the version that wrote it, or run the tests again."
        )
    return from_plain(ReportRun, data)


def _evidence_name(content: bytes) -> str:
    """Return the name of an evidence file, which holds a digest of its content."""
    return _EVIDENCE_FILES.replace("*", hashlib.sha256(content).hexdigest()[:16])


def _read_evidence(path: Path) -> dict[int, Evidence]:
    """Return the evidence of a file, after its content was checked against the digest in its name."""
    try:
        genuine = _evidence_name(path.read_bytes()) == path.name
    except OSError:
        genuine = True  # read_bundle reports the error
    if not genuine:
        raise SettingsError("The evidence of the run is damaged. Run the tests again.", file=path.name)
    return read_bundle(path)


def _remove(path: Path) -> None:
    """Remove a file if it exists."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise cannot_write(error, path) from error
