"""Gates under torchrun: the processes share the embedding, reach one verdict, and one of them speaks."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections import Counter

import pytest

LOGGED = "    def embed(self, pixels, progress=lambda *a: None):\n"  # of the toy feature space


@pytest.mark.slow
def test_two_processes_share_a_gate(project: pytest.Pytester) -> None:
    module = project.path / "toy.py"
    log = """        with open("embedded.txt", "a") as file:
            file.writelines(f"{os.getpid()} {image.tobytes().hex()[:400]}\\n" for image in pixels)
"""
    module.write_text(module.read_text().replace(LOGGED, "    batch = 8\n" + LOGGED + log))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {**os.environ, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2"}
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
    first, second = (worker.communicate(timeout=900)[0] for worker in workers)
    assert [worker.returncode for worker in workers] == [1, 1], first + second  # MISSING in both: no baseline yet
    assert "= medgan =" in first
    assert "candidate: " in first
    assert "= medgan =" not in second
    assert len(list(project.path.glob("medgan-report/candidate-*.yaml"))) == 1
    done = [line.split() for line in (project.path / "embedded.txt").read_text().splitlines()]
    assert len({process for process, _ in done}) == 2
    times = sorted(Counter(image for _, image in done).values())
    assert times[:-8] == [1] * (len(times) - 8)  # nothing twice
    assert max(times) <= 2  # but for the canned images, by which each process makes sure of itself
