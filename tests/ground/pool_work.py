"""Functions that worker processes import."""

from __future__ import annotations

import os
import signal
import time


def square(value: int) -> int:
    return value * value


def fail_from_three(value: int) -> int:
    if value >= 3:
        raise KeyError(value)
    time.sleep(0.05)  # later items fail first
    return value


def die_at_two(value: int) -> int:
    if value == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return value


def hang_at_two(value: int) -> int:
    time.sleep(60 if value == 2 else 0)
    return value


def read_variable(name: str) -> str:
    return os.environ.get(name, "")


def process_id(_: int) -> int:
    return os.getpid()


_KEPT = []


def grow(megabytes):
    """Keep so many megabytes and return this process's number, later than loky looks for leaks again."""
    _KEPT.append(bytes([1]) * (megabytes << 20))
    time.sleep(1.1)
    return os.getpid()
