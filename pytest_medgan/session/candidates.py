"""The candidate that every run leaves for each model, and the command that accepts it."""

from __future__ import annotations

import os
import re
import shlex
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_medgan.session.version_control import commit_facts

NEW_BASELINE = "medgan-baseline.yaml"  # the project's own; found under the rootdir where no other is named

if TYPE_CHECKING:
    from pytest_medgan.session.findings import ModelFindings


def candidate_path(report_dir: Path, model: str) -> Path:
    """Return where the candidate of a model goes; the name is made safe for any file system."""
    return report_dir / f"candidate-{re.sub(r'[^A-Za-z0-9_.-]+', '-', model).strip('-.') or 'model'}.yaml"


def accept_command(report_dir: Path, model: str, baseline: str | None) -> str:
    """Return the command that makes the candidate the baseline, without row and reason.

    Args:
        report_dir: The folder of candidates.
        model: The model's name.
        baseline: What the run was compared with; one of the package's own is not written, so a new file is named.
    """
    from pytest_medgan.gate.baseline import is_built_in

    command = ["medgan", "baseline", "accept", shown_path(candidate_path(report_dir, model))]
    return shlex.join([*command, "--into", NEW_BASELINE] if baseline and is_built_in(baseline) else command)


def write_model_candidate(model: ModelFindings, row: str, report_dir: Path) -> Path:
    """Write a model's candidate and return its path.

    Args:
        model: What was measured.
        row: The baseline row that the candidate is meant for.
        report_dir: The folder to write into.

    Raises:
        OutputError: The file cannot be written.
    """
    from pytest_medgan.gate.candidate import write_candidate

    path, facts = candidate_path(report_dir, model.name), commit_facts(Path.cwd(), *_baselines(model.baseline))
    write_candidate(
        path,
        row=row,
        scores=dict(sorted(model.looks.items())),
        fingerprint=model.fingerprint,
        complete=set(model.looks) == set(model.counts),
        runs=[replace(run, facts={**run.facts, **facts}) for run in model.runs],
        real=model.real,
        baseline=portable_name(model.baseline),
    )
    return path


def _baselines(baseline: str | None) -> tuple[str, ...]:
    """Return the baseline files of both feature spaces, named by that of either."""
    from pytest_medgan.session.beside import FILE, file_beside

    if baseline is None:
        return ()
    stem, suffix = os.path.splitext(baseline)
    first = f"{stem.removesuffix(FILE)}{suffix}"
    return first, file_beside(first)


def portable_name(baseline: str | None) -> str:
    """Return the baseline's name where it means the same on another machine, else "" (`accept` then needs --into)."""
    if baseline is None or Path(baseline).is_absolute() or baseline.startswith(".."):
        return ""
    return baseline


def shown_path(path: Path) -> str:
    """Return the path as a person in the working directory would type it."""
    relative = os.path.relpath(path)
    return path.name if relative.startswith("..") else relative
