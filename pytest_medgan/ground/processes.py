"""Which process this is, and which processor and device it may use."""

from __future__ import annotations

import os


def available_cores() -> int:
    """Return how many cores this process may use, at least 1."""
    affinity = getattr(os, "sched_getaffinity", None)  # absent on macOS and Windows
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def started_by_torchrun() -> bool:
    """Whether torchrun started this process as one of several."""
    return "RANK" in os.environ and int(os.environ.get("WORLD_SIZE", "1")) > 1


def process() -> int:
    """Return this process's number among those that torchrun started, from 0; 0 without torchrun."""
    return int(os.environ["RANK"]) if started_by_torchrun() else 0


def processes() -> int:
    """Return how many processes torchrun started; 1 without torchrun."""
    return int(os.environ["WORLD_SIZE"]) if started_by_torchrun() else 1


def local_device(device: str) -> str:
    """Return "cuda" as this process's own GPU under torchrun; any other device unchanged."""
    if device == "cuda" and "LOCAL_RANK" in os.environ:
        import torch

        return f"cuda:{int(os.environ['LOCAL_RANK']) % max(torch.cuda.device_count(), 1)}"
    return device
