"""Progress of a command on standard error: a bar on a terminal, a line every 15 seconds in a log."""

from __future__ import annotations

import sys
import time
from types import TracebackType

LOG_INTERVAL = 15.0  # seconds between two lines of a log


class ConsoleProgress:
    """A `records.Progress` that is used as a context manager."""

    def __init__(self, *, quiet: bool = False) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        console = Console(file=sys.stderr)
        self._terminal, self._quiet = console.is_terminal and not quiet, quiet
        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=console,
            disable=not self._terminal,
        )
        self._tasks: dict[str, int] = {}
        self._shown = time.monotonic()

    def __enter__(self) -> ConsoleProgress:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def __call__(self, what: str, done: int, total: int) -> None:
        """Show that `done` of `total` units of an activity are done."""
        if self._terminal:
            if what not in self._tasks:
                self._tasks[what] = self._bars.add_task(what, total=total)
            self._bars.update(self._tasks[what], completed=done, total=total)  # type: ignore[arg-type]
        elif not self._quiet and time.monotonic() - self._shown >= LOG_INTERVAL:
            self._shown = time.monotonic()
            print(f"medgan: {what} {done}/{total}", file=sys.stderr, flush=True)
