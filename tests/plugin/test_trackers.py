"""A tracker that another package offers receives every model's values at the end of a run."""

from __future__ import annotations

import json

import pytest

TRACKER = """
import json
from pathlib import Path

def log(model):
    if Path("broken").exists():
        raise ConnectionError("no answer from the server\\nsecond line")
    kept = [dict(model.values), dict(model.tags), [file.name for file in model.files], repr(model)]
    Path("logged.json").write_text(json.dumps(kept))
"""


@pytest.fixture
def tracked(project: pytest.Pytester) -> pytest.Pytester:
    """A project beside a package that offers the tracker "acme"."""
    project.makepyfile(acme_tracker=TRACKER)
    offered = project.mkdir("acme_tracker-1.0.dist-info")
    (offered / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-tracker\nVersion: 1.0\n")
    (offered / "entry_points.txt").write_text("[medgan_loggers]\nacme = acme_tracker:log\n")
    project.syspathinsert()
    return project


def test_tracker_receives_values_and_verdicts(tracked: pytest.Pytester) -> None:
    run = tracked.runpytest_subprocess("--medgan-log=acme", "--medgan-report=json")
    assert "could not be logged" not in run.stdout.str()
    values, tags, files, text = json.loads((tracked.path / "logged.json").read_text())
    assert values["fid"] >= 0.0
    assert tags["verdict"] == "MISSING"
    assert tags["fid.verdict"] == "MISSING"
    assert files == ["scores.json"]
    assert "images.npz" not in text


def test_tracker_that_fails_is_said_and_the_verdicts_stay(tracked: pytest.Pytester) -> None:
    (tracked.path / "broken").touch()
    run = tracked.runpytest_subprocess("--medgan-log=acme")
    run.stdout.fnmatch_lines(["--medgan-log: * could not be logged: no answer from the server"])
    assert "second line" not in run.stdout.str()
    run.stdout.fnmatch_lines(["*MISSING*"])


def test_unknown_tracker_is_refused_before_anything_is_measured(tracked: pytest.Pytester) -> None:
    run = tracked.runpytest_subprocess("--medgan-log=nothing")
    assert run.ret == pytest.ExitCode.USAGE_ERROR
    run.stderr.fnmatch_lines(["*'nothing' is no tracker. Choose acme, mlflow, wandb*"])
