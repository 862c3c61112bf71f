"""Hooks of the process that writes files: gather findings, then write candidates, reports and the summary."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_medgan.errors import OutputError
from pytest_medgan.ground.terminal import printable
from pytest_medgan.plugin.channel import findings_from_plain, take_findings
from pytest_medgan.plugin.earlier import note_candidates, runs_no_test
from pytest_medgan.plugin.state import state_of, writes_files
from pytest_medgan.session.candidates import candidate_path, shown_path, write_model_candidate

if TYPE_CHECKING:
    from _pytest.terminal import TerminalReporter

    from pytest_medgan.session.findings import Findings, Model

COLOURS: Mapping[str, dict[str, bool]] = {
    "PASS": {"green": True},
    "STALE": {"green": True, "bold": True},
    "FAIL": {"red": True},
    "MISSING": {"red": True},
    "INCOMPARABLE": {"red": True},
    "BLIND": {"red": True},
    "UNDECIDED": {"yellow": True},
}


class Controller:
    """Gather and write; registered in the controller of a distributed run, or in the only process of another run."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._writes = writes_files()
        self._findings: Findings | None = None  # made with the first finding, since it loads numpy
        self._candidates: dict[str, Path] = {}
        self._tests: dict[str, set[str]] = {}  # key of a model -> the tests that looked at it
        self._order: list[str] = []  # of the tests of a distributed run
        self._problems: list[str] = []
        self._reports: tuple[Path, ...] = ()

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self) -> None:
        """Remove the report of an earlier run, which readers would take for this run's where no test has findings."""
        options = state_of(self._config).options
        if not options.reports or not self._writes or runs_no_test(self._config):
            return
        if options.report_dir.is_dir():
            from pytest_medgan.report import discard_run

            try:
                discard_run(options.report_dir)
            except OutputError as error:
                self._problems.append(f"The report of an earlier run could not be removed: {error}")

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take a test's findings out of its report, and leave one plain property per metric for JUnit files."""
        for plain in take_findings(report):
            found = findings_from_plain(plain)
            found = self._gathered().told_apart(found, _process_of(report))
            if str(report.outcome) == "rerun":  # pytest-rerunfailures runs the test again, and the last run counts
                found = replace(found, models=(), verdicts=(), gpu=False)
            if report.when != "teardown":  # the teardown report repeats the properties, and JUnit files read it
                self._gathered().add(found, report.nodeid, ran=not report.skipped)
                for model in found.models:
                    self._tests.setdefault(model.key, set()).add(report.nodeid)
            second = {model.key for model in found.models if model.beside is not None}
            for judged in found.verdicts:
                space = "beside." if judged.model in second else ""
                name, verdict = f"medgan.{space}{judged.verdict.metric.name}", judged.verdict
                mean = None if verdict.measured is None else verdict.measured.mean
                report.user_properties += [(name, str(mean)), (f"{name}.verdict", str(verdict.outcome))]

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, ids: list[str]) -> None:
        """Remember the order of the tests, which is the same on every worker."""
        self._order = ids

    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """Write candidates and reports; a run with --medgan-gpu in which no GPU test ran is a usage error."""
        options = state_of(self._config).options
        findings = self._findings
        if findings is not None:
            for joined, key in findings.unite().items():
                self._tests.setdefault(key, set()).update(self._tests.pop(joined, set()))
        if findings is not None and self._order:
            findings.arrange(self._order)
        if findings is not None and findings.models and self._writes:
            self._write_candidates(findings)
        collecting = runs_no_test(self._config)
        gpu_tests = 0 if findings is None else findings.gpu_tests_run
        if options.gpu and not gpu_tests and exitstatus in (0, 5) and not collecting:
            self._problems.append("--medgan-gpu: no test marked medgan_gpu ran. Mark one, or leave the option out.")
            session.exitstatus = pytest.ExitCode.USAGE_ERROR
        if options.reports and findings is not None and findings.models and self._writes:
            self._write_reports(findings)
        if options.loggers and findings is not None and self._writes:
            self._log(findings)

    def _gathered(self) -> Findings:
        """Return what was found so far."""
        from pytest_medgan.session.findings import Findings

        if self._findings is None:
            self._findings = Findings()
        return self._findings

    def _write_reports(self, findings: Findings) -> None:
        """Write the reports. An error is shown with the verdicts, which stay valid."""
        from pytest_medgan.session.run_folder import write_reports

        try:
            self._reports = write_reports(findings.models, self._problems, state_of(self._config).options)
        except Exception as error:
            self._problems.append(f"The report could not be written: {_reason(error)}")

    def _log(self, findings: Findings) -> None:
        """Hand every model's values to the trackers. An error is shown with the verdicts, which stay valid."""
        from pytest_medgan.session.trackers import logged_model

        options = state_of(self._config).options
        files = () if options.report_real else self._reports  # real images stay here
        for logger in options.loggers:
            for model in findings.models.values():
                try:
                    logger(logged_model(model, files))
                except Exception as error:  # of a tracker: no server, no right to write, ...
                    reason = (str(_reason(error)).splitlines() or ["no reason given"])[0]
                    self._problems.append(f"--medgan-log: {model.name} could not be logged: {reason}")

    def _write_candidates(self, findings: Findings) -> None:
        """Write one candidate per model. Accepting it is a separate, deliberate act."""
        report_dir = state_of(self._config).options.report_dir
        for key, model in findings.models.items():
            path = candidate_path(report_dir, model.name)
            first = next((other for other, known in self._candidates.items() if known == path), None)
            if first is not None:
                self._problems.append(_shared_candidate(model.name, findings.models[first].name, path))
                continue
            try:
                path.unlink(missing_ok=True)  # an earlier run's candidate must not be taken for this one's
                if model.findings.looks:
                    self._candidates[key] = write_model_candidate(model.findings, model.row, report_dir)
            except Exception as error:  # the verdicts stay valid and must be shown
                self._problems.append(f"The candidate of {model.name} could not be written: {_reason(error)}")
        written = [(self._tests.get(key, set()), path.name) for key, path in self._candidates.items()]
        note_candidates(self._config, written)

    def pytest_terminal_summary(self, terminalreporter: TerminalReporter) -> None:
        """Show one table per model, the files written and every problem."""
        models = {} if self._findings is None else self._findings.models
        lines = [] if self._findings is None else self._findings.terminal_lines
        if not (models or lines or self._problems) or not self._writes:
            return
        terminalreporter.write_sep("=", "medgan")
        for key, model in models.items():
            self._show_model(terminalreporter, key, model)
        for path in self._reports:
            _write_line(terminalreporter, f"report: {shown_path(path)}")
        for line in lines:
            _write_line(terminalreporter, line, yellow=True)
        for line in self._problems:
            _write_line(terminalreporter, line, red=True)

    def _show_model(self, reporter: TerminalReporter, key: str, model: Model) -> None:
        """Show one model's table and its candidate."""
        from pytest_medgan.records import VerdictCause
        from pytest_medgan.session.beside import second_of
        from pytest_medgan.session.summary import model_lines

        models = [] if self._findings is None else list(self._findings.models.values())
        options, second = state_of(self._config).options, second_of(models, model)
        for text, outcome in model_lines(model, report_only=options.report_only, second=second):
            _write_line(reporter, text, **COLOURS.get(outcome, {}))
        if candidate := self._candidates.get(key):
            _write_line(reporter, f"candidate: {shown_path(candidate)}")
            has_no_row = any(judged.verdict.cause is VerdictCause.NO_ROW for judged in model.verdicts)
            if has_no_row and "html" not in options.reports:
                _write_line(reporter, "look at the samples before you accept it: run again with --medgan-report=html")


def _process_of(report: pytest.TestReport) -> str:
    """Return the name of the worker of pytest-xdist that ran a test; "" where this process did."""
    return str(getattr(getattr(getattr(report, "node", None), "gateway", None), "id", ""))


def _write_line(reporter: TerminalReporter, text: str, **markup: bool) -> None:
    """Write one line; names of models and files cannot add lines, move the cursor or reverse the text."""
    reporter.write_line(printable(text), **markup)


def _shared_candidate(model: str, first: str, path: Path) -> str:
    """Return why a model has no candidate, where an earlier one has the same file."""
    if model == first:
        problem = f"Two models are called {model}, so only the first has a candidate."
    else:
        problem = f"{model} has no candidate: its file {path.name} is that of {first}."
    return f"{problem} Name them by @pytest.mark.medgan(name=...)."


def _reason(error: Exception) -> Any:
    """Return the message of an error; that of the system, which holds no path, where there is one."""
    return getattr(error, "strerror", None) or error
