"""The action for GitHub and the job for GitLab deliver a gate's report, against a server of this machine."""

from __future__ import annotations

import json
import runpy
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from tests.docs.blocks import ADDRESS, ROOT, environment
from tests.docs.runner import Outcome, run_action, run_gitlab, runner_environment
from tests.docs.server import Forge, serve
from tests.plugin.conftest import MODULE
from tests.toy_images import write_real_images

MARK = "<!-- medgan-report -->"
COMMANDS = ROOT / "tests/docs/commands"
DELIVER = ROOT / "examples/ci/deliver.py"
TEST = """from pytest_medgan import assert_fid_below


def test_fid_is_small(medgan_scores):
    limit = LIMIT
    assert_fid_below(medgan_scores, limit)
"""
INI = """[pytest]
medgan_data = images.npz,size=32,crop_size=32
medgan_generator = toy:model
medgan_extractor = toy:Features
medgan_metrics = fid improved_precision improved_recall
medgan_samples = 32
pythonpath = .
"""
# stands in for a Python whose `-m pip` installs: it writes down what would be installed
PYTHON = '#!/bin/sh\nif [ "$2" = pip ]; then echo "$@" >> "$PIP_LOG"; else exec "$REAL_PYTHON" "$@"; fi\n'


@pytest.fixture
def forge() -> Iterator[Forge]:
    """A server that takes comments."""
    with serve() as running:
        yield running


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """A repository with a toy model in its folder `model`, as the checkout action leaves it."""
    folder = tmp_path / "workspace" / "model"
    folder.mkdir(parents=True)
    (folder / "toy.py").write_text(MODULE, encoding="utf-8")
    (folder / "pytest.ini").write_text(INI, encoding="utf-8")
    write_real_images(folder / "images.npz", MODULE, "blobs", each=16, first_seed=1000)
    python = tmp_path / "python"
    python.write_text(PYTHON, encoding="utf-8")
    python.chmod(0o755)
    return tmp_path / "workspace"


def write_test(workspace: Path, limit: float) -> None:
    """Write the gate; a limit of 0 cannot be kept."""
    (workspace / "model/test_gate.py").write_text(TEST.replace("LIMIT", str(limit)), encoding="utf-8")


def act(workspace: Path, forge: Forge, event: dict[str, object], **inputs: str) -> Outcome:
    """Run the action on an event."""
    file = workspace.parent / "event.json"
    file.write_text(json.dumps(event), encoding="utf-8")
    variables = runner_environment(
        GITHUB_EVENT_PATH=str(file),
        GITHUB_REPOSITORY="o/r",
        GITHUB_API_URL=forge.url,
        GITHUB_SERVER_URL="https://example.org",
        GITHUB_RUN_ID="42",
        GITHUB_STEP_SUMMARY=str(workspace.parent / "summary.md"),
        PIP_LOG=str(workspace.parent / "pip.log"),
        REAL_PYTHON=sys.executable,
    )
    given = {"working-directory": "model", "python": str(workspace.parent / "python"), **inputs}
    return run_action(workspace, given, variables)


PULL = {"pull_request": {"number": 5}}


def test_red_gate_is_delivered_and_fails_the_job(workspace: Path, forge: Forge) -> None:
    write_test(workspace, 0.0)
    forge.add(5, "a comment of somebody else")
    done = act(workspace, forge, PULL)
    assert done.outputs["status"] == "1"
    assert done.failed == ["Fail where the gate failed"]
    assert "FAIL" in (workspace.parent / "summary.md").read_text(encoding="utf-8")
    error = done.ran["Annotate the lines of failed tests"]
    assert "::error file=model/test_gate.py,line=6,title=test_fid_is_small::" in error
    assert "FID" in error
    assert error.count("\n") == 1, "one failure is one line"
    (_, ours) = forge.bodies(5)
    assert ours.startswith(MARK)
    assert "# medgan report" in ours
    assert "https://example.org/o/r/actions/runs/42" in ours
    assert forge.tokens == {"Bearer TOKEN"}
    assert done.uses["actions/upload-artifact@v4"]["path"] == str(workspace / "model/medgan-report")
    assert {"report.html", "report.md", "scores.json", "junit.xml", "comment.md"} <= {
        path.name for path in (workspace / "model/medgan-report").iterdir()
    }


@pytest.mark.slow
def test_comment_is_renewed_and_not_repeated(workspace: Path, forge: Forge) -> None:
    write_test(workspace, 0.0)
    for number in range(150):
        forge.add(5, f"talk {number}")  # ours comes on the second page of the listing
    act(workspace, forge, PULL)
    write_test(workspace, 1e9)
    done = act(workspace, forge, PULL)
    assert done.failed == []
    assert done.outputs["status"] == "0"
    ours = [body for body in forge.bodies(5) if body.startswith(MARK)]
    assert len(ours) == 1
    assert "FAIL" not in ours[0]
    assert done.ran["Annotate the lines of failed tests"].strip() == ""


def test_read_only_token_leaves_the_comment_to_a_workflow_run(workspace: Path, forge: Forge) -> None:
    write_test(workspace, 1e9)
    forge.read_only = True
    done = act(workspace, forge, PULL)
    assert done.failed == []
    assert "workflow_run" in done.ran["Comment on the pull request"]
    assert forge.bodies(5) == []

    forge.read_only = False
    forge.pulls = [
        {"number": 8, "head": {"label": "fork:change", "sha": "old"}},
        {"number": 9, "head": {"label": "fork:change", "sha": "abc"}},
    ]
    run = {"head_repository": {"owner": {"login": "fork"}}, "head_branch": "change", "head_sha": "abc"}
    comment = workspace / "model/medgan-report/comment.md"
    comment.write_text(comment.read_text(encoding="utf-8") + "\nhello @everybody\n", encoding="utf-8")
    event = workspace.parent / "event.json"
    event.write_text(json.dumps({"workflow_run": {**run, "pull_requests": []}}), encoding="utf-8")
    step = yaml.safe_load((ROOT / "examples/ci/comment.yml").read_text(encoding="utf-8"))["jobs"]["comment"]["steps"][
        -1
    ]
    subprocess.run(
        ["bash", "-e", "-c", step["run"].replace("examples/ci", str(DELIVER.parent))],
        cwd=workspace / "model",
        env=runner_environment(
            GITHUB_EVENT_PATH=str(event), GITHUB_REPOSITORY="o/r", GITHUB_API_URL=forge.url, GITHUB_TOKEN="T"
        ),
        check=True,
    )
    (body,) = forge.bodies(9)
    assert forge.bodies(8) == []
    assert "@everybody" not in body
    assert "everybody" in body


@pytest.mark.slow
def test_push_without_a_pull_request_comments_nowhere(workspace: Path, forge: Forge) -> None:
    write_test(workspace, 1e9)
    done = act(workspace, forge, {"ref": "refs/heads/main"})
    assert done.failed == []
    assert "no pull request" in done.ran["Comment on the pull request"]
    assert forge.asked == []


@pytest.mark.slow
def test_inputs_choose_what_is_installed_cached_and_run(workspace: Path, forge: Forge) -> None:
    write_test(workspace, 1e9)
    done = act(
        workspace, forge, PULL, install="wheels/*.whl", cache="false", comment="false", report="", arguments="-k fid"
    )
    assert "wheels/*.whl" in (workspace.parent / "pip.log").read_text(encoding="utf-8")
    assert done.uses == {}
    assert "Comment on the pull request" not in done.ran
    (workspace.parent / "pip.log").unlink()
    done = act(workspace, forge, PULL, requirements="-r more.txt", arguments="-k 'fid and not small'")
    assert f"install {ROOT} -r more.txt" in (workspace.parent / "pip.log").read_text(encoding="utf-8")
    assert "model/.medgan/features" in done.uses["actions/cache@v4"]["path"]
    assert done.outputs["status"] == "5", "no test was chosen, which is no green gate"
    assert done.failed == ["Fail where the gate failed"]
    assert "wrote no report" in forge.bodies(5)[-1]


@pytest.mark.slow
def test_gitlab_job_notes_the_report_on_its_merge_request(workspace: Path, forge: Forge, tmp_path: Path) -> None:
    write_test(workspace, 0.0)
    job = yaml.safe_load((ROOT / "examples/ci/gitlab-ci.yml").read_text(encoding="utf-8"))["gate"]
    assert "git clone" in job["before_script"][0]
    clone = workspace / "model/.pytest-medgan/examples"
    clone.mkdir(parents=True)
    (clone / "ci").symlink_to(DELIVER.parent)
    without_install = {**job, "before_script": [], "variables": {}}
    without_install["script"] = [line.replace(" tests/test_gate.py", "") for line in job["script"]]
    assert without_install["script"] != job["script"]
    variables = runner_environment(
        CI_API_V4_URL=forge.url,
        CI_PROJECT_ID="7",
        CI_MERGE_REQUEST_IID="3",
        CI_JOB_URL="https://example.org/jobs/1",
        MEDGAN_TOKEN="SECRET",
    )
    for _ in range(2):
        done = run_gitlab(workspace / "model", without_install, variables)
        assert done.returncode == 1, done.stdout + done.stderr
    (note,) = forge.bodies(3)
    assert note.startswith(MARK)
    assert "https://example.org/jobs/1/artifacts/browse" in note
    assert "FAIL" in note
    assert forge.tokens == {"SECRET"}
    assert [asked.split()[0] for asked in forge.asked] == ["GET", "POST", "GET", "PUT"]


@pytest.fixture
def deliver(tmp_path: Path, forge: Forge, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """The command of deliver.py in a folder whose report has two comments' worth of text."""
    main = runpy.run_path(str(DELIVER))["main"]
    (tmp_path / "report.md").write_text(
        "# medgan report\n\n**PASS**\n" + "a long line of a report\n" * 4000, encoding="utf-8"
    )
    event = tmp_path / "event.json"
    event.write_text(json.dumps(PULL), encoding="utf-8")
    for name, value in {
        "GITHUB_EVENT_PATH": str(event),
        "GITHUB_REPOSITORY": "o/r",
        "GITHUB_API_URL": forge.url,
        "GITHUB_TOKEN": "TOKEN",
        "CI_API_V4_URL": forge.url,
        "CI_PROJECT_ID": "7",
        "CI_MERGE_REQUEST_IID": "3",
        "MEDGAN_TOKEN": "SECRET",
    }.items():
        monkeypatch.setenv(name, value)
    return lambda command, *words: main([command, str(tmp_path), *words])


def test_long_report_is_cut_and_kept_in_one_comment_and_one_note(forge: Forge, deliver: Callable[..., int]) -> None:
    assert deliver("prepare") == 0
    for command, number in (("comment", 5), ("note", 3)):
        for _ in range(2):
            assert deliver(command) == 0
        (body,) = forge.bodies(number)
        assert len(body) < 65_000
        assert "The rest is in the uploaded report" in body
    forge.read_only = True
    assert deliver("comment") == 1
    assert deliver("comment", "--optional") == 0


def test_examples_name_the_repository_and_its_history() -> None:
    github = yaml.safe_load((ROOT / "examples/ci/github-actions.yml").read_text(encoding="utf-8"))
    steps = github["jobs"]["gate"]["steps"]
    assert steps[0]["with"]["fetch-depth"] == 0
    assert steps[-1]["uses"].split("@")[0] == ADDRESS.removeprefix("https://github.com/")
    known = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))["inputs"]
    assert set(steps[-1]["with"]) <= set(known)
    gitlab = yaml.safe_load((ROOT / "examples/ci/gitlab-ci.yml").read_text(encoding="utf-8"))["gate"]
    assert gitlab["variables"]["MEDGAN_REPOSITORY"] == ADDRESS
    assert gitlab["variables"]["GIT_DEPTH"] == 0


def test_page_shows_the_example() -> None:
    page = (ROOT / "docs/how-to/ci.md").read_text(encoding="utf-8")
    example = (ROOT / "examples/ci/github-actions.yml").read_text(encoding="utf-8").split("\n", 1)[1]
    assert example in page, "docs/how-to/ci.md shows another workflow than examples/ci/github-actions.yml"


@pytest.mark.parametrize("name", ["a model of mine", 'it\'s "one" $HOME `id` (2); *'])
def test_any_name_of_a_folder_is_one_argument(tmp_path: Path, name: str) -> None:
    """A stand-in for Python writes down the arguments that it is called with."""
    folder, python, called = tmp_path / name, tmp_path / "python", tmp_path / "arguments.txt"
    folder.mkdir()
    python.write_text(f"#!/bin/sh\nprintf '%s\\n' \"$@\" > '{called}'\n", encoding="utf-8")
    python.chmod(0o755)
    steps = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))["runs"]["steps"]
    scripts = {step["name"]: step["run"] for step in steps if "run" in step}

    def arguments_of(step: str) -> list[str]:
        variables = runner_environment(
            GITHUB_OUTPUT=str(tmp_path / "output.txt"),
            MEDGAN_PYTHON=str(python),
            MEDGAN_ARGUMENTS="-k 'fid and not small' tests",
            MEDGAN_ACTION=str(folder),
            MEDGAN_INSTALL="",
            MEDGAN_REQUIREMENTS="-r 'my requirements.txt'",
        )
        subprocess.run(["bash", "-eo", "pipefail", "-c", scripts[step]], cwd=folder, env=variables, check=True)
        return called.read_text(encoding="utf-8").splitlines()

    gate = arguments_of("Gate")
    assert f"--medgan-report-dir={folder}/medgan-report" in gate
    assert gate[-3:] == ["-k", "fid and not small", "tests"]
    assert f"report={folder}/medgan-report" in (tmp_path / "output.txt").read_text(encoding="utf-8")
    assert arguments_of("Install") == ["-m", "pip", "install", str(folder), "-r", "my requirements.txt"]


@pytest.mark.slow
def test_install_steps_install_the_package(tmp_path: Path) -> None:
    """Both ways of the examples, into a folder of their own and without dependencies."""
    action = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
    step = next(step for step in action["runs"]["steps"] if step["name"] == "Install")
    gitlab = yaml.safe_load((ROOT / "examples/ci/gitlab-ci.yml").read_text(encoding="utf-8"))["gate"]
    for name, script, more in (
        ("github", step["run"], {"MEDGAN_ACTION": str(ROOT), "MEDGAN_PYTHON": str(COMMANDS / "python-with-pip")}),
        ("gitlab", "\n".join(gitlab["before_script"]), {"MEDGAN_REPOSITORY": ADDRESS}),
    ):
        folder = tmp_path / name
        folder.mkdir()
        subprocess.run(
            ["bash", "-eo", "pipefail", "-c", script], cwd=folder, env={**environment(folder), **more}, check=True
        )
        assert (folder / "installed/pytest_medgan/catalogue.py").is_file()
