"""Gates under torchrun: the processes share the embedding, reach one verdict, and one of them prints."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections import Counter

import pytest

from pytest_medgan.embedding.kinds import TRIED

LOGGED = "    def embed(self, pixels, progress=lambda *a: None):\n"  # of the toy feature space


UNSTEADY = """
import os
from pytest_medgan.catalogue import Metric
from pytest_medgan.metrics import CustomMetric

def rank(*, real, fake):  # as if the arithmetic of the machines differed
    return float(os.environ["RANK"])

def pytest_medgan_metrics():
    return [CustomMetric(Metric("rank", "Rank", False, 0.0, float("inf"), "ours", True), rank)]
"""
VERDICT = """
from pytest_medgan import assert_metric

def test_it(medgan_scores):
    assert_metric(medgan_scores, "rank", 0.5)
"""


def together(project: pytest.Pytester) -> list[tuple[int, str]]:
    """Exit status and output of each of two sessions, as torchrun would start them."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    apart = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_XDIST")}
    environment = {**apart, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2"}
    workers = [
        subprocess.Popen(
            [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--basetemp", f"temporary-{rank}"],
            cwd=project.path,
            env={**environment, "RANK": str(rank), "LOCAL_RANK": str(rank), "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in (0, 1)
    ]
    try:
        outputs = [worker.communicate(timeout=300)[0] for worker in workers]
    finally:
        for worker in workers:
            worker.kill()
    return [(worker.returncode, output) for worker, output in zip(workers, outputs, strict=True)]


@pytest.mark.slow
def test_torchrun_processes_share_a_gate(project: pytest.Pytester) -> None:
    module = project.path / "toy.py"
    log = """        with open("embedded.txt", "a") as file:
            file.writelines(f"{os.getpid()} {image.tobytes().hex()[:400]}\\n" for image in pixels)
"""
    module.write_text(module.read_text().replace(LOGGED, "    batch = 8\n" + LOGGED + log))
    (status, first), (other, second) = together(project)
    assert [status, other] == [1, 1], first + second  # MISSING in both: no baseline yet
    assert "= medgan =" in first
    assert "candidate: " in first
    assert "= medgan =" not in second
    assert len(list(project.path.glob("medgan-report/candidate-*.yaml"))) == 1
    done = [line.split() for line in (project.path / "embedded.txt").read_text().splitlines()]
    assert len({process for process, _ in done}) == 2
    times = sorted(Counter(image for _, image in done).values())
    # Each process tries the space with the same few images, and embeds the canned ones to check itself.
    assert times[: -8 - TRIED] == [1] * (len(times) - 8 - TRIED)  # no other image is embedded twice
    assert max(times[:-TRIED]) <= 2


@pytest.mark.slow
def test_torchrun_processes_reach_one_verdict_with_different_arithmetic(project: pytest.Pytester) -> None:
    project.makeconftest(UNSTEADY)
    project.makepyfile(test_gate=VERDICT)
    outputs = together(project)
    assert [status for status, _ in outputs] == [0, 0], outputs  # the second process's own value, 1, would fail
