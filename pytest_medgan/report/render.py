"""Draw the reports of a run folder from the folder alone."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from pytest_medgan.errors import SettingsError
from pytest_medgan.ground.files import write_text
from pytest_medgan.records import Evidence
from pytest_medgan.report.accepted import with_accepted, worth_keeping
from pytest_medgan.report.evidence_file import without_real
from pytest_medgan.report.folder import HTML_FILE, MARKDOWN_FILE, SCORES_FILE, SavedRun, read_run
from pytest_medgan.report.markdown import markdown
from pytest_medgan.report.record import ModelRecord

FORMATS = ("html", "md", "json")


def render(
    folder: Path,
    formats: Iterable[str] = FORMATS,
    *,
    include_real: bool = False,
    against: Path | None = None,
) -> tuple[Path, ...]:
    """Write the reports of a run folder into it.

    Args:
        folder: A run folder.
        formats: Of "html", "md" and "json". The last is the folder's own `scores.json`, which exists already.
        include_real: Whether to show pictures of real images where the folder has any.
        against: The run folder of an accepted model, whose samples and curves are shown as the baseline's. Models are
            matched by the baseline row they are compared with, whatever they are called; of several that share a row,
            by the checkpoint that the row was measured on, or else by name.

    Returns:
        The files asked for.

    Raises:
        SettingsError: A format is unknown or a folder cannot be read.
        OutputError: A file cannot be written.
    """
    wanted = tuple(dict.fromkeys(formats))
    unknown = [name for name in wanted if name not in FORMATS]
    if unknown:
        raise SettingsError(f"Report format {unknown[0]!r} is unknown. Give some of {', '.join(FORMATS)}.")
    saved = read_run(folder)
    accepted = None if against is None else read_run(against)
    evidence = {}
    for model in saved.run.models:
        if model.name in saved.evidence:
            found = saved.evidence[model.name] if include_real else without_real(saved.evidence[model.name])
            evidence[model.name] = with_accepted(found, None if accepted is None else _accepted_model(accepted, model))
    written = []
    if "html" in wanted:
        from pytest_medgan.report.html import page  # imports jinja2 and matplotlib

        written.append(_write(folder / HTML_FILE, page(saved.run, evidence)))
    if "md" in wanted:
        written.append(_write(folder / MARKDOWN_FILE, markdown(saved.run, evidence)))
    if "json" in wanted:
        written.append(folder / SCORES_FILE)
    return tuple(written)


def _accepted_model(saved: SavedRun, model: ModelRecord) -> Evidence | None:
    """Return what is shown of the accepted model of another run; None where the run does not say which one it is.

    Of several models that were compared with one row, it is the one that the row was measured on, else the one of the
    same name.
    """
    alike = [one for one in saved.run.models if one.name in saved.evidence and _row_of(one) == _row_of(model)]
    accepted = () if model.baseline is None else [run.checkpoint for run in model.baseline.runs if run.checkpoint]
    for found in ([one for one in alike if one.checkpoint in accepted], alike, _of_name(alike, model.name)):
        if len(found) == 1:
            return worth_keeping(saved.evidence[found[0].name])
    return None


def _of_name(models: Iterable[ModelRecord], name: str) -> list[ModelRecord]:
    """Return the models of a name."""
    return [model for model in models if model.name == name]


def _row_of(model: ModelRecord) -> str:
    """Return the baseline row of a model, its own name where none is recorded."""
    return model.row or model.name


def _write(path: Path, text: str) -> Path:
    """Write a report and return its path."""
    write_text(path, text)
    return path
