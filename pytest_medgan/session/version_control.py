"""What git says of a folder."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_medgan.records import Scalar


def commit_facts(folder: Path, *baselines: str) -> dict[str, Scalar]:
    """Return the commit and whether tracked files differ from it; empty where there is no git or no repository.

    The baseline files may differ: a second model is accepted right after the first, before either is committed.

    Args:
        folder: A folder of the repository.
        *baselines: The baseline files, relative to the folder.
    """
    try:
        commit = git(folder, "rev-parse", "HEAD").strip()
        top = Path(git(folder, "rev-parse", "--show-toplevel").strip())
        status = git(folder, "status", "--porcelain", "-z", "--untracked-files=no")
    except (OSError, subprocess.SubprocessError):
        return {}
    changed = {(top / entry[3:]).resolve() for entry in status.split("\0") if entry}
    return {"commit": commit, "dirty": bool(changed - {(folder / baseline).resolve() for baseline in baselines})}


def git(folder: Path, *arguments: str) -> str:
    """Return the output of a git command. Raises OSError and SubprocessError."""
    command = ["git", "-C", str(folder), *arguments]
    return subprocess.run(
        command, check=True, capture_output=True, encoding="utf-8", errors="surrogateescape", timeout=30
    ).stdout
