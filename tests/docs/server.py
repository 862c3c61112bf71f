"""A server that answers as the APIs of GitHub and GitLab do, as far as comments go."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

GITHUB_LIST = re.compile(r"^/repos/o/r/issues/(\d+)/comments$")
GITHUB_ONE = re.compile(r"^/repos/o/r/issues/comments/(\d+)$")
GITLAB_LIST = re.compile(r"^/projects/7/merge_requests/(\d+)/notes$")
GITLAB_ONE = re.compile(r"^/projects/7/merge_requests/(\d+)/notes/(\d+)$")


@dataclass
class Forge:
    """What the server knows and what was asked of it."""

    url: str = ""
    read_only: bool = False  # the token may not write
    comments: dict[int, dict[str, Any]] = field(default_factory=dict)  # id -> number of the request and body
    pulls: list[dict[str, Any]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)  # "METHOD path"
    tokens: set[str] = field(default_factory=set)

    def answer(self, method: str, path: str, query: dict[str, list[str]], body: dict[str, Any]) -> tuple[int, Any]:
        """Return status and content."""
        self.asked.append(f"{method} {path}")
        if path == "/repos/o/r/pulls":
            heads = query["head"]
            return 200, [pull for pull in self.pulls if pull["head"]["label"] in heads]
        listing, one = (
            GITHUB_LIST.match(path) or GITLAB_LIST.match(path),
            GITHUB_ONE.match(path) or GITLAB_ONE.match(path),
        )
        if method != "GET" and self.read_only:
            return 403, {"message": "Resource not accessible by integration"}
        if listing and method == "GET":
            own = [c for c in self.comments.values() if c["number"] == int(listing[1])]
            size, page = int(query["per_page"][0]), int(query["page"][0])
            return 200, own[(page - 1) * size : page * size]
        if listing and method == "POST":
            return 201, self.add(int(listing[1]), body["body"])
        if one and method in ("PATCH", "PUT"):
            self.comments[int(one[one.lastindex or 1])]["body"] = body["body"]
            return 200, {}
        return 404, {"message": "Not Found"}

    def add(self, number: int, body: str) -> dict[str, Any]:
        """Add a comment."""
        comment = {"id": len(self.comments) + 1, "number": number, "body": body}
        self.comments[len(self.comments) + 1] = comment
        return comment

    def bodies(self, number: int) -> list[str]:
        """Return the comments of a pull or merge request."""
        return [comment["body"] for comment in self.comments.values() if comment["number"] == number]


@contextmanager
def serve() -> Iterator[Forge]:
    """Serve a forge on this machine."""
    forge = Forge()

    class Handler(BaseHTTPRequestHandler):
        """One request."""

        def _reply(self) -> None:
            parts = urlsplit(self.path)
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length) or b"{}")
            forge.tokens.add(self.headers.get("Authorization") or self.headers.get("PRIVATE-TOKEN") or "")
            status, content = forge.answer(self.command, parts.path, parse_qs(parts.query), body)
            data = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_PATCH = do_PUT = _reply  # noqa: N815

        def log_message(self, *_: object) -> None:
            """Stay silent."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        forge.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield forge
        finally:
            server.shutdown()
            thread.join()
