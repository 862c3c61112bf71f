"""Eight processes share one folder, one of them is killed: nothing is wrong, lost, or computed three times."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from pytest_medgan.embedding.blocks import SUFFIX, read_block

WORKER = Path(__file__).with_name("sharing_worker.py")
PROCESSES = 8


def start(folder: Path, rank: int, pause: float) -> subprocess.Popen[bytes]:
    arguments = [folder / "features", folder / "log", folder / f"{rank}.npy", pause]
    return subprocess.Popen([sys.executable, str(WORKER), *map(str, arguments)], stderr=subprocess.PIPE)


def expected() -> np.ndarray:
    namespace: dict[str, object] = {"__name__": "worker"}
    exec(compile(WORKER.read_text(), str(WORKER), "exec"), namespace)
    pixels, features = namespace["pixels"], namespace["features"]
    if not callable(pixels) or not callable(features):
        raise TypeError("the worker has changed")
    answer = features(pixels())
    if not isinstance(answer, np.ndarray):
        raise TypeError("the worker has changed")
    return answer


def embed_together(folder: Path, *, kill: int, seed: int, pause: float = 0.02) -> None:
    """Run eight processes, kill some once the first image is embedded, and check everything."""
    chance = random.Random(seed)
    workers = [start(folder, rank, pause) for rank in range(PROCESSES)]
    victims = chance.sample(range(PROCESSES), kill)
    if victims:
        while not (folder / "log").exists() and any(w.poll() is None for w in workers):
            time.sleep(0.005)
        for victim in victims:
            time.sleep(chance.uniform(0, 0.3))
            workers[victim].send_signal(signal.SIGKILL)
    right = expected()
    for rank, worker in enumerate(workers):
        _, errors = worker.communicate(timeout=120)
        if rank in victims and worker.returncode == -signal.SIGKILL:
            continue
        assert worker.returncode == 0, errors.decode()
        assert np.array_equal(np.load(folder / f"{rank}.npy"), right)
    times = Counter(line.split()[1] for line in (folder / "log").read_text().splitlines())
    assert set(times) == {str(i) for i in range(len(right))}
    assert max(times.values()) <= (2 if kill else 1)
    stored = [row for file in (folder / "features").glob(f"*/*{SUFFIX}") for row in read_block(file).images]
    assert len(set(stored)) == len(right)


def test_eight_processes_compute_every_image_once(tmp_path: Path) -> None:
    embed_together(tmp_path, kill=0, seed=0, pause=0.005)


def test_killed_process_costs_at_most_its_block(tmp_path: Path) -> None:
    embed_together(tmp_path, kill=1, seed=1, pause=0.01)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2, 12))
def test_killed_process_costs_at_most_its_block_at_other_moments(seed: int, tmp_path: Path) -> None:
    embed_together(tmp_path, kill=1, seed=seed)
