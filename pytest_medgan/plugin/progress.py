"""Progress on pytest's terminal: a bar where it is a terminal, a line every 15 seconds in a log."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest
    from _pytest.terminal import TerminalReporter

SHOW_AFTER = 2.0  # seconds of work before anything is shown
REDRAW_INTERVAL = 0.2  # seconds between two states of a bar
LOG_INTERVAL = 15.0  # seconds between two lines of a log


class TerminalProgress:
    """records.Progress on pytest's terminal reporter; silent in a worker, which has no terminal of its own."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._activity = ""
        self._began = self._shown = 0.0
        self._open = False

    def __call__(self, what: str, done: int, total: int) -> None:
        """Show that `done` of `total` units of an activity are done."""
        now = time.monotonic()
        if what != self._activity:
            self._finish()
            self._activity, self._began, self._shown = what, now, 0.0
        if now - self._began < SHOW_AFTER:
            return
        reporter: TerminalReporter | None = self._config.pluginmanager.get_plugin("terminalreporter")
        if reporter is None or self._config.getoption("verbose") < 0:
            return
        is_terminal = bool(reporter.isatty)
        is_done = done >= total
        since_shown = now - max(self._shown, self._began)
        # a bar always shows its end; a log shows the end only of work that took longer than the interval
        if since_shown < (REDRAW_INTERVAL if is_terminal else LOG_INTERVAL) and not (is_terminal and is_done):
            return
        self._shown = now
        self._write(reporter, self._line(done, total, now), is_terminal)
        if is_done:
            self._finish()

    def _line(self, done: int, total: int, now: float) -> str:
        """Return the line for one state."""
        rate = done / max(now - self._began, 1e-9)
        left = f", {(total - done) / rate:.0f} s left" if 0 < done < total else ""
        return f"medgan: {self._activity} {done}/{total} ({rate:.{0 if rate >= 10 else 1}f}/s{left})"

    def _write(self, reporter: TerminalReporter, line: str, is_terminal: bool) -> None:
        """Write a line past pytest's capture."""
        capture = self._config.pluginmanager.get_plugin("capturemanager")
        if capture is None:
            self._put(reporter, line, is_terminal)
            return
        with capture.global_and_fixture_disabled():
            self._put(reporter, line, is_terminal)

    def _put(self, reporter: TerminalReporter, line: str, is_terminal: bool) -> None:
        """Write a line, over the last one on a terminal."""
        if is_terminal:
            reporter.rewrite(line, erase=True)
            self._open = True
        else:
            reporter.ensure_newline()
            reporter.write_line(line)

    def _finish(self) -> None:
        """End a bar with a line break."""
        if self._open:
            reporter: TerminalReporter | None = self._config.pluginmanager.get_plugin("terminalreporter")
            if reporter is not None:
                self._write(reporter, "", True)
                reporter.currentfspath = -2  # the next test starts on a new line
            self._open = False
        self._activity = ""
