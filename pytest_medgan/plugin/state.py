"""The plugin's state in a pytest session: options, store, and the evaluations and verdicts of each test."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_medgan.catalogue import METRICS
from pytest_medgan.errors import SettingsError
from pytest_medgan.plugin.options import run_options
from pytest_medgan.plugin.progress import TerminalProgress
from pytest_medgan.session.candidates import accept_command
from pytest_medgan.session.options import RunOptions

if TYPE_CHECKING:
    from pytest_medgan.evaluate import ModelEvaluation, RunsEvaluation, Workbench
    from pytest_medgan.evaluate.shared import SharedScores
    from pytest_medgan.metrics import CustomMetric
    from pytest_medgan.records import Verdict
    from pytest_medgan.session.findings import JudgedVerdict

STATE = pytest.StashKey["PluginState"]()
EVALUATIONS = pytest.StashKey[list["ModelEvaluation | RunsEvaluation"]]()  # that a test asked for, in order
VERDICTS = pytest.StashKey[list["JudgedVerdict"]]()  # that a test's assertions reached, in order
ASSERTIONS = "pytest_medgan.gate.assertions"
SHARED = "medgan_shared"  # the key under which a worker receives the folder that all workers share

COLLECT_EVERY = 8  # tests with scores


class PluginState:
    """Hold the options and the store of a session; heavy libraries are loaded when a test needs them."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self.options: RunOptions = run_options(config)
        self._ended = 0  # tests with scores that have ended

    @cached_property
    def bench(self) -> Workbench:
        """The store of images, features and scores."""
        from pytest_medgan.evaluate import Workbench

        options = self.options
        return Workbench(
            cache_dir=options.cache_dir,
            cache_limit=options.cache_limit,
            device=options.device,
            custom=self.custom,
            progress=TerminalProgress(self._config),
            evidence=bool(options.reports),
            sweep=bool({"html", "md"} & set(options.reports)),
        )

    @cached_property
    def shared(self) -> SharedScores | None:
        """Scores that the workers of one run of pytest-xdist share; None where there is one process."""
        folder = getattr(self._config, "workerinput", {}).get(SHARED)
        if folder is None:
            return None
        from pytest_medgan.evaluate.shared import SharedScores

        return SharedScores(Path(folder))

    @cached_property
    def custom(self) -> tuple[CustomMetric, ...]:
        """The metrics that conftest files and other plugins register through pytest_medgan_metrics."""
        given = [metric for metrics in self._config.hook.pytest_medgan_metrics() for metric in metrics]
        names = [custom.metric.name for custom in given]
        if taken := sorted({name for name in names if name in METRICS or names.count(name) > 1}):
            raise SettingsError(f"pytest_medgan_metrics registers {taken[0]!r}, which is taken. Choose another name.")
        return tuple(given)

    @contextmanager
    def recording(self, item: pytest.Item, *, in_setup: bool = False) -> Iterator[None]:
        """Record the verdicts that a test's assertions reach on `medgan_scores`, and apply the session's options.

        Args:
            item: The test.
            in_setup: Its fixtures are being made, and may assert something as well; the test itself follows.
        """
        evaluations = item.stash.setdefault(EVALUATIONS, [])
        if not (evaluations or in_setup) and ASSERTIONS not in sys.modules:  # such a test cannot need them
            yield
            return
        from pytest_medgan.gate.assertions import GateContext, context
        from pytest_medgan.session.findings import JudgedVerdict

        verdicts = item.stash.setdefault(VERDICTS, [])
        before = context.get() or GateContext()  # a fixture of the project may have set one

        def record(verdict: Verdict) -> None:
            if evaluations:  # the test may have asked for its scores only after it had begun
                verdicts.append(JudgedVerdict(evaluations[0].key, verdict))
            elif before.listener is not None:
                before.listener(verdict)

        token = context.set(
            replace(
                before,
                listener=record,
                accept_command=self._accept_command(evaluations[0]) if evaluations else before.accept_command,
                report_only=before.report_only or self.options.report_only,
                every_look=before.every_look or self.options.full,
                metrics={**before.metrics, **{custom.metric.name: custom.metric for custom in self.custom}},
            )
        )
        try:
            yield
        except AssertionError:
            self._compute_all_looks(evaluations)
            raise
        else:
            if not in_setup:
                self._compute_all_looks(evaluations)
        finally:
            context.reset(token)

    def _accept_command(self, model: ModelEvaluation | RunsEvaluation) -> str:
        """Return the command that accepts a model's candidate."""
        return accept_command(self.options.report_dir, model.name, model.subject.settings.baseline)

    def _compute_all_looks(self, evaluations: list[ModelEvaluation | RunsEvaluation]) -> None:
        """Under --medgan-full, compute every look that the verdicts did not need."""
        if self.options.full:
            for evaluation in evaluations:
                for n in evaluation.counts:
                    evaluation.at(n)

    def collect_garbage(self) -> None:
        """Collect garbage after every eighth test with scores.

        A failed test's traceback is a cycle that holds the test's images, and with the hundred thousands of objects of
        the libraries Python itself collects such cycles rarely.
        """
        self._ended += 1
        if self._ended % COLLECT_EVERY == 0:
            gc.collect()

    def remember(self, item: pytest.Item, evaluation: ModelEvaluation | RunsEvaluation) -> None:
        """Remember that a test asked for this evaluation."""
        evaluations = item.stash.setdefault(EVALUATIONS, [])
        if evaluation not in evaluations:
            evaluations.append(evaluation)
        known = None if ASSERTIONS not in sys.modules else sys.modules[ASSERTIONS].context
        if known is not None and known.get() is not None:  # a fixture or the test itself asks for it while recording
            known.set(replace(known.get(), accept_command=self._accept_command(evaluations[0])))


def state_of(config: pytest.Config) -> PluginState:
    """Return the session's state."""
    return config.stash[STATE]


def writes_files() -> bool:
    """Return whether this process may write reports and candidates: under torchrun the first one alone.

    RANK without WORLD_SIZE does not come from torchrun.
    """
    return "WORLD_SIZE" not in os.environ or os.environ.get("RANK", "0") == "0"
