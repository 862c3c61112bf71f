"""Cores, devices and torchrun's environment."""

from __future__ import annotations

import os

import pytest
import torch

from pytest_medgan.ground import processes


def test_available_cores_is_what_the_scheduler_allows() -> None:
    assert processes.available_cores() == len(os.sched_getaffinity(0))


def test_available_cores_without_affinity_counts_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert processes.available_cores() == 1


@pytest.mark.parametrize(
    ("environment", "expected"),
    [({}, False), ({"RANK": "0", "WORLD_SIZE": "1"}, False), ({"RANK": "0", "WORLD_SIZE": "2"}, True)],
)
def test_started_by_torchrun_needs_several_processes(
    environment: dict[str, str], expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("RANK", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert processes.started_by_torchrun() is expected


def test_local_device_is_the_gpu_of_the_local_rank(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    assert processes.local_device("cuda") == "cuda"
    monkeypatch.setenv("LOCAL_RANK", "3")
    assert processes.local_device("cuda") == "cuda:1"
    assert processes.local_device("cuda:0") == "cuda:0"
    assert processes.local_device("cpu") == "cpu"
