"""The candidate that every run leaves behind for each model, and the command that accepts it."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pytest_medgan.records import Scalar


def candidate_path(report_dir: Path, model: str) -> Path:
    """Where the candidate of a model goes; the name is made safe for any file system."""
    return report_dir / f"candidate-{re.sub(r'[^A-Za-z0-9_.-]+', '-', model).strip('-.') or 'model'}.yaml"


def accept_command(report_dir: Path, model: str) -> str:
    """What a person types to make the candidate the baseline; row and reason come behind it."""
    return shlex.join(["medgan", "baseline", "accept", seen(candidate_path(report_dir, model))])


def write(plain: Mapping[str, Any], row: str, report_dir: Path) -> Path:
    """Writes a model's candidate from its payload. Raises OSError where it cannot be written."""
    from pytest_medgan.evaluate.plain import fingerprint_from_plain, scores_from_plain
    from pytest_medgan.gate.candidate import write_candidate

    path = candidate_path(report_dir, plain["name"])
    looks = {int(n): scores_from_plain(look) for n, look in plain["looks"].items()}
    write_candidate(
        path,
        row=row,
        scores=dict(sorted(looks.items())),
        fingerprint=fingerprint_from_plain(plain["fingerprint"]),
        complete=set(looks) == set(plain["counts"]),
        real={int(n): scores_from_plain(look) for n, look in plain["real"].items()},
        provenance={**version_control(Path.cwd(), plain["baseline"]), "checkpoint": plain["identity"]},
        baseline=portable(plain["baseline"]),
    )
    return path


def portable(baseline: str | None) -> str:
    """The baseline's name where it means the same on another machine, else nothing: `accept` then asks for --into."""
    if baseline is None or Path(baseline).is_absolute() or baseline.startswith(".."):
        return ""
    return baseline


def version_control(folder: Path, baseline: str | None = None) -> dict[str, Scalar]:
    """The commit and whether tracked files differ from it; empty where there is no git or no repository.

    The baseline itself may differ: a second model is accepted right after the first, before either is committed.
    """
    try:
        commit = git(folder, "rev-parse", "HEAD").strip()
        top = Path(git(folder, "rev-parse", "--show-toplevel").strip())
        status = git(folder, "status", "--porcelain", "-z", "--untracked-files=no")
    except (OSError, subprocess.SubprocessError):
        return {}
    changed = {(top / entry[3:]).resolve() for entry in status.split("\0") if entry}
    return {"commit": commit, "dirty": bool(changed - {(folder / (baseline or "")).resolve()})}


def git(folder: Path, *arguments: str) -> str:
    """What git says in a folder. Raises OSError and SubprocessError."""
    command = ["git", "-C", str(folder), *arguments]
    return subprocess.run(
        command, check=True, capture_output=True, encoding="utf-8", errors="surrogateescape", timeout=30
    ).stdout


def seen(path: Path) -> str:
    """The path as a person in the working directory would type it."""
    relative = os.path.relpath(path)
    return path.name if relative.startswith("..") else relative
