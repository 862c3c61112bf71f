"""End a call of a model in this process where it takes too long.

A model that `package.module:name` names is the user's own code in this process: it may set breakpoints, keep state and
be measured for coverage, so it is not moved to another process. The system's alarm interrupts it instead, wherever
Python code runs or waits. Compiled code that never returns is not interrupted.
"""

from __future__ import annotations

import bdb
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from pytest_medgan.errors import CheckpointError
from pytest_medgan.gan.latents import BLOCK

SECONDS = 300.0  # that a model may take to open, and for each block of images
_REPEAT_SECONDS = 1.0  # seconds until the next interruption, for code that goes on after the first


class _LateError(BaseException):
    """Interrupt a call; no Exception, so that the interrupted code does not take it for a failure of its own."""


@dataclass(frozen=True)
class TimeLimit:
    """How long a model may take."""

    name: str  # of the model, for errors
    seconds: float = SECONDS  # to open it, and for each block of images

    @contextmanager
    def opening(self) -> Iterator[None]:
        """Raise CheckpointError where the body, which opens the model, takes too long."""
        with self._enforced(self.seconds, "was not ready"):
            yield

    @contextmanager
    def drawing(self, images: int, block: int = BLOCK) -> Iterator[None]:
        """Raise CheckpointError where the body takes too long to draw some images.

        Args:
            images: Their number.
            block: Images, or volumes, that share one time limit.
        """
        blocks = -(-images // block)
        unit = f"{block} images" if block > 1 else "volume"
        each = f" ({self.seconds:g} s for every {unit})" if blocks > 1 else ""
        with self._enforced(self.seconds * blocks, "gave no images", each):
            yield

    @contextmanager
    def _enforced(self, seconds: float, problem: str, each: str = "") -> Iterator[None]:
        """Raise CheckpointError where the body takes too long."""
        try:
            with _interrupted_after(seconds):
                yield
        except _LateError as error:
            raise CheckpointError(
                f"The generator {self.name!r} {problem} within {seconds:g} s{each}. Correct it, or allow more time by "
                "seconds=NUMBER behind its name."
            ) from error


@contextmanager
def _interrupted_after(seconds: float) -> Iterator[None]:
    """Raise _LateError in the body after some seconds, and again while it goes on.

    Nothing is raised outside of the main thread, on systems without such an alarm, under a debugger, and where
    another alarm of the process is due earlier.
    """
    if not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
        yield
        return
    left, interval = signal.getitimer(signal.ITIMER_REAL)
    if 0.0 < left <= seconds:
        yield
        return
    is_over = False

    def interrupt(number: int, frame: object) -> None:
        if not is_over and not _is_debugged():
            raise _LateError

    started = time.monotonic()
    before: Any = signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, seconds, _REPEAT_SECONDS)
        try:
            yield
        finally:
            is_over = True
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, signal.SIG_DFL if before is None else before)
        if left:
            signal.setitimer(signal.ITIMER_REAL, max(left - (time.monotonic() - started), 0.001), interval)


def _is_debugged() -> bool:
    """Return whether the process runs under a debugger, where the user may pause for any time."""
    trace: Callable[..., Any] | None = sys.gettrace()
    return "pydevd" in sys.modules or isinstance(getattr(trace, "__self__", None), bdb.Bdb)
