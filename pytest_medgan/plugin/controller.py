"""The hooks of the one process that writes: it gathers findings, then writes candidates, reports and the summary."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_medgan.plugin.candidates import candidate_path, seen, write
from pytest_medgan.plugin.collector import PROPERTY, Collector, Model
from pytest_medgan.plugin.reports import write_reports
from pytest_medgan.plugin.session import session_of
from pytest_medgan.plugin.summary import model_lines

if TYPE_CHECKING:
    from _pytest.terminal import TerminalReporter

COLOURS: Mapping[str, dict[str, bool]] = {
    "PASS": {"green": True},
    "STALE": {"green": True, "bold": True},
    "FAIL": {"red": True},
    "MISSING": {"red": True},
    "INCOMPARABLE": {"red": True},
    "UNDECIDED": {"yellow": True},
}


class Controller:
    """Registered on the controller of a distributed run and on the only process of any other."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        # of the processes of torchrun one speaks; RANK alone means something else
        self._speaks = "WORLD_SIZE" not in os.environ or os.environ.get("RANK", "0") == "0"
        self._found = Collector()
        self._candidates: dict[str, Path] = {}
        self._problems: list[str] = []
        self._reports: tuple[Path, ...] = ()

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Takes our entry out before a JUnit file could show it, and leaves one plain property a metric."""
        ours: list[dict[str, Any]] = [v for name, v in report.user_properties if name == PROPERTY]  # type: ignore[misc]
        report.user_properties = [entry for entry in report.user_properties if entry[0] != PROPERTY]
        for payload in ours:
            if report.when != "teardown":  # which brings the same entries once more, and is what a JUnit file reads
                self._found.take(payload, report.nodeid, ran=not report.skipped)
            for verdict in payload.get("verdicts", ()):
                name = f"medgan.{verdict['metric']}"
                report.user_properties += [(name, str(verdict["mean"])), (f"{name}.verdict", verdict["outcome"])]

    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        options = session_of(self._config).options
        if self._found.models and self._speaks:
            self._write_candidates()
        collecting = self._config.getoption("collectonly")
        if options.gpu and not self._found.gpu_tests_run and exitstatus in (0, 5) and not collecting:
            self._problems.append("--medgan-gpu: no test marked medgan_gpu ran; mark one, or leave the option out")
            session.exitstatus = pytest.ExitCode.USAGE_ERROR
        if options.reports and self._found.models and self._speaks:
            self._write_reports()

    def _write_reports(self) -> None:
        try:
            self._reports = write_reports(self._found.models, self._problems, session_of(self._config).options)
        except Exception as error:  # the verdicts stand and must be shown, whatever became of their picture
            why = error.strerror if isinstance(error, OSError) else error
            self._problems.append(f"the report could not be written ({type(error).__name__}: {why})")

    def _write_candidates(self) -> None:
        """Every run writes a candidate a model; accepting it is a separate, deliberate act."""
        report_dir = session_of(self._config).options.report_dir
        for key, model in self._found.models.items():
            name = model.plain["name"]
            path = candidate_path(report_dir, name)
            if path in self._candidates.values():
                self._problems.append(
                    f"two models are called {name}, so only the first has a candidate; "
                    "name them by @pytest.mark.medgan(name=...)"
                )
                continue
            try:
                path.unlink(missing_ok=True)  # an earlier run's must not be taken for this one's
                if model.plain["looks"]:
                    self._candidates[key] = write(model.plain, model.row, report_dir)
            except Exception as error:  # the verdicts stand and must be shown, whatever became of the candidate
                why = error.strerror if isinstance(error, OSError) else error
                self._problems.append(f"the candidate of {name} could not be written: {why}")

    def pytest_terminal_summary(self, terminalreporter: TerminalReporter) -> None:
        found = self._found
        if not (found.models or found.terminal_lines or self._problems) or not self._speaks:
            return
        terminalreporter.write_sep("=", "medgan")
        for key, model in found.models.items():
            self._write_model(terminalreporter, key, model)
        for path in self._reports:
            terminalreporter.write_line(f"report: {seen(path)}")
        for line in found.terminal_lines:
            terminalreporter.write_line(line, yellow=True)
        for line in self._problems:
            terminalreporter.write_line(line, red=True)

    def _write_model(self, reporter: TerminalReporter, key: str, model: Model) -> None:
        for text, outcome in model_lines(model):
            reporter.write_line(text, **COLOURS.get(outcome, {}))
        if candidate := self._candidates.get(key):
            reporter.write_line(f"candidate: {seen(candidate)}")
