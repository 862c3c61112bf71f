"""Several processes give the features of one."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pytest_medgan.embedding.sharding import LOST, join, place, processes, share
from pytest_medgan.records import Float32

WORKER = Path(__file__).with_name("sharding_worker.py")


@pytest.mark.parametrize(("count", "unit", "size"), [(100, 16, 2), (5, 16, 3), (128, 16, 4), (1, 1, 2), (1000, 7, 5)])
def test_shares_are_whole_units_in_order(count: int, unit: int, size: int) -> None:
    shares = [share(count, unit, rank, size) for rank in range(size)]
    assert [row for s in shares for row in range(count)[s]] == list(range(count))
    assert all(s.start % unit == 0 or s.start == count for s in shares)
    units = [-(-(s.stop - s.start) // unit) for s in shares]
    assert max(units) - min(units) <= 1


def test_without_torchrun_there_is_one_process() -> None:
    with processes() as here:
        assert here == place() == (0, 1)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def embed_on(size: int, extractor: str, folder: Path) -> list[np.ndarray]:
    """Return the features that each of `size` processes ends with."""
    environment = {**os.environ, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), "WORLD_SIZE": str(size)}
    environment["OMP_NUM_THREADS"] = "1"
    environment.pop("PYTEST_XDIST_WORKER", None)  # these processes are not this test run's workers
    results = [folder / f"{size}-{rank}.npz" for rank in range(size)]
    workers = [
        subprocess.Popen(
            [sys.executable, str(WORKER), extractor, str(result)],
            env={**environment, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stderr=subprocess.PIPE,
        )
        for rank, result in enumerate(results)
    ]
    try:
        for worker in workers:
            _, errors = worker.communicate(timeout=600)
            assert worker.returncode == 0, errors.decode()
    finally:
        for worker in workers:
            worker.kill()
    return [np.load(result)["features"] for result in results]


def test_two_processes_give_the_features_of_one(tmp_path: Path) -> None:
    (alone,) = embed_on(1, "means", tmp_path)
    for together in embed_on(2, "means", tmp_path):
        assert np.array_equal(together, alone)


@pytest.mark.slow
def test_two_processes_give_inceptions_features_to_the_bit(
    tmp_path: Path, relative_gap: Callable[[Float32, Float32], float]
) -> None:
    (alone,) = embed_on(1, "inception_v3,weights=random,engine=folded,batch=4", tmp_path)
    for together in embed_on(2, "inception_v3,weights=random,engine=folded,batch=4", tmp_path):
        assert np.array_equal(together, alone)
    for together in embed_on(2, "inception_v3,weights=random,engine=folded,batch=3", tmp_path):
        assert relative_gap(together, alone) < 1e-5


def test_error_and_agreed_value_of_one_process_reach_all(tmp_path: Path) -> None:
    first, second = (told.tolist() for told in embed_on(2, "faults", tmp_path))
    assert first[:2] == ["[0, 1]", "In process 1 of 2: no luck"]
    assert second[:2] == ["[0, 1]", "no luck"]
    assert "different images" in first[2]
    assert "different images" in second[2]
    assert "compute different things" in first[3]
    assert "compute different things" in second[3]
    assert first[4] == second[4] == "verdict of process 0"


def test_process_whose_partner_ended_gets_an_error(tmp_path: Path) -> None:
    """It does not wait for half an hour, as torch does."""
    first, second = (told.tolist() for told in embed_on(2, "deserted", tmp_path))
    assert first == [LOST]
    assert second == ["left"]


def test_xdist_worker_does_not_join_the_group(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("RANK", "0"), ("WORLD_SIZE", "2"), ("PYTEST_XDIST_WORKER", "gw0")):
        monkeypatch.setenv(name, value)
    join()
    assert place() == (0, 1)
