"""Run the `run` steps of action.yml, and the script of the GitLab example, as a runner does."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.docs.blocks import ROOT

EXPRESSION = re.compile(r"\$\{\{\s*(.+?)\s*\}\}")


@dataclass
class Outcome:
    """What a run of the action did."""

    ran: dict[str, str] = field(default_factory=dict)  # name of each step that ran -> what it printed
    uses: dict[str, dict[str, str]] = field(default_factory=dict)  # other actions that a runner would call -> inputs
    failed: list[str] = field(default_factory=list)  # steps that ended with another status than 0
    outputs: dict[str, str] = field(default_factory=dict)  # of the action


def run_action(workspace: Path, inputs: Mapping[str, str], environment: Mapping[str, str]) -> Outcome:
    """Run action.yml in a workspace.

    Args:
        workspace: What was checked out.
        inputs: What the workflow gives; the rest keeps its default.
        environment: Variables of the runner, GITHUB_EVENT_PATH among them.
    """
    action = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
    github = {"action_path": str(ROOT), "token": "TOKEN", "sha": "0" * 40, "run_attempt": "1"}
    known: dict[str, str] = {f"github.{key}": value for key, value in github.items()} | {"runner.os": "Linux"}
    for name, one in action["inputs"].items():
        known[f"inputs.{name}"] = _filled(str(inputs.get(name, one.get("default", ""))), known)
    if unknown := set(inputs) - set(action["inputs"]):
        raise ValueError(f"action.yml has no input {sorted(unknown)}")
    outcome = Outcome()
    for step in action["runs"]["steps"]:
        if not _holds(str(step.get("if", "success()")), known, failed=bool(outcome.failed)):
            continue
        name = step["name"]
        if "uses" in step:
            outcome.uses[step["uses"]] = {k: _filled(str(v), known) for k, v in step.get("with", {}).items()}
            continue
        assert step["shell"] == "bash", f"{name}: a step of a composite action names its shell"
        folder = workspace / _filled(step.get("working-directory", "."), known)
        written = workspace.parent / "output.txt"
        written.write_text("", encoding="utf-8")
        variables = {k: _filled(str(v), known) for k, v in step.get("env", {}).items()}
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", _filled(step["run"], known)],
            cwd=folder,
            env={**environment, **variables, "GITHUB_OUTPUT": str(written), "GITHUB_WORKSPACE": str(workspace)},
            capture_output=True,
            text=True,
            check=False,
        )
        outcome.ran[name] = done.stdout + done.stderr
        if done.returncode:
            outcome.failed.append(name)
        for line in written.read_text(encoding="utf-8").splitlines():
            key, _, value = line.partition("=")
            known[f"steps.{step['id']}.outputs.{key}"] = value
    outcome.outputs = {name: _filled(one["value"], known) for name, one in action["outputs"].items()}
    return outcome


def _filled(text: str, known: Mapping[str, str]) -> str:
    """Return text with the values of its expressions; what is not known is empty."""
    return EXPRESSION.sub(lambda found: known.get(found[1], ""), text)


def _holds(condition: str, known: Mapping[str, str], *, failed: bool) -> bool:
    """Whether a step runs: comparisons joined by &&, and always()."""
    parts = [part.strip() for part in condition.split("&&")]
    if failed and "always()" not in parts:
        return False
    for part in parts:
        if part in ("always()", "success()"):
            continue
        found = re.fullmatch(r"([\w.-]+) (==|!=) '([^']*)'", part)
        if found is None:
            raise ValueError(f"the condition {part!r} cannot be read")
        if (known.get(found[1], "") == found[3]) != (found[2] == "=="):
            return False
    return True


def run_gitlab(
    workspace: Path, job: Mapping[str, Any], environment: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    """Run before_script and script of a GitLab job in one shell, as its runner does."""
    lines = [*job.get("before_script", []), *job["script"]]
    variables = {name: str(value) for name, value in job.get("variables", {}).items()}
    return subprocess.run(
        ["bash", "-eo", "pipefail", "-c", "\n".join(lines)],
        cwd=workspace,
        env={**environment, **variables, "CI_PROJECT_DIR": str(workspace)},
        capture_output=True,
        text=True,
        check=False,
    )


def runner_environment(**more: str) -> dict[str, str]:
    """Return the variables that a runner starts with: nothing of the one that runs this test."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("GITHUB_", "CI", "PYTEST_"))}
    path = os.pathsep.join([str(Path(sys.executable).parent), kept.get("PATH", "")])
    return {**kept, "PATH": path, "PYTHONPATH": str(ROOT), "COLUMNS": "100", **more}
