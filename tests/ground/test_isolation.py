"""The network is gone for a process and its children, for good."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

TRIES = """
import json, os, socket, subprocess, sys
from pytest_medgan.ground import isolation

port, keep = int(sys.argv[1]), sys.argv[2].split(",")
for name, means in (("seccomp", "_refuse_sockets"), ("namespace", "_leave_network")):
    if name not in keep:
        setattr(isolation, means, lambda: False)

CONNECT = f'''
import socket
try:
    socket.create_connection(("127.0.0.1", {port}), 2).close()
    print("reached")
except OSError as error:
    print("refused")
'''

def connect():
    return subprocess.run([sys.executable, "-c", CONNECT], capture_output=True, text=True).stdout.strip()

before = connect()
means = isolation.cut_network()
try:
    socket.create_connection(("127.0.0.1", port), 2).close()
    here = "reached"
except OSError:
    here = "refused"
pair = socket.socketpair()
print(json.dumps([before, means, here, connect(), os.getuid(), len(pair)]))
"""


@pytest.fixture
def port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def try_network(port: int, *means: str) -> tuple[Any, ...]:
    answer = subprocess.run(
        [sys.executable, "-c", TRIES, str(port), ",".join(means)], check=True, capture_output=True, text=True
    )
    return tuple(json.loads(answer.stdout))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux alone can cut the network")
def test_no_socket_can_be_made_once_the_network_is_cut(port: int) -> None:
    assert try_network(port, "seccomp", "namespace") == ("reached", "seccomp", "refused", "refused", os.getuid(), 2)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux alone can cut the network")
def test_namespace_holds_where_there_is_no_seccomp(port: int) -> None:
    before, means, here, child, user, _ = try_network(port, "namespace")
    if means is None:
        pytest.skip("this machine permits no user namespaces")
    assert (before, means, here, child, user) == ("reached", "namespace", "refused", "refused", os.getuid())


def test_nothing_changes_where_neither_can_be_had(port: int) -> None:
    assert try_network(port)[:4] == ("reached", None, "reached", "reached")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux alone ends a process with its parent")
def test_process_ends_with_the_one_that_started_it() -> None:
    child = "from pytest_medgan.ground.isolation import end_with_parent as e; e(); print('up', flush=True); input()"
    parent = (
        "import subprocess, sys, os\n"
        f"p = subprocess.Popen([sys.executable, '-c', {child!r}], stdin=subprocess.PIPE, stdout=subprocess.PIPE)\n"
        "p.stdout.readline(); print(p.pid, flush=True); os._exit(0)\n"
    )
    held, ours = os.pipe()  # the child's input stays open here, so that it does not end by itself
    parent = parent.replace("stdin=subprocess.PIPE", "stdin=0")
    with os.fdopen(held, "rb"), os.fdopen(ours, "wb"):
        answer = subprocess.run([sys.executable, "-c", parent], stdin=held, check=True, capture_output=True, text=True)
        number = int(answer.stdout)
        deadline = time.monotonic() + 20
        while is_running(number) and time.monotonic() < deadline:
            time.sleep(0.02)
        assert not is_running(number)


def is_running(number: int) -> bool:
    try:
        with open(f"/proc/{number}/stat", encoding="ascii") as stream:
            return stream.read().rpartition(")")[2].split()[0] not in ("Z", "X")
    except OSError:
        return False
