"""Deliver the report of a gate into a pull request (GitHub) or merge request (GitLab). Standard library only.

    python deliver.py annotate FOLDER             mark the lines of failed tests, from FOLDER/junit.xml
    python deliver.py prepare FOLDER --status N   write FOLDER/comment.md, from FOLDER/report.md
    python deliver.py comment FOLDER              keep one comment on the pull request (GITHUB_TOKEN)
    python deliver.py note FOLDER                 keep one note on the merge request (MEDGAN_TOKEN)

`comment` works in a workflow of `pull_request` and, for pull requests from forks, whose token is read-only, in one of
`workflow_run`. There the report was written by code of the fork, so its text is limited and its mentions are defused,
and the pull request is found by the commit of the event, never by what the report says.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

MARK = "<!-- medgan-report -->"  # the comment that is ours
LONGEST = 60_000  # characters; GitHub takes 65,536
PAGE = 100  # comments per request
GITHUB, GITLAB = "GITHUB_", "CI_"


class DeliveryError(Exception):
    """The report could not be delivered; the message says why and what to do."""


def main(argv: list[str] | None = None) -> int:
    """Run one command and return its exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("command", choices=("annotate", "prepare", "comment", "note"))
    parser.add_argument("folder", type=Path, help="the folder of the report")
    parser.add_argument("--status", type=int, default=0, help="exit status of pytest, for prepare")
    parser.add_argument("--optional", action="store_true", help="a token that may not write is no error")
    arguments = parser.parse_args(argv)
    try:
        if arguments.command == "annotate":
            print("\n".join(annotations(arguments.folder)))
        elif arguments.command == "prepare":
            body = comment_body(arguments.folder, arguments.status)
            (arguments.folder / "comment.md").write_text(body, encoding="utf-8")
        elif arguments.command == "comment":
            print(comment(arguments.folder))
        else:
            print(note(arguments.folder))
    except DeliveryError as error:
        print(f"deliver: {error}", file=sys.stderr)
        return 0 if arguments.optional else 1
    return 0


# ---------------------------------------------------------------------------------------------------------- annotations


def annotations(folder: Path) -> list[str]:
    """Return one workflow command `::error ...` for each failed test of FOLDER/junit.xml."""
    file = folder / "junit.xml"
    if not file.is_file():
        return []
    found = []
    for case in ElementTree.parse(file).getroot().iter("testcase"):
        for failure in [*case.findall("failure"), *case.findall("error")]:
            path, line = _place(case, failure.text or "")
            message = failure.get("message") or "the test failed"
            name = case.get("name", "test")
            where = f"file={_property(path)},line={line}," if path else ""
            found.append(f"::error {where}title={_property(name)}::{_data(message[:2000])}")
    return found


def _place(case: ElementTree.Element, text: str) -> tuple[str, int]:
    """Return file and line of a failure: that of the assertion in the test's own file, else that of the test."""
    file = case.get("file", "")
    line = int(case.get("line", "0")) + 1
    own = re.findall(rf"^{re.escape(file)}:(\d+): ", text, re.MULTILINE) if file else []
    return _in_repository(file), int(own[-1]) if own else line


def _in_repository(file: str) -> str:
    """Return a path relative to the root of the repository, as annotations want it."""
    root = Path(os.environ.get("GITHUB_WORKSPACE", ".")).resolve()
    for base in (Path.cwd(), *Path.cwd().parents):  # the root of the tests may lie above the working directory
        if file and (base / file).is_file():
            return os.path.relpath(base / file, root)
        if base == root:
            break
    return file


def _data(text: str) -> str:
    """Return text as a workflow command carries it."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    """Return text as a property of a workflow command carries it."""
    return _data(text).replace(":", "%3A").replace(",", "%2C")


# -------------------------------------------------------------------------------------------------------------- comment


def comment_body(folder: Path, status: int) -> str:
    """Return the text of the comment: the report in Markdown, or what to do where there is none."""
    report = folder / "report.md"
    if report.is_file():
        text = report.read_text(encoding="utf-8")
    else:
        text = (
            f"# medgan report\n\npytest ended with status {status} and wrote no report. The log of the job says why.\n"
        )
    if len(text) > LONGEST:
        text = text[:LONGEST].rpartition("\n")[0] + "\n\nThe rest is in the uploaded report.\n"
    return f"{MARK}\n{text.rstrip()}\n{_link()}"


def _link() -> str:
    """Return a line that leads to the run; empty where its address is not known."""
    server, repository, run = (os.environ.get(f"{GITHUB}{n}") for n in ("SERVER_URL", "REPOSITORY", "RUN_ID"))
    if server and repository and run:
        return f"\n[The run with its report]({server}/{repository}/actions/runs/{run})\n"
    job = os.environ.get("CI_JOB_URL")
    return f"\n[The job with its report]({job}/artifacts/browse)\n" if job else ""


def _written(folder: Path) -> str:
    """Return the prepared comment, of limited length and with mentions that notify nobody."""
    file = folder / "comment.md"
    if not file.is_file():
        raise DeliveryError("There is no comment.md. Run `deliver.py prepare` first.")
    text = file.read_text(encoding="utf-8", errors="replace").replace(MARK, "").strip()
    return f"{MARK}\n{text[: LONGEST + 1000]}".replace("@", "@\u200b")


def comment(folder: Path) -> str:
    """Write or renew the comment on the pull request of the event, and say which."""
    event = json.loads(Path(_environment("GITHUB_EVENT_PATH")).read_text(encoding="utf-8"))
    api, repository = os.environ.get("GITHUB_API_URL", "https://api.github.com"), _environment("GITHUB_REPOSITORY")
    base = f"{api}/repos/{repository}"
    headers = {"Authorization": f"Bearer {_environment('GITHUB_TOKEN')}", "Accept": "application/vnd.github+json"}
    number = _pull_request(event, base, headers)
    if number is None:
        return "no pull request: nothing to comment on"
    body = {"body": _written(folder)}
    for found in _pages(f"{base}/issues/{number}/comments", headers):
        if str(found.get("body", "")).startswith(MARK):
            _ask("PATCH", f"{base}/issues/comments/{found['id']}", headers, body)
            return f"comment renewed on pull request {number}"
    _ask("POST", f"{base}/issues/{number}/comments", headers, body)
    return f"comment written on pull request {number}"


def _pull_request(event: dict[str, Any], base: str, headers: dict[str, str]) -> int | None:
    """Return the number of the pull request that an event belongs to; None where there is none."""
    if "pull_request" in event:
        return int(event["pull_request"]["number"])
    run = event.get("workflow_run")
    if not run:
        return None
    owner = run["head_repository"]["owner"]["login"]  # `pull_requests` of the event is empty for forks
    head = urllib.parse.quote(f"{owner}:{run['head_branch']}", safe=":")
    for found in _pages(f"{base}/pulls?state=open&head={head}", headers):
        if found["head"]["sha"] == run["head_sha"]:
            return int(found["number"])
    return None


def note(folder: Path) -> str:
    """Write or renew the note on the merge request of the pipeline, and say which."""
    number = os.environ.get("CI_MERGE_REQUEST_IID")
    if not number:
        return "no merge request: nothing to note"
    base = f"{_environment('CI_API_V4_URL')}/projects/{_environment('CI_PROJECT_ID')}/merge_requests/{number}/notes"
    headers = {"PRIVATE-TOKEN": _environment("MEDGAN_TOKEN")}
    body = {"body": _written(folder)}
    for found in _pages(base, headers):
        if str(found.get("body", "")).startswith(MARK):
            _ask("PUT", f"{base}/{found['id']}", headers, body)
            return f"note renewed on merge request {number}"
    _ask("POST", base, headers, body)
    return f"note written on merge request {number}"


# ------------------------------------------------------------------------------------------------------------------ API


def _pages(url: str, headers: dict[str, str]) -> list[dict[str, Any]]:
    """Return everything that a listing holds, page by page."""
    joined, found = "&" if "?" in url else "?", []
    for page in range(1, 100):
        some = _ask("GET", f"{url}{joined}per_page={PAGE}&page={page}", headers)
        found += some
        if len(some) < PAGE:
            break
    return found


def _ask(method: str, url: str, headers: dict[str, str], body: dict[str, str] | None = None) -> Any:
    """Send a request and return the answer.

    Raises:
        DeliveryError: It was refused.
    """
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {**headers, "Content-Type": "application/json"}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.loads(answer.read() or b"null")
    except urllib.error.HTTPError as error:
        if error.code in (401, 403, 404):
            raise DeliveryError(
                f"The token may not {'read' if body is None else 'write'} comments ({error.code}). Grant "
                "`pull-requests: write`, or comment from a workflow_run where the pull request is a fork's."
            ) from None
        raise DeliveryError(f"The server refused the comment ({error.code}). Try again.") from None
    except urllib.error.URLError as error:
        raise DeliveryError(f"The server cannot be reached ({error.reason}). Try again.") from None


def _environment(name: str) -> str:
    """Return a variable of the environment that must be set."""
    value = os.environ.get(name)
    if not value:
        raise DeliveryError(f"{name} is not set. Run this in a CI job.")
    return value


if __name__ == "__main__":
    sys.exit(main())
